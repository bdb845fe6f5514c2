#!/bin/bash
# Tests of cnitool reconcile: what it asks of which plugins, and real rules that others removed.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"

# container NAME...: namespaces.
container() {
  local name
  for name; do ip netns add "$name"; done
}

# knows TYPE: makes a fake plugin that knows RECONCILE, as our skeleton answers it: what it restored is in $work/restores-TYPE.
knows() {
  fake "$1"
  mv "$work/bin/$1" "$work/$1.real"
  cat >"$work/bin/$1" <<'PLUGIN'
#!/bin/bash
work=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/..
type=$(basename "$0")
if [[ $CNI_COMMAND == RECONCILE && -z $CNI_CONTAINERID ]]; then
  echo '{"cniVersion": "1.1.0", "code": 4, "msg": "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing"}'
  exit 1
fi
if [[ $CNI_COMMAND == RECONCILE && -e $work/then-RECONCILE ]]; then . "$work/then-RECONCILE"; fi
cd "$work"
bash -c "$(sed 's/^work=.*/work=$PWD/; s/^type=.*/type=$0/' "$work/$type.real")" "$type" || exit 1
if [[ $CNI_COMMAND == RECONCILE ]]; then
  jq -n --argjson restored "$(cat "$work/restores-$type" 2>/dev/null || echo '[]')" '{cniVersion: "1.1.0", restored: $restored}'
fi
PLUGIN
  chmod +x "$work/bin/$1"
}

# state CONTAINER: of the attachment in the document.
state() { jq -r --arg id "$1" '.attachments[] | select(.containerId == $id) | .state' "$work/out"; }

asks_plugins() {
  knows a
  fake b
  container c1 c2
  network mynet 1.1.0 a b
  network other 1.1.0 a
  succeeds add mynet /run/netns/c1 --container-id c1 --args K=V
  succeeds add other /run/netns/c2 --container-id c2
  : >"$work/calls"
  succeeds reconcile
  expect_equal "table" "NETWORK CONTAINER INTERFACE STATE RESTORED
mynet c1 eth0 checked -
other c2 eth0 unchanged -" "$(sed -E 's/ +/ /g' "$work/out")"
  # The plugin that does not know the verb is asked about no attachment, and then for CHECK.
  expect_equal "calls" "RECONCILE a eth0 c1 K=V ab
RECONCILE b   - -
CHECK b eth0 c1 K=V ab
RECONCILE a eth0 c2 - a" "$(calls)"
  : >"$work/calls"
  echo '[{"what": "masquerade", "missing": "not there"}]' >"$work/restores-a"
  succeeds reconcile other
  expect_contains "table" "$(<"$work/out")" "a: masquerade"
  expect_equal "calls" "RECONCILE a eth0 c2 - a" "$(calls)"
  succeeds reconcile other mynet --json
  expect_equal "states" "restored restored" "$(state c1) $(state c2)"
  expect_equal "plugins" "a:restored:true b:checked:false a:restored:true" \
    "$(document '[.attachments[].plugins[] | "\(.type):\(.state):\(.knowsReconcile)"] | join(" ")')"
  expect_equal "what was missing" "not there" "$(document '.attachments[0].plugins[0].restored[0].missing')"
  fails 'no net configuration with name "absent"' reconcile absent
  : >"$work/calls"
  succeeds reconcile --dry-run
  expect_equal "dry run" "mynet c1/eth0 RECONCILE $work/bin/a
mynet c1/eth0 RECONCILE $work/bin/b
other c2/eth0 RECONCILE $work/bin/a" "$(<"$work/out")"
  expect_equal "calls" "" "$(calls)"
}
describe "cnitool reconcile asks plugins that know RECONCILE and checks the others" asks_plugins

