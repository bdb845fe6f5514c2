#!/bin/bash
# podman's CNI backend, which is the Go library, on our plugins. podman writes configurations with plugins that this suite may not
# have; those come from the reference plugins, or are left out.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/podman.sh
. "$root/test/support/podman.sh"

# plugin TYPE: its path, ours or the reference's.
plugin() {
  local folder
  for folder in "$CNI_PATH" "${CNI_REFERENCE:-}"; do
    if [[ -n $folder && -x $folder/$1 ]]; then echo "$folder/$1"; return; fi
  done
  return 1
}

# prepare_network NAME SUBNET...: a bridge network made by podman, with those of its plugins that are there.
prepare_network() {
  local name=$1 list types type subnets=()
  shift
  mkdir -p "$work/net.d"
  prepare_podman "[network]
network_backend = \"cni\"
cni_plugin_dirs = [\"$CNI_PATH\"${CNI_REFERENCE:+, \"$CNI_REFERENCE\"}]
network_config_dir = \"$work/net.d\""
  for subnet; do subnets+=(--subnet "$subnet"); done
  if [[ $# -gt 1 ]]; then subnets+=(--ipv6); fi
  "$DOCKER" network create "${subnets[@]}" "$name" >/dev/null
  list=$work/net.d/$name.conflist
  mapfile -t types < <(jq -r '.plugins[].type' "$list")
  for type in "${types[@]}"; do
    plugin "$type" >/dev/null || { jq --arg type "$type" '.plugins |= map(select(.type != $type))' "$list" >"$work/list"
      mv "$work/list" "$list"; }
  done
}

run_web() {
  "$DOCKER" run -d --name web --network "$1" -p 8080:80 localhost/busybox \
    sh -c 'echo hello >/index.html; exec httpd -f -p 80 -h /' >/dev/null
}

# attachments: what there is of any: links, reservations, cached results, rules that name a container.
attachments() {
  ip -j link show | jq -r '.[].ifname' | sort
  find /var/lib/cni/networks -name '[0-9]*' -printf '%f\n' 2>/dev/null | sort
  find /var/lib/cni/results -type f 2>/dev/null
  iptables -t nat -S 2>/dev/null | grep -e '"name: ' -e 'id: ' || true
  nft list ruleset 2>/dev/null | grep -E 'saddr (10|fd)' || true
}

runs_containers() {
  prepare_network testnet 10.77.0.0/24
  local before address
  before=$(attachments)
  run_web testnet
  address=$("$DOCKER" inspect web | jq -r '.[0].NetworkSettings.Networks.testnet.IPAddress')
  expect_equal "address" 10.77.0.2 "$address"
  ping -c 1 -i 0.2 -w 5 10.77.0.2 >/dev/null || fail "the container does not answer the host"
  "$DOCKER" run --rm --network testnet localhost/busybox ping -c 1 -w 5 10.77.0.2 >/dev/null ||
    fail "containers do not reach each other"
  # What the Go library keeps of the attachment.
  expect_equal "attachment in the cache" "testnet eth0 10.77.0.2/24" "$("$CNI_PATH/cnitool" cache ls --json |
    jq -r '.attachments[] | "\(.network) \(.ifName) \(.addresses | join(","))"')"
  if plugin portmap >/dev/null; then
    expect_equal "published port" hello "$(curl -s --max-time 5 http://10.77.0.1:8080/)"
  fi
  "$DOCKER" rm -f -t 0 web >/dev/null
  expect_equal "what is left" "$before" "$(attachments | grep -v '^cni-podman')"
}

runs_two_families() {
  prepare_network testnet 10.78.0.0/24 fd00:78::/64
  "$DOCKER" run -d --name one --network testnet localhost/busybox sleep 60 >/dev/null
  for address in 10.78.0.2 fd00:78::2; do
    ping -c 1 -i 0.2 -w 5 "$address" >/dev/null || fail "$address does not answer"
  done
  "$DOCKER" rm -f -t 0 one >/dev/null
}

describe "podman's CNI backend runs containers on our plugins and leaves nothing" runs_containers
describe "podman's CNI backend runs containers with two families" runs_two_families
run_cases "$@"
