#!/bin/bash
# Tests of cnitool doctor: what is looked for, and what is said of a host that lacks it.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"

# network_of NAME PLUGIN: a network of one plugin, given as JSON.
network_of() {
  mkdir -p "$work/networks"
  printf '{"cniVersion": "1.1.0", "name": "%s", "plugins": [%s]}\n' "$1" "$2" >"$work/networks/$1.conflist"
}

# lacking COMMAND...: runs doctor on a network, expects failure, and prints what is needed and missing.
lacking() {
  local status=0
  "$@" --json >"$work/out" 2>"$errors" || status=$?
  expect_equal "status" 1 "$status"
  expect_equal "healthy" false "$(document .healthy)"
  document '[.needs[] | select(.required and (.present | not)) | "\(.plugin // "all") \(.need): \(.reason)"] | join("\n")'
}

healthy() {
  export NETCONFPATH=$work/networks
  network_of plain '{"type": "bridge", "ipam": {"type": "host-local", "dataDir": "/run/state", "subnet": "10.9.0.0/24"}}'
  succeeds doctor plain --json
  expect_equal "needs" "CAP_SYS_ADMIN CAP_NET_ADMIN executable link type bridge link type veth executable folder /run/state" \
    "$(document '[.needs[] | select(.required) | .need] | join(" ")')"
  expect_equal "healthy" true "$(document .healthy)"
  succeeds doctor plain
  expect_contains "table" "$(sed -E 's/ +/ /g' "$work/out")" "bridge link type veth - yes"
  ! grep -q ipMasq "$work/out" || fail "a key that the network does not use is shown"
  expect_equal "links" lo "$(ip -j link show | jq -r '.[].ifname')"
}
describe "cnitool doctor finds what a network needs and makes nothing" healthy

all_plugins() {
  mkdir -p "$work/bin"
  cp "$CNI_PATH"/{bridge,static} "$work/bin"
  CNI_PATH=$work/bin succeeds doctor --json
  expect_equal "plugins" "bridge static" "$(document '[.needs[].plugin // empty] | unique | join(" ")')"
  expect_equal "optional" "false ipMasq" \
    "$(document '.needs[] | select(.need == "iptables or nftables") | "\(.required) \(.for)"')"
  rm "$work"/bin/*
  expect_equal "status" 1 "$(CNI_PATH=$work/bin status_of "$CNITOOL" doctor)"
  expect_contains "message" "$(<"$errors")" "none of the plugins that are known is there"
}
describe "cnitool doctor without a network looks at the plugins that are installed" all_plugins

without_permissions() {
  export NETCONFPATH=$work/networks
  network_of plain '{"type": "ptp", "ipam": {"type": "static"}}'
  expect_equal "missing" "all CAP_NET_ADMIN: this process does not have it; run as root
ptp link type veth: cannot be asked for without CAP_NET_ADMIN" \
    "$(lacking setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$CNITOOL" doctor plain)"
}
describe "cnitool doctor names missing permissions" without_permissions

without_programs() {
  export NETCONFPATH=$work/networks
  network_of masq '{"type": "ptp", "ipMasq": true, "ipMasqBackend": "iptables", "ipam": {"type": "absent"}}'
  # iptables is looked for in the usual folders too.
  local folder
  for folder in /usr/sbin /usr/local/sbin; do mount -t tmpfs tmpfs "$folder"; done
  if [[ ! -L /sbin ]]; then mount -t tmpfs tmpfs /sbin; fi
  local missing
  missing=$(lacking env PATH=/nowhere "$CNITOOL" doctor masq)
  expect_contains "program" "$missing" "ptp iptables: "
  expect_contains "plugin" "$missing" 'absent executable: failed to find plugin "absent" in path'
  expect_contains "unknown" "$(document '.needs[].reason // empty')" "it is not known what this plugin needs"
}
describe "cnitool doctor names missing programs and plugins" without_programs

read_only() {
  export NETCONFPATH=$work/networks
  network_of gateway '{"type": "bridge", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}'
  mount -o remount,ro,bind /proc/sys 2>/dev/null || { mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys; }
  mount -o remount,ro /var/lib/cni
  expect_equal "missing" "bridge sysctl net/ipv4/ip_forward=1: it is 0 and cannot be written: read-only file system
host-local folder /var/lib/cni/networks: /var/lib/cni cannot be written: read-only file system" \
    "$(lacking "$CNITOOL" doctor gateway)"
}
describe "cnitool doctor names what cannot be written" read_only

without_kernel_feature() {
  export NETCONFPATH=$work/networks
  local type option
  for type in ipvlan:CONFIG_IPVLAN vlan:CONFIG_VLAN_8021Q dummy:CONFIG_DUMMY vrf:CONFIG_NET_VRF; do
    option=${type#*:} type=${type%:*}
    network_of "$type" "{\"type\": \"$type\", \"master\": \"lo\", \"vlanId\": 1, \"ipam\": {\"type\": \"static\"}}"
    if ip link add probe type "$type" 2>"$work/why" || grep -q -v -e "not supported" -e "Unknown device type" "$work/why"; then
      continue
    fi
    expect_contains "missing" "$(lacking "$CNITOOL" doctor "$type")" \
      "$type link type $type: the kernel has no $type support ($option)"
    return
  done
  echo "SKIPPED: no link type is missing here"
}
describe "cnitool doctor names a link type that the kernel lacks" without_kernel_feature

run_cases "$@"