goes_on() {
  knows a
  fake b gone
  container c1 c2 c3 c4 c5 c6
  network n1 1.1.0 a
  network n2 1.1.0 gone
  network n3 1.1.0 b
  network n4 0.3.1 a
  succeeds add n1 /run/netns/c1 --container-id c1
  succeeds add n2 /run/netns/c2 --container-id c2
  succeeds add n3 /run/netns/c3 --container-id c3
  succeeds add n4 /run/netns/c4 --container-id c4
  succeeds add n1 /run/netns/c5 --container-id c5
  succeeds add n1 /run/netns/c6 --container-id c6
  rm "$work/bin/gone"
  echo '{"code": 105, "msg": "no rule"}' >"$work/fail-CHECK-b"
  ip netns delete c5
  echo '{"kind": "cniCacheV1", ' >/var/lib/cni/results/n1-c0-eth0
  : >"$work/calls"
  cni reconcile
  expect_equal "status" 1 "$status"
  expect_equal "states" "n1 c1 unchanged
n1 c5 gone
n1 c6 unchanged
n2 c2 failed
n3 c3 failed
n4 c4 failed" "$(awk 'NR > 1 { print $1, $2, $4 }' "$work/out")"
  expect_equal "calls about gone containers" "" "$(grep c5 "$work/calls" || true)"
  expect_equal "lines on stderr" 4 "$(wc -l <"$errors")"
  expect_contains "missing plugin" "$(<"$errors")" 'failed to find plugin "gone" in path'
  expect_contains "failed CHECK" "$(<"$errors")" "no rule; plugin b does not know RECONCILE and CHECK failed; delete and add"
  expect_contains "old version" "$(<"$errors")" 'configuration version "0.3.1" does not support the RECONCILE command'
  expect_contains "unreadable file" "$(<"$errors")" "/var/lib/cni/results/n1-c0-eth0 is not what is remembered of an attachment"
  cni reconcile --json
  expect_equal "status, stderr" "1 " "$status $(<"$errors")"
  expect_equal "unreadable" /var/lib/cni/results/n1-c0-eth0 "$(document '.unreadable[]')"
  expect_equal "code" 105 "$(document '.attachments[] | select(.containerId == "c3") | .errors[0].code')"
  cni reconcile n2
  expect_equal "status, lines" "1 1" "$status $(wc -l <"$errors")"
  # What is gone is no failure.
  rm /var/lib/cni/results/n1-c0-eth0
  succeeds reconcile n1
}
describe "cnitool reconcile goes on after what cannot be restored" goes_on

takes_remembered_network() {
  knows a
  fake b
  container c1
  network mynet 1.1.0 a
  succeeds add mynet /run/netns/c1 --container-id c1
  # Since then the network was changed, and then removed.
  network mynet 1.1.0 a b
  : >"$work/calls"
  succeeds reconcile
  expect_equal "calls" "RECONCILE a eth0 c1 - a" "$(calls)"
  rm "$work/networks/mynet.conflist"
  : >"$work/calls"
  succeeds reconcile mynet
  expect_equal "calls" "RECONCILE a eth0 c1 - a" "$(calls)"
}
describe "cnitool reconcile takes the network as it was when the container was attached" takes_remembered_network

deleted_meanwhile() {
  knows a
  container c1
  network mynet 1.1.0 a
  succeeds add mynet /run/netns/c1 --container-id c1
  echo '[{"what": "masquerade", "missing": "not there"}]' >"$work/restores-a"
  # A container runtime that knows of no lock deletes it just then.
  echo 'rm /var/lib/cni/results/mynet-c1-eth0; ip netns delete c1' >"$work/then-RECONCILE"
  : >"$work/calls"
  succeeds reconcile --json
  expect_equal "state" gone "$(state c1)"
  expect_equal "calls" "RECONCILE a eth0 c1 - a
DEL a eth0 c1 - -" "$(calls)"
}
describe "cnitool reconcile deletes what it restored for a container that was deleted meanwhile" deleted_meanwhile

waits_for_del() {
  knows a
  container c1
  network mynet 1.1.0 a
  succeeds add mynet /run/netns/c1 --container-id c1
  mkfifo "$work/go" "$work/at"
  # shellcheck disable=SC2016  # the plugin's variables
  echo 'echo "$CNI_COMMAND" >"$work/at"; read -r _ <"$work/go"' >"$work/then-RECONCILE"
  : >"$work/calls"
  "$CNITOOL" reconcile >"$work/reconciled" &
  expect_equal "command" RECONCILE "$(<"$work/at")"
  "$CNITOOL" del mynet /run/netns/c1 --container-id c1 &
  # It is asleep at the lock, which only a running DEL wants.
  local waiting=
  until [[ -n $waiting ]]; do waiting=$(awk '$2 == "->" && $3 == "FLOCK"' /proc/locks); done
  expect_equal "calls before" "" "$(calls)"
  echo >"$work/go"
  wait
  expect_equal "calls" "RECONCILE a eth0 c1 - a
DEL a eth0 c1 - a" "$(calls)"
  succeeds reconcile
  expect_equal "after DEL" "no attachment is remembered" "$(<"$work/out")"
}
describe "cnitool del waits for a reconcile of the attachment" waits_for_del

# ---- real plugins

