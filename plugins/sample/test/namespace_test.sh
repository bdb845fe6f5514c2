#!/bin/bash
# namespace_test.sh PLUGIN
#
# Drives the plugin as a runtime does. Each case has a network namespace, a /run/netns and a /var/lib/cni of its own, which stand
# for a host, and in that a container c1 with an interface eth0. Needs root, iproute2 and jq. A case fails with any command that
# fails.
#
# shellcheck disable=SC2317  # cases are called by their names
set -euo pipefail
plugin=$(realpath "$1")
state=/var/lib/cni/sample/testnet

result='{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/c1"}],
  "ips":[{"address":"10.1.0.2/24","interface":0}],"dns":{"domain":"example.org"}}'
config=$(jq -nc --argjson result "$result" \
  '{cniVersion: "1.1.0", name: "testnet", type: "sample", alias: "web", prevResult: $result}')

# expect WHAT EXPECTED FOUND
expect() {
  [[ $2 == "$3" ]] || { echo "$1: expected \"$2\", found \"$3\"" >&2; exit 1; }
}

# call VERB [CONFIG]: one call of the plugin for eth0 of c1. $netns and $id stand for others.
call() {
  CNI_COMMAND=$1 CNI_CONTAINERID=${id:-c1} CNI_NETNS=${netns-/run/netns/c1} CNI_IFNAME=eth0 CNI_PATH=/nowhere \
    "$plugin" <<<"${2:-$config}"
}

# refused CODE MESSAGE VERB [CONFIG]: the call fails with this error.
refused() {
  local code=$1 message=$2 answer
  shift 2
  ! answer=$(call "$@") || { echo "$1 succeeded" >&2; exit 1; }
  expect "the error of $1" "$code $message" "$(jq -r '"\(.code) \(.msg)"' <<<"$answer")"
}

# changed FILTER: the configuration with a change.
changed() { jq -c "$1" <<<"$config"; }

alias_of() { ip -n c1 -j link show dev "$1" | jq -r '.[0].ifalias // ""'; }
state_files() { ls -A "$state" 2>/dev/null || true; }

case_add_check_del() {
  ip -n c1 link set eth0 alias before
  expect "the result" "$(jq -S . <<<"$result")" "$(call ADD | jq -S .)"
  expect "the alias" web "$(alias_of eth0)"
  expect "the state" c1:eth0 "$(state_files)"
  expect "mode of the state" 600 "$(stat -c %a "$state/c1:eth0")"
  call CHECK
  call DEL
  expect "the alias after DEL" before "$(alias_of eth0)"
  expect "the state after DEL" "" "$(state_files)"
  call DEL
  expect "the alias after another DEL" before "$(alias_of eth0)"
}

case_every_version() {
  local version earlier
  for version in 0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0; do
    earlier=$(jq -c --arg version "$version" '.cniVersion = $version
      | if $version < "0.3.0" then {cniVersion, ip4: {ip: .ips[0].address}}
        elif $version < "1.0.0" then .ips[0].version = "4" else . end' <<<"$result")
    answer=$(call ADD "$(changed ".cniVersion = \"$version\" | .prevResult = $earlier")")
    expect "the result's version" "$version" "$(jq -r .cniVersion <<<"$answer")"
    expect "the address" 10.1.0.2/24 "$(jq -r '.ip4.ip // .ips[0].address' <<<"$answer")"
    call DEL "$(changed ".cniVersion = \"$version\" | del(.prevResult)")"
    expect "the alias after DEL" "" "$(alias_of eth0)"
  done
}

case_refused_add() {
  refused 7 "Required prevResult missing" ADD "$(changed 'del(.prevResult)')"
  refused 7 "failed to load netconf: alias: this key is required" ADD "$(changed 'del(.alias)')"
  ip -n c1 link delete eth0
  refused 102 'failed to lookup "eth0": no such device' ADD
  expect "the state" "" "$(state_files)"
}

case_failed_add() {
  ip -n c1 link set eth0 alias before
  ! call ADD >/dev/full || { echo "ADD succeeded without a stdout" >&2; exit 1; }
  expect "the alias" before "$(alias_of eth0)"
  expect "the state" "" "$(state_files)"
}

case_repeated_add() {
  call ADD >/dev/null
  call ADD >/dev/null
  call DEL
  expect "the alias after DEL" "" "$(alias_of eth0)"
}

case_del_in_every_state() {
  call ADD >/dev/null
  call DEL '{"cniVersion": "1.1.0", "name": "testnet", "type": "sample", "alias": 7, "prevResult": "none"}'
  expect "the alias after DEL with a config that ADD would refuse" "" "$(alias_of eth0)"

  call ADD >/dev/null
  netns='' call DEL
  expect "the state after DEL without a namespace" "" "$(state_files)"

  call ADD >/dev/null
  netns=/run/netns/gone call DEL
  expect "the state after DEL for a namespace that is gone" "" "$(state_files)"

  call ADD >/dev/null
  ip -n c1 link delete eth0
  call DEL
  expect "the state after DEL for an interface that is gone" "" "$(state_files)"

  rm -r /var/lib/cni/sample
  call DEL

  id=$(printf 'x%.0s' {1..300})
  ! answer=$(call ADD) || { echo "ADD found a file name for 300 characters" >&2; exit 1; }
  expect "the alias after ADD for too long an id" "" "$(alias_of eth0)"
  call DEL
}

case_check() {
  refused 105 'sample: the alias of eth0 is "" instead of "web"' CHECK
  call ADD >/dev/null
  ip -n c1 link set eth0 alias other
  refused 105 'sample: the alias of eth0 is "other" instead of "web"' CHECK
  ip -n c1 link set eth0 alias web
  call CHECK
  refused 7 "Required prevResult missing" CHECK "$(changed 'del(.prevResult)')"
  rm "$state/c1:eth0"
  refused 105 "sample: $state/c1:eth0 is missing" CHECK
}

case_gc() {
  call ADD >/dev/null
  touch "$state/gone:eth0" "$state/c1:eth1"
  call GC "$(changed '.["cni.dev/valid-attachments"] = [{containerID: "c1", ifname: "eth0"}]')"
  expect "the state" c1:eth0 "$(state_files)"
  call GC
  expect "the state after GC of everything" "" "$(state_files)"
}

case_status_and_version() {
  call STATUS
  refused 7 "failed to load netconf: alias: this key is required" STATUS "$(changed 'del(.alias)')"
  mount -o remount,ro /var/lib/cni
  refused 50 "write to $state: read-only file system" STATUS
  expect "the versions" "0.1.0 1.1.0" "$(call VERSION | jq -r '.supportedVersions | "\(.[0]) \(.[-1])"')"
}

# A host of the case's own.
if [[ ${2:-} == --inside ]]; then
  mkdir -p /run/netns /var/lib/cni
  mount -t tmpfs tmpfs /run/netns
  mount -t tmpfs tmpfs /var/lib/cni
  ip netns add c1
  ip link add far0 type veth peer name eth0 netns c1
  "$3"
  exit 0
fi

[[ $EUID -eq 0 ]] || { echo "SKIPPED: not root"; exit 0; }
failed=0
for name in $(compgen -A function case_); do
  if unshare --net --mount --propagation private "$BASH" "$0" "$plugin" --inside "$name"; then
    echo "passed: $name"
  else
    echo "FAILED: $name"
    failed=1
  fi
done
exit "$failed"
