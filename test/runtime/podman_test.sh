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
  nft list ruleset 2>/dev/null | grep -E 'id: ' || true
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

# answer URL: what a web server says; empty if there is none.
answer() { curl -s --max-time 5 "$1" || true; }

# publishes_with BACKEND: of portmap and firewall.
publishes_with() {
  local backend=$1 before url
  sysctl -q -w net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true
  prepare_network testnet 10.77.0.0/24 fd00:77::/64
  jq --arg backend "$backend" '.plugins |= map(if .type == "portmap" or .type == "firewall" then .backend = $backend else . end)' \
    "$work/net.d/testnet.conflist" >"$work/list"
  mv "$work/list" "$work/net.d/testnet.conflist"
  before=$(attachments)
  "$DOCKER" run -d --name web --network testnet -p 8080:80 -p 127.0.0.1:8081:80 localhost/busybox \
    sh -c 'echo hello >/index.html; exec httpd -f -p 80 -h /' >/dev/null
  for url in http://10.77.0.1:8080/ 'http://[fd00:77::1]:8080/' http://127.0.0.1:8080/ http://127.0.0.1:8081/; do
    expect_equal "$url" hello "$(answer "$url")"
  done
  expect_equal "not published" "" "$(answer http://10.77.0.1:8081/)"
  # Where netfilter sees frames within bridges, answers have ::1 as destination before the kernel asks where they come from.
  if [[ $backend = nftables && $(sysctl -n net.bridge.bridge-nf-call-ip6tables 2>/dev/null) != 1 ]]; then
    expect_equal "::1" hello "$(answer 'http://[::1]:8080/')"
  fi
  # Not wget: Debian's static one looks names up with a library that is not in the image.
  expect_equal "what a neighbour sees" hello "$("$DOCKER" run --rm --network testnet localhost/busybox \
    sh -c 'printf "GET / HTTP/1.0\r\n\r\n" | nc -w 5 10.77.0.1 8080 | tail -n 1')"
  "$DOCKER" rm -f -t 0 web >/dev/null
  expect_equal "what is left" "$before" "$(attachments | grep -v '^cni-podman')"
}
publishes_with_iptables() { publishes_with iptables; }
publishes_with_nftables() { publishes_with nftables; }

# whole_chain BACKEND: podman's own list with bandwidth, tuning and sbr behind it.
whole_chain() {
  local backend=$1 before port
  prepare_network testnet 10.77.0.0/24 fd00:77::/64
  # shellcheck disable=SC2016  # it is jq's
  jq --arg backend "$backend" '.plugins |= map(if .type == "portmap" or .type == "firewall" then .backend = $backend else . end)
    | .plugins |= map(select(.type != "tuning"))
    | .plugins += [{type: "bandwidth", ingressRate: 50000000, egressRate: 20000000},
      {type: "tuning", mtu: 1400, sysctl: {"net.core.somaxconn": "500"}}, {type: "sbr"}]' \
    "$work/net.d/testnet.conflist" >"$work/list"
  mv "$work/list" "$work/net.d/testnet.conflist"
  before=$(attachments)
  run_web testnet
  expect_equal "types" "bridge portmap firewall bandwidth tuning sbr" \
    "$(jq -r '.plugins[].type' "$work/net.d/testnet.conflist" | grep -v '^dnsname$' | xargs)"
  expect_equal "published port" hello "$(answer http://10.77.0.1:8080/)"
  expect_equal "published port with IPv6" hello "$(answer 'http://[fd00:77::1]:8080/')"
  expect_equal "mtu and parameter" "1400 500" \
    "$("$DOCKER" exec web sh -c 'cat /sys/class/net/eth0/mtu /proc/sys/net/core/somaxconn' | xargs)"
  port=$(ip -j link show type veth | jq -r '[.[] | select(.master)][0].ifname')
  expect_contains "limit towards the container" "$(tc qdisc show dev "$port")" "rate 50Mbit"
  "$DOCKER" rm -f -t 0 web >/dev/null
  expect_equal "what is left" "$before" "$(attachments | grep -v '^cni-podman')"
}
whole_chain_with_iptables() { whole_chain iptables; }
whole_chain_with_nftables() { whole_chain nftables; }

describe "podman's CNI backend runs a whole chain with iptables" whole_chain_with_iptables
describe "podman's CNI backend runs a whole chain with nftables" whole_chain_with_nftables
describe "podman's CNI backend publishes ports with iptables" publishes_with_iptables
describe "podman's CNI backend publishes ports with nftables" publishes_with_nftables
describe "podman's CNI backend runs containers on our plugins and leaves nothing" runs_containers
describe "podman's CNI backend runs containers with two families" runs_two_families
run_cases "$@"