# masquerading NAME BACKEND SUBNET [MORE]: a network of real plugins.
masquerading() {
  jq -n --arg name "$1" --arg backend "$2" --arg subnet "$3" --argjson more "${4:-{\}}" '{name: $name, cniVersion: "1.1.0", plugins: [
    {type: "bridge", bridge: ("br-" + $name), isGateway: true, ipMasq: true, ipMasqBackend: $backend,
     ipam: {type: "host-local", ranges: [[{subnet: $subnet}], [{subnet: "fd00:22::/64"}]], routes: [{dst: "0.0.0.0/0"}]}} + $more]}' \
    >"$work/networks/$1.conflist"
}

prepare_real() {
  mkdir "$work/networks"
  export NETCONFPATH=$work/networks
  container c1 c2 c3
  # The world outside, which knows no way back to containers.
  ip link add out0 type veth peer name eth0 netns c3
  ip address add 192.0.2.1/24 dev out0
  ip link set out0 up
  ip -n c3 address add 192.0.2.2/24 dev eth0
  ip -n c3 link set eth0 up
}

# The rules, sorted, without handles and counters.
rules() {
  # What iptables put there nft can only show as comments, with a warning.
  nft -s list ruleset 2>/dev/null | sed -E 's/elements = \{ //; s/,$//; s/ \}$//; s/counter packets [0-9]+ bytes [0-9]+/counter/; s/^\s+//' |
    sort
  iptables-save -t nat | sed 's/\[[0-9:]*\]//; /^#/d' | sort
  ip6tables-save -t nat | sed 's/\[[0-9:]*\]//; /^#/d' | sort
}

# With handles, but without counters: equal only if nothing was added or removed.
rules_with_handles() { nft -s -a list ruleset 2>/dev/null | sed -E 's/counter packets [0-9]+ bytes [0-9]+/counter/'; }

reaches_outside() { ip netns exec "$1" ping -q -c 1 -W 2 192.0.2.2 >/dev/null; }

restores() {
  local backend=$1 flush=$2 id
  prepare_real
  masquerading mynet "$backend" 10.22.0.0/16 "$3"
  for id in c1 c2; do succeeds add mynet "/run/netns/$id" --container-id "$id"; done
  reaches_outside c1 || fail "no masquerade to begin with"
  rules >"$work/before"
  rules_with_handles >"$work/handles"
  succeeds reconcile --json
  expect_equal "states" "unchanged unchanged" "$(state c1) $(state c2)"
  diff "$work/handles" <(rules_with_handles) || fail "what is right was touched"
  bash -c "$flush"
  ! reaches_outside c1 || fail "nothing was flushed"
  succeeds reconcile --json
  expect_equal "states" "restored restored" "$(state c1) $(state c2)"
  expect_contains "restored" "$(document '[.attachments[0].plugins[0].restored[].what] | join(", ")')" masquerade
  diff "$work/before" <(rules) || fail "the rules are not as they were"
  for id in c1 c2; do reaches_outside "$id" || fail "$id is not masqueraded again"; done
  rules_with_handles >"$work/handles"
  succeeds reconcile
  diff "$work/handles" <(rules_with_handles) || fail "what is right was touched"
  # And DEL finds everything.
  for id in c1 c2; do succeeds del mynet "/run/netns/$id" --container-id "$id"; done
  ! rules | grep -E '10\.22\.0\.[0-9]+ |fd00:22::[0-9]|veth[0-9a-f]+|CNI-' || fail "rules are left"
}

restores_nftables() { restores nftables "nft flush ruleset" '{}'; }
restores_spoof_check() {
  local mac
  restores nftables "nft flush ruleset" '{"macspoofchk": true}'
  succeeds add mynet /run/netns/c1 --container-id c1
  nft flush ruleset
  # The container chose another address in the meantime, which does not become its own by that.
  mac=$(jq -r '.interfaces[2].mac' "$work/out")
  ip -n c1 link set eth0 address 02:00:00:00:00:99
  succeeds reconcile --json
  expect_equal "restored" "masquerade, MAC spoof check" \
    "$(document '[.attachments[0].plugins[0].restored[].what] | join(", ")')"
  expect_contains "allowed" "$(nft list set bridge nat cni-macspoofchk-allowed)" "$mac"
  ! nft list table bridge nat | grep -F 02:00:00:00:00:99 || fail "the container chose its address"
}
restores_iptables() { restores iptables "iptables -t nat -F; ip6tables -t nat -F" '{}'; }
restores_iptables_ruleset() { restores iptables "nft flush ruleset" '{}'; }

