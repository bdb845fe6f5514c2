#!/bin/bash
# Runs every example of examples/ as it is: ADD, a look at what the kernel has, CHECK, DEL, and a look at what is left.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"

tested=()

# example FILE FUNCTION: a case that attaches the namespace c1 to the network of the file and calls the function.
example() {
  tested+=("$1")
  eval "run_$2() { run_example '$1' '$2'; }"
  describe "example $1 works as it is" "run_$2"
}

# needs_bridge_vlans: ends the case unless the kernel can keep VLANs of a bridge apart.
needs_bridge_vlans() {
  ip link add probe0 type bridge
  if ! bridge vlan add dev probe0 vid 5 self 2>/dev/null; then
    echo "SKIPPED: no bridge VLAN filtering in this kernel"
    exit 0
  fi
  ip link del probe0
}

# needs_kind KIND [OPTION...]: ends the case unless the kernel has the link type.
needs_kind() {
  local reason
  ip link add probe0 type veth peer name probe1
  if ! reason=$(ip link add link probe0 name probe2 type "$@" 2>&1); then
    echo "SKIPPED: no $1 in this kernel: $reason"
    exit 0
  fi
  ip link del probe0
  if [[ -e /sys/class/net/probe2 ]]; then ip link del probe2; fi
}

run_example() {
  local file=$root/examples/$1
  case $1 in
    firewall/*) if ! command -v iptables >/dev/null; then echo "SKIPPED: the program iptables is not installed" && exit 0; fi ;;
    bridge/vlan.conflist) needs_bridge_vlans ;;
    ipvlan/* | dummy/*) needs_kind "${1%%/*}" ;;
    vlan/*) needs_kind vlan id 5 ;;
    vrf/*) needs_kind vrf table 5 ;;
    bandwidth/*) needs_kind ifb ;;
  esac
  # A name server list and an uplink, as hosts have them.
  echo "nameserver 192.0.2.53" >"$work/resolv.conf"
  if [[ -e /etc/resolv.conf ]]; then mount --bind "$work/resolv.conf" /etc/resolv.conf; fi
  ip netns add outside
  ip link add uplink0 type veth peer name far0 netns outside
  ip link set uplink0 up
  ip address add 192.0.2.2/24 dev uplink0
  ip route add default via 192.0.2.1
  ip -n outside address add 192.0.2.1/24 dev far0
  ip -n outside link set far0 up
  # A second network card.
  ip link add eth1 type veth peer name far1 netns outside
  ip -n outside address add 198.51.100.1/24 dev far1
  ip -n outside link set far1 up
  ip netns add c1
  traces >"$work/before"

  export NETCONFPATH=$work/networks
  mkdir "$NETCONFPATH"
  cp "$file" "$NETCONFPATH"
  # For the plugins that declare the capability.
  export CAP_ARGS='{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}'
  if [[ $1 == dhcp/* ]]; then start_dhcp; fi
  "$root/scripts/exec-plugins.sh" add c1 /run/netns/c1
  "$2"
  check_result "$file" /run/cni-exec-plugins/c1/0.result
  "$root/scripts/exec-plugins.sh" del c1 /run/netns/c1
  # Bridges stay.
  expect_equal "traces" "$(<"$work/before")" "$(traces | grep -vE '^cni[0-9]$')"
  expect_equal "links of the container" lo "$(ip -n c1 -j link | jq -r '.[].ifname')"
}

# start_dhcp: a server behind the uplink, and our daemon. Both end with the case. Ends the case if there is no server to run.
start_dhcp() {
  trap end_background EXIT
  if ! command -v dnsmasq >/dev/null; then echo "SKIPPED: the program dnsmasq is not installed" && exit 0; fi
  nsenter --net=/run/netns/outside dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --no-ping --user=root --pid-file= \
    --interface=far0 --bind-dynamic --dhcp-authoritative --dhcp-leasefile="$work/leases" --log-facility="$work/dnsmasq.log" \
    --dhcp-range=192.0.2.100,192.0.2.100,255.255.255.0,1h --dhcp-option=6,192.0.2.53 &
  background+=($!)
  "$CNI_PATH/dhcp" daemon 2>"$work/dhcp.log" &
  background+=($!)
  until [[ -S /run/cni/dhcp.sock ]]; do sleep 0.05; done
}
background=()
end_background() {
  local process
  for process in "${background[@]}"; do kill "$process" 2>/dev/null || true; done
}

# addresses IFNAME: those of global scope in the container, in one line.
addresses() {
  ip -n c1 -j address show dev "$1" |
    jq -r '[.[].addr_info[] | select(.scope == "global") | "\(.local)/\(.prefixlen)"] | sort | join(" ")'
}

# routes FAMILY: "DESTINATION GATEWAY" of those with a gateway, in one line.
routes() { ip -n c1 "$1" -j route | jq -r '[.[] | select(.gateway) | "\(.dst) \(.gateway)"] | sort | join(", ")'; }

ping_from_container() { nsenter --net=/run/netns/c1 ping -c 1 -i 0.2 -w 5 "$1" >/dev/null || fail "$1 does not answer"; }

mynet() {
  expect_equal "addresses" 10.22.0.2/16 "$(addresses eth0)"
  expect_equal "routes" "default 10.22.0.1" "$(routes -4)"
  # The outside knows no way back to 10.22.0.2: an answer shows that the host masquerades.
  ping_from_container 192.0.2.1
}
example net.d/10-mynet.conflist mynet

lo_is_up() { expect_contains "flags of lo" "$(ip -n c1 -j link show lo | jq -r '.[].flags[]')" UP; }
net_d_loopback() { lo_is_up; }
example net.d/99-loopback.conf net_d_loopback
loopback() { lo_is_up; }
example loopback/loopback.conf loopback

dual_stack() {
  expect_equal "addresses" "10.23.0.2/24 fd00:23::2/64" "$(addresses eth0)"
  expect_equal "IPv4 routes" "default 10.23.0.1" "$(routes -4)"
  expect_equal "IPv6 routes" "default fd00:23::1" "$(routes -6)"
  expect_equal "mtu" 1400 "$(ip -n c1 -j link show eth0 | jq '.[].mtu')"
  expect_equal "isolated" true "$(bridge -j -d link | jq '[.[] | select(.master == "cni1").isolated] | all')"
  ping_from_container 192.0.2.1
  ping_from_container fd00:23::1
  # macspoofchk: frames with another sender's address do not get through.
  ip -n c1 link set eth0 address 02:00:00:00:00:99
  ! nsenter --net=/run/netns/c1 ping -c 1 -W 1 10.23.0.1 >/dev/null || fail "a forged MAC address got through"
  ip -n c1 link set eth0 address "$(jq -r '.interfaces[2].mac' /run/cni-exec-plugins/c1/0.result)"
  # Changing the address took the IPv6 routes away.
  ip -n c1 -6 route replace default via fd00:23::1
}
example bridge/dual-stack.conflist dual_stack

layer2() {
  expect_equal "addresses" "" "$(addresses eth0)"
  expect_equal "state" UP "$(ip -n c1 -j link show eth0 | jq -r '.[].operstate')"
  expect_equal "ports of the bridge" 1 "$(ip -j link show master cni2 | jq length)"
}
example bridge/layer2.conflist layer2

vlan() {
  expect_equal "addresses" 10.27.0.2/24 "$(addresses eth0)"
  expect_equal "routes" "default 10.27.0.1" "$(routes -4)"
  local port
  port=$(jq -r '.interfaces[1].name' /run/cni-exec-plugins/c1/0.result)
  expect_equal "VLANs" "100 PVID Egress Untagged,200-210,300" "$(bridge -j -compressvlans vlan show dev "$port" |
    jq -r '[.[].vlans[] | "\(.vlan)\(if .vlanEnd then "-\(.vlanEnd)" else "" end) \(.flags // [] | join(" "))" | rtrimstr(" ")] | join(",")')"
  expect_equal "gateway" 10.27.0.1 "$(ip -j -4 address show dev cni3.100 | jq -r '.[].addr_info[].local')"
  ping_from_container 10.27.0.1
}
example bridge/vlan.conflist vlan

ptp_routed() {
  expect_equal "addresses" 10.24.0.2/24 "$(addresses eth0)"
  expect_contains "routes" "$(routes -4)" "default 10.24.0.1"
  expect_equal "dns" 192.0.2.53 "$(jq -r '.dns.nameservers[0]' /run/cni-exec-plugins/c1/0.result)"
  ping_from_container 192.0.2.1
  ping -c 1 -i 0.2 -w 5 10.24.0.2 >/dev/null || fail "the container does not answer the host"
}
example ptp/routed.conflist ptp_routed

portmap_published() {
  expect_equal "addresses" 10.29.0.2/24 "$(addresses eth0)"
  local server
  nsenter --net=/run/netns/c1 python3 -c '
import socket
server = socket.create_server(("10.29.0.2", 80))
print("listening", flush=True)
while True:
    client, address = server.accept()
    client.sendall(address[0].encode())
    client.close()' >"$work/server" &
  server=$!
  until [[ -s $work/server ]]; do kill -0 "$server" || fail "no server"; done
  expect_equal "seen from outside" 192.0.2.1 "$(ask_port 192.0.2.2 8080 outside)"
  expect_equal "seen from the host" 10.29.0.1 "$(ask_port 127.0.0.1 8080)"
  kill "$server"
}
# ask_port ADDRESS PORT [NETNS]: what a server says by itself.
ask_port() {
  local inside=()
  if [[ $# == 3 ]]; then inside=(ip netns exec "$3"); fi
  "${inside[@]}" python3 -c '
import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(100).decode())' "$1" "$2"
}
example portmap/published.conflist portmap_published

sbr_second_network() {
  expect_equal "rules" "192.0.2.20 100" "$(ip -n c1 -j rule | jq -r '.[] | select(.src != "all") | "\(.src) \(.table)"')"
  expect_equal "routes of the table" "192.0.2.0/24 null, default 192.0.2.1" \
    "$(ip -n c1 -j route show table 100 | jq -r '[.[] | "\(.dst) \(.gateway)"] | sort | join(", ")')"
  expect_equal "other routes" "[]" "$(ip -n c1 -j route | jq -c .)"
  nsenter --net=/run/netns/c1 ping -c 1 -i 0.2 -w 5 -I 192.0.2.20 192.0.2.1 >/dev/null || fail "the gateway does not answer"
}
example sbr/second-network.conflist sbr_second_network
tuning_interface() {
  expect_equal "addresses" 10.33.0.2/24 "$(addresses eth0)"
  expect_equal "mtu and queue" "1400 500" "$(ip -n c1 -j link show eth0 | jq -r '.[] | "\(.mtu) \(.txqlen)"')"
  expect_equal "parameters" "1024 1" \
    "$(ip netns exec c1 sysctl -n net.core.somaxconn net.ipv4.conf.eth0.arp_filter | xargs)"
  ping_from_container 192.0.2.1
}
example tuning/interface.conflist tuning_interface
bandwidth_limited() {
  expect_equal "addresses" 10.30.0.2/24 "$(addresses eth0)"
  local port ifb
  port=$(jq -r '.interfaces[1].name' /run/cni-exec-plugins/c1/0.result)
  ifb=$(jq -r '.interfaces[3].name' /run/cni-exec-plugins/c1/0.result)
  expect_contains "limit towards the container" "$(tc class show dev "$port")" "rate 50Mbit"
  expect_contains "limit from the container" "$(tc class show dev "$ifb")" "rate 20Mbit"
  expect_contains "left out towards the container" "$(tc filter show dev "$port")" "match 0a1e0000/ffffff00 at 12"
  expect_contains "left out from the container" "$(tc filter show dev "$ifb")" "match 0a1e0000/ffffff00 at 16"
  ping_from_container 10.30.0.1
}
example bandwidth/limited.conflist bandwidth_limited

macvlan_uplink() {
  expect_equal "addresses" 192.0.2.10/24 "$(addresses eth0)"
  expect_equal "kind" macvlan "$(ip -n c1 -d -j link show eth0 | jq -r '.[].linkinfo.info_kind')"
  ping_from_container 192.0.2.1
}
example macvlan/uplink.conflist macvlan_uplink

ipvlan_uplink() {
  expect_equal "addresses" 192.0.2.10/24 "$(addresses eth0)"
  expect_equal "kind" ipvlan "$(ip -n c1 -d -j link show eth0 | jq -r '.[].linkinfo.info_kind')"
  expect_equal "MAC address" "$(ip -j link show uplink0 | jq -r '.[].address')" "$(ip -n c1 -j link show eth0 | jq -r '.[].address')"
  ping_from_container 192.0.2.1
}
example ipvlan/uplink.conflist ipvlan_uplink

vlan_tagged() {
  expect_equal "addresses" 10.27.0.5/24 "$(addresses eth0)"
  expect_equal "kind" vlan "$(ip -n c1 -d -j link show eth0 | jq -r '.[].linkinfo.info_kind')"
  ip -n outside link add link far0 name far0.5 type vlan id 5
  ip -n outside address add 10.27.0.1/24 dev far0.5
  ip -n outside link set far0.5 up
  ping_from_container 10.27.0.1
}
example vlan/tagged.conflist vlan_tagged

dummy_service() {
  expect_equal "addresses" 198.51.100.7/32 "$(addresses eth0)"
  expect_equal "kind" dummy "$(ip -n c1 -d -j link show eth0 | jq -r '.[].linkinfo.info_kind')"
  # What a namespace sends to its own addresses goes over lo.
  ip -n c1 link set lo up
  ping_from_container 198.51.100.7
}
example dummy/service.conflist dummy_service

network_card() {
  expect_equal "addresses" 198.51.100.10/24 "$(addresses eth0)"
  expect_equal "name on the host" eth1 "$(ip -n c1 -j link show eth0 | jq -r '.[].ifalias')"
  ping_from_container 198.51.100.1
}
example host-device/network-card.conflist network_card

virtual_machine() {
  expect_equal "addresses" "" "$(addresses eth0)"
  expect_equal "settings" "tap true 107 02:00:00:00:00:07" "$(ip -n c1 -d -j link show eth0 |
    jq -r '.[0] | "\(.linkinfo.info_data | "\(.type) \(.persist) \(.user)") \(.address)"')"
}
example tap/virtual-machine.conflist virtual_machine

firewall_isolated_networks() {
  expect_equal "addresses" "10.28.0.2/24 fd00:28::2/64" "$(addresses eth0)"
  ping_from_container 192.0.2.1
  # A firewall that drops what is forwarded, and a second bridge with a policy.
  iptables -P FORWARD DROP
  ping_from_container 192.0.2.1
  expect_contains "rules" "$(iptables-save)" "-A CNI-FORWARD -s 10.28.0.2/32 -j ACCEPT"
  expect_contains "policy" "$(iptables-save)" "-A CNI-ISOLATION-STAGE-2 -o cni4"
}
example firewall/isolated-networks.conflist firewall_isolated_networks

host_local_ranges() {
  # 10.25.0.10 is excluded.
  expect_equal "addresses" "10.25.0.11/24 fd00:25::100/64" "$(addresses eth0)"
  expect_equal "routes" "192.0.2.0/24 10.25.0.254, default 10.25.0.1" "$(routes -4)"
  expect_equal "metric and MTU" "200 1400" \
    "$(ip -n c1 -4 -j route show 192.0.2.0/24 | jq -r '.[0] | "\(.metric) \(.metrics[0].mtu)"')"
  expect_equal "dns" 192.0.2.53 "$(jq -r '.dns.nameservers[0]' /run/cni-exec-plugins/c1/0.result)"
}
example host-local/ranges.conflist host_local_ranges

dhcp_leased() {
  expect_equal "addresses" 192.0.2.100/24 "$(addresses eth0)"
  expect_equal "routes" "default 192.0.2.1" "$(routes -4)"
  expect_equal "metric" 200 "$(ip -n c1 -4 -j route show default | jq '.[0].metric')"
  expect_equal "dns" 192.0.2.53 "$(jq -r '.dns.nameservers[0]' /run/cni-exec-plugins/c1/0.result)"
}
example dhcp/leased.conflist dhcp_leased

static_addresses() {
  expect_equal "addresses" "10.26.0.5/24 fd00:26::5/64" "$(addresses eth0)"
  expect_equal "routes" "198.51.100.0/24 10.26.0.254, default 10.26.0.1" "$(routes -4)"
}
example static/addresses.conflist static_addresses

vrf_separate_routes() {
  expect_equal "addresses" "10.30.0.2/24 fd00:30::2/64" "$(addresses eth0)"
  expect_equal "routes of the container" "" "$(routes -4)$(routes -6)"
  expect_equal "routes of the VRF" "default 10.30.0.1, default fd00:30::1" \
    "$({ ip -n c1 -j route show vrf blue && ip -n c1 -6 -j route show vrf blue; } |
      jq -rs '[.[][] | select(.gateway) | "\(.dst) \(.gateway)"] | sort | join(", ")')"
  local address
  for address in 10.30.0.1 fd00:30::1 192.0.2.1; do
    nsenter --net=/run/netns/c1 ping -c 1 -i 0.2 -w 5 -I blue "$address" >/dev/null || fail "$address does not answer in the VRF"
  done
  ! nsenter --net=/run/netns/c1 ping -c 1 -w 2 10.30.0.1 >/dev/null 2>&1 || fail "10.30.0.1 is reached without the VRF"
}
example vrf/separate-routes.conflist vrf_separate_routes

every_example() {
  local found
  found=$(cd "$root/examples" && find . -type f ! -name README.md -printf '%P\n' | sort)
  expect_equal "examples with a test" "$found" "$(printf '%s\n' "${tested[@]}" | sort)"
}
describe "every example has a test" every_example

run_cases "$@"
