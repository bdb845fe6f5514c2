#!/bin/bash
# Chains of plugins as a runtime runs them: ADD, CHECK, DEL and GC as one, in sensible orders and with both backends.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"

# chain BACKEND TYPE...: the network mynet of a bridge and these plugins.
chain() {
  local backend=$1
  shift
  export NETCONFPATH=$work/networks
  mkdir -p "$NETCONFPATH"
  # shellcheck disable=SC2016  # it is jq's
  printf '%s\n' bridge "$@" | jq -Rn --arg backend "$backend" '{
    bridge: {bridge: "cni0", isDefaultGateway: true, ipMasq: true, ipMasqBackend: $backend, ipam: {type: "host-local",
      ranges: [[{subnet: "10.22.0.0/16"}], [{subnet: "fd00:22::/64"}]]}},
    portmap: {backend: $backend, capabilities: {portMappings: true}},
    firewall: {backend: $backend, ingressPolicy: "same-bridge"},
    bandwidth: {ingressRate: 100000000, ingressBurst: 8000000, egressRate: 100000000, egressBurst: 8000000},
    tuning: {mtu: 1400, mac: "02:00:00:00:22:02", sysctl: {"net.core.somaxconn": "500"}},
    sbr: {},
    vrf: {vrfname: "blue"}
  } as $keys | {cniVersion: "1.1.0", name: "mynet", plugins: [inputs | {type: .} + $keys[.]]}' >"$work/networks/mynet.conflist"
}

ports='portMappings=[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]'

# what_is_left: of containers. The bridge, empty chains and the guard of 127.0.0.1 are everybody's and stay.
what_is_left() {
  ip -j link show | jq -r '.[].ifname' | grep -v -e '^lo$' -e '^cni0$' || true
  find /var/lib/cni /run/cni -type f \( -name '10.22.*' -o -name 'c1*' -o -path '*results*' \)
  nft list ruleset 2>/dev/null | grep -E '10\.22\.0\.2|fd00:22::2' || true
  tc -j qdisc show | jq -r '.[].kind' | grep -e tbf -e ingress || true
}

whole_life() {
  local backend=$1
  shift
  command -v tc >/dev/null || fail "there is no tc"
  chain "$backend" "$@"
  local round
  for round in del gc; do
    ip netns add c1
    succeeds add mynet /run/netns/c1 --container-id c1 --capability "$ports"
    succeeds check mynet /run/netns/c1 --container-id c1 --capability "$ports"
    ping -c 1 -i 0.2 -w 5 10.22.0.2 >/dev/null || fail "the container does not answer"
    ping -c 1 -i 0.2 -w 5 fd00:22::2 >/dev/null || fail "the container does not answer with IPv6"
    if [[ $round == del ]]; then
      succeeds del mynet /run/netns/c1 --container-id c1 --capability "$ports"
      ip netns del c1
    else
      # The container went without a DEL.
      ip netns del c1
      succeeds gc mynet --all
    fi
    # The kernel takes a namespace's links away on its own time.
    for _ in {1..500}; do [[ -n $(what_is_left) ]] || break; done
    expect_equal "what is left after $round" "" "$(what_is_left)"
    # The next container gets the first address again.
    rm -f /var/lib/cni/networks/mynet/last_reserved_ip.*
  done
}

for backend in iptables nftables; do
  eval "all_$backend() { whole_life $backend portmap firewall bandwidth tuning sbr; }
    other_order_$backend() { whole_life $backend tuning bandwidth sbr firewall portmap; }
    without_routing_$backend() { whole_life $backend firewall portmap tuning bandwidth; }"
  describe "a chain of all plugins with $backend is added checked and deleted" "all_$backend"
  describe "a chain of all plugins in another order with $backend is added checked and deleted" "other_order_$backend"
  describe "a chain without routing plugins with $backend is added checked and deleted" "without_routing_$backend"
done

run_cases "$@"