# Rules of iptables are appended by two programs as readily as by one.
two_at_once() {
  local id both
  prepare_real
  masquerading mynet iptables 10.22.0.0/16
  for id in c1 c2; do succeeds add mynet "/run/netns/$id" --container-id "$id"; done
  rules >"$work/before"
  for both in 1 2 3; do
    iptables -t nat -F
    "$CNITOOL" reconcile --json >"$work/first" &
    "$CNITOOL" reconcile --json >"$work/second" || fail "round $both"
    wait $! || fail "round $both"
    diff "$work/before" <(rules) || fail "the rules are not as they were"
    expect_equal "restored in all" 2 "$(cat "$work/first" "$work/second" | jq -s '[.[].attachments[].plugins[].restored[]] | length')"
  done
}
describe "two cnitool reconcile at once restore everything once" two_at_once

# What a runtime without our lock of the cache does: the plugins alone have to see to it.
many_plugins_at_once() {
  local round each pids
  prepare_real
  masquerading mynet iptables 10.22.0.0/16
  succeeds add mynet /run/netns/c1 --container-id c1
  jq -c --slurpfile result "$work/out" '.plugins[0] + {name, cniVersion, prevResult: $result[0]}' \
    "$work/networks/mynet.conflist" >"$work/input"
  rules >"$work/before"
  export CNI_COMMAND=RECONCILE CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0
  for round in 1 2 3; do
    iptables -t nat -F
    pids=()
    for each in {1..6}; do
      "$CNI_PATH/bridge" <"$work/input" >"$work/answer-$each" &
      pids+=($!)
    done
    for each in "${pids[@]}"; do wait "$each" || fail "round $round: $(cat "$work"/answer-*)"; done
    expect_equal "restored in all" 1 "$(cat "$work"/answer-* | jq -s '[.[].restored[]] | length')"
    diff "$work/before" <(rules) || fail "round $round: the rules are not as they were"
  done
}
describe "RECONCILE of one attachment many times at once restores everything once" many_plugins_at_once

while_others_add() {
  local id round
  prepare_real
  masquerading mynet nftables 10.22.0.0/16
  masquerading other iptables 10.23.0.0/16
  for id in c1 c2; do succeeds add mynet "/run/netns/$id" --container-id "$id"; done
  (
    for round in {1..12}; do
      "$CNITOOL" add other /run/netns/c1 --container-id c1 -i net1 >/dev/null
      "$CNITOOL" add mynet /run/netns/c2 --container-id c2 -i net1 >/dev/null
      "$CNITOOL" del other /run/netns/c1 --container-id c1 -i net1
      "$CNITOOL" del mynet /run/netns/c2 --container-id c2 -i net1
    done
    touch "$work/done"
  ) 2>"$work/others" &
  until [[ -e $work/done ]]; do
    nft flush table inet cni_plugins_masquerade
    cni reconcile
    expect_equal "status; $(<"$errors")" 0 "$status"
  done
  wait $! || fail "ADD or DEL: $(<"$work/others")"
  expect_equal "what ADD and DEL say" "" "$(<"$work/others")"
  succeeds reconcile
  for id in c1 c2; do
    reaches_outside "$id" || fail "$id is not masqueraded"
    succeeds check mynet "/run/netns/$id" --container-id "$id"
    succeeds del mynet "/run/netns/$id" --container-id "$id"
  done
  ! rules | grep -E '10\.2[23]\.0\.[0-9]+ |fd00:22::[0-9]|CNI-' || fail "rules are left"
}
describe "cnitool reconcile may run while containers are added and deleted" while_others_add

one_family_only() {
  prepare_real
  masquerading mynet iptables 10.22.0.0/16
  succeeds add mynet /run/netns/c1 --container-id c1
  rules >"$work/before"
  nft -s -a list table ip nat >"$work/handles" 2>/dev/null
  # IPv6 is gone, and cannot be restored: what IPv4 has is not touched, nor taken away with it.
  ip6tables -t nat -F
  mkdir "$work/programs"
  printf '#!/bin/sh\nexit 1\n' >"$work/programs/ip6tables-restore"
  chmod +x "$work/programs/ip6tables-restore"
  PATH=$work/programs:$PATH cni reconcile
  expect_equal "status" 1 "$status"
  expect_contains "error" "$(<"$errors")" "with ip6tables: exit status 1; plugin \"bridge\""
  diff "$work/handles" <(nft -s -a list table ip nat 2>/dev/null) || fail "IPv4 was touched"
  succeeds reconcile
  diff "$work/handles" <(nft -s -a list table ip nat 2>/dev/null) || fail "IPv4 was touched"
  diff "$work/before" <(rules) || fail "the rules are not as they were"
}
describe "cnitool reconcile leaves the family that is right alone" one_family_only

