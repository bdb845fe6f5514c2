#!/bin/bash
# Tests of scripts/priv-net-run.sh with the real plugins.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
run=$root/scripts/priv-net-run.sh

attaches_bundled_networks() {
  local addresses
  cd /
  addresses=$("$run" ip -j address)
  expect_equal "interfaces" "lo eth0" "$(jq -r '[.[].ifname] | join(" ")' <<<"$addresses")"
  expect_equal "address of eth0" 10.22.0.2/16 "$(jq -r '.[] | select(.ifname == "eth0").addr_info[]
    | select(.family == "inet") | "\(.local)/\(.prefixlen)"' <<<"$addresses")"
  expect_contains "flags of lo" "$(jq -r '.[] | select(.ifname == "lo").flags[]' <<<"$addresses")" UP
  expect_equal "default route" 10.22.0.1 "$("$run" ip -j route show default | jq -r '.[].gateway')"
  "$run" ping -c 1 -i 0.2 -w 5 10.22.0.1 >/dev/null || fail "the gateway does not answer"
  expect_equal "traces" lo "$(traces)"
}
describe "priv-net-run attaches lo and eth0 of the bundled networks" attaches_bundled_networks

keeps_status() {
  expect_equal "status" 42 "$(status_of "$run" sh -c 'exit 42')"
  expect_equal "traces after a failed command" lo "$(traces)"
  expect_equal "status" 137 "$(status_of "$run" sh -c 'kill -KILL $$')"
  expect_equal "traces after a killed command" lo "$(traces)"
  expect_equal "status" 127 "$(status_of "$run" sh -c 'no-such-command')"
  expect_equal "stdin" hello "$(echo hello | "$run" cat 2>/dev/null)"
}
describe "priv-net-run ends with the status of the command and leaves nothing" keeps_status

# interrupt SIGNAL: of a run whose command is at work.
interrupt() {
  local child status=0
  "$run" sh -c "touch $work/started; exec sleep 60" 2>"$errors" &
  child=$!
  until [[ -e $work/started ]]; do
    kill -0 "$child" || fail "priv-net-run ended: $(<"$errors")"
    sleep 0.02
  done
  kill "-$1" "$child"
  wait "$child" || status=$?
  expect_equal "status" "$2" "$status"
  expect_equal "traces" lo "$(traces)"
}
# The shell lets what it starts in the background ignore SIGINT, and nothing can change that afterwards but job control.
interrupted_by_sigint() { set -m; interrupt INT 130; }
interrupted_by_sigterm() { interrupt TERM 143; }
describe "priv-net-run interrupted by SIGINT leaves nothing" interrupted_by_sigint
describe "priv-net-run interrupted by SIGTERM leaves nothing" interrupted_by_sigterm

interrupted_while_attaching() {
  local child delay
  for delay in 0.03 0.06 0.09 0.12 0.15 0.18 0.22 0.26 0.3 0.4; do
    "$run" sleep 60 2>"$errors" &
    child=$!
    sleep "$delay"
    kill -TERM "$child"
    wait "$child" && fail "status 0 after SIGTERM"
    expect_equal "traces after SIGTERM at $delay s" lo "$(traces)"
  done
}
describe "priv-net-run interrupted while it attaches leaves nothing" interrupted_while_attaching

second_network_fails() {
  export NETCONFPATH=$work/networks
  mkdir "$NETCONFPATH"
  cp "$root/examples/net.d/10-mynet.conflist" "$NETCONFPATH"
  echo '{"cniVersion": "1.0.0", "name": "second", "type": "macvlan", "master": "nothere0"}' \
    >"$NETCONFPATH/20-second.conf"
  expect_equal "status" 1 "$(status_of "$run" touch "$work/ran")"
  expect_contains "error" "$(<"$errors")" "second : error executing ADD: plugin macvlan: "
  expect_contains "error" "$(<"$errors")" "nothere0"
  [[ ! -e $work/ran ]] || fail "the command ran without its networks"
  expect_equal "traces" lo "$(traces)"
}
describe "priv-net-run leaves nothing when the second network fails" second_network_fails

ends_leftover_processes() {
  expect_equal "status" 3 "$(status_of "$run" sh -c "trap '' TERM; sleep 300 & echo \$! >$work/pid; exit 3")"
  # Ended, though perhaps nobody has asked for its status yet.
  expect_equal "state of the process left behind" Z "$(awk '/^State:/ { print $2 }' "/proc/$(<"$work/pid")/status" 2>/dev/null || echo Z)"
  expect_equal "traces" lo "$(traces)"
}
describe "priv-net-run ends what the command left running" ends_leftover_processes

shares_the_bridge() {
  local child
  "$run" sh -c "touch $work/started; until [ -e $work/end ]; do sleep 0.02; done" 2>"$errors" &
  child=$!
  until [[ -e $work/started ]]; do sleep 0.02; done
  "$run" ping -c 1 -i 0.2 -w 5 10.22.0.2 >/dev/null || fail "two runs on one bridge do not reach each other"
  expect_contains "links while the first run lasts" "$(ip -br link)" cni0
  expect_equal "forwarding while the first run lasts" 1 "$(</proc/sys/net/ipv4/ip_forward)"
  touch "$work/end"
  wait "$child"
  expect_equal "traces" lo "$(traces)"
  expect_equal "forwarding after the last run" 0 "$(</proc/sys/net/ipv4/ip_forward)"
  expect_equal "rules after the last run" "" "$(nft list ruleset | grep -i cni || true)"
  # Where only nftables is there.
  mkdir "$work/networks"
  jq '.plugins[0].ipMasqBackend = "nftables"' "$root/examples/net.d/10-mynet.conflist" >"$work/networks/10-mynet.conflist"
  NETCONFPATH=$work/networks "$run" sh -c "nsenter --net=/proc/$$/ns/net nft list ruleset >$work/rules"
  expect_contains "rules while it runs" "$(<"$work/rules")" cni_plugins_masquerade
  expect_equal "rules after it" "" "$(nft list ruleset | grep -i cni || true)"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  "$run" true
  expect_equal "forwarding that was on before" 1 "$(</proc/sys/net/ipv4/ip_forward)"

  ip link add cni0 type bridge
  "$run" true
  expect_contains "a bridge that was there before" "$(ip -br link)" cni0
}
describe "priv-net-run removes the bridge after its last run and keeps one that was there" shares_the_bridge

run_cases "$@"