of_the_reference() {
  [[ -n ${CNI_REFERENCE:-} ]] || { echo "SKIPPED: CNI_REFERENCE names no reference plugins"; exit 0; }
  local own=$CNI_PATH
  prepare_real
  masquerading mynet iptables 10.22.0.0/16
  CNI_PATH=$CNI_REFERENCE succeeds add mynet /run/netns/c1 --container-id c1
  rules >"$work/before"
  iptables -t nat -F
  # The reference's CHECK does not look at masquerade.
  CNI_PATH=$CNI_REFERENCE succeeds reconcile --json
  expect_equal "state" checked "$(state c1)"
  ! reaches_outside c1 || fail "somebody restored it"
  CNI_PATH=$own succeeds reconcile --json
  expect_equal "state" restored "$(state c1)"
  reaches_outside c1 || fail "c1 is not masqueraded again"
  diff "$work/before" <(rules) || fail "the rules are not those of the reference"
  ip -n c1 link delete eth0
  CNI_PATH=$CNI_REFERENCE cni reconcile
  expect_equal "status" 1 "$status"
  expect_contains "error" "$(<"$errors")" "plugin bridge does not know RECONCILE and CHECK failed"
  CNI_PATH=$own cni reconcile
  expect_equal "status" 1 "$status"
  expect_contains "error" "$(<"$errors")" "interface eth0 is not in /run/netns/c1; nothing is done for a container that is gone"
}
describe "cnitool reconcile checks attachments of reference plugins and restores them with ours" of_the_reference

describe "cnitool reconcile restores masquerade after nft flush ruleset" restores_nftables
describe "cnitool reconcile restores the MAC spoof check for the address that add gave" restores_spoof_check
describe "cnitool reconcile restores masquerade after iptables -F" restores_iptables
describe "cnitool reconcile restores the masquerade of iptables after nft flush ruleset" restores_iptables_ruleset

# ---- when it runs by itself

# plant_cnitool: a stand-in where the units expect cnitool, which writes down how it was called.
plant_cnitool() {
  mount -t tmpfs tmpfs /opt
  mkdir -p /opt/cni/bin
  printf '#!/bin/sh\necho "$@" >%s\n' "$work/called" >/opt/cni/bin/cnitool
  chmod +x /opt/cni/bin/cnitool
}

units_are_right() {
  command -v systemd-analyze >/dev/null || { echo "SKIPPED: there is no systemd-analyze"; exit 0; }
  plant_cnitool
  cp /opt/cni/bin/cnitool /opt/cni/bin/dhcp
  expect_equal "complaints" "" "$(systemd-analyze verify --man=no "$root"/docs/systemd/*.service "$root"/docs/systemd/*.socket 2>&1)"
}
describe "the systemd units are free of mistakes" units_are_right

hears_firewalld() {
  local program
  for program in dbus-daemon dbus-send busctl; do
    command -v $program >/dev/null || { echo "SKIPPED: there is no $program"; exit 0; }
  done
  plant_cnitool
  mkfifo "$work/called" "$work/says"
  cat >"$work/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=$work/bus</listen>
  <policy context="default"><allow user="*"/><allow send_destination="*"/><allow eavesdrop="true"/></policy></busconfig>
CONF
  export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/bus
  dbus-daemon --config-file="$work/bus.conf" --nofork --print-address=1 >"$work/says" 2>/dev/null &
  local bus=$!
  read -r _ <"$work/says"
  # The command as systemd takes it from the unit: without its quotes and continuations, $$ for $.
  sed -n "/^ExecStart=/,/[^\\\\]$/p" "$root/docs/systemd/cni-reconcile-firewalld.service" |
    sed "s/^ExecStart=.*-c '//; s/'$//; s/\\\\$//; s/[$][$]/$/g" | tr -d '\n' >"$work/command"
  # A process group of its own, to be ended as a whole.
  setsid sh "$work/command" 2>"$work/says" &
  local watch=$! line
  exec 7<"$work/says"
  until [[ ${line:-} == "Monitoring bus message stream." ]]; do read -r line <&7 || fail "it does not listen"; done
  dbus-send --system --type=signal /org/fedoraproject/FirewallD1 org.fedoraproject.FirewallD1.Reloaded
  expect_equal "call" reconcile "$(<"$work/called")"
  kill -- "-$watch"
  kill "$bus"
}
describe "the unit for firewalld runs reconcile when firewalld has reloaded" hears_firewalld

run_cases "$@"
