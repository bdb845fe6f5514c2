#!/bin/bash
# Tests of cnitool update: which plugins it asks for what, what it remembers, and that it changes all or nothing.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"

# knows TYPE...: makes fake plugins that know UPDATE, as our skeleton answers it. They can change the key `live` alone; apply-TYPE
# in $work makes it fail when it has to change something.
knows() {
  local type
  for type; do
    fake "$type"
    mv "$work/bin/$type" "$work/$type.real"
    cat >"$work/bin/$type" <<'PLUGIN'
#!/bin/bash
work=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/..
type=$(basename "$0")
if [[ $CNI_COMMAND == UPDATE && -z $CNI_CONTAINERID ]]; then
  echo '{"cniVersion": "1.1.0", "code": 4, "msg": "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing"}'
  exit 1
fi
if [[ $CNI_COMMAND != UPDATE ]]; then
  cd "$work"
  exec bash -c "$(sed 's/^work=.*/work=$PWD/; s/^type=.*/type=$0/' "$work/$type.real")" "$type"
fi
config=$(cat)
jq -r --arg type "$type" '.["cni.dev/update"] as $update |
  "UPDATE \($type) \(if $update.trial then "trial" else "now" end) \($update.previous.live // "-") \(.live // "-") \(.runtimeConfig.rate // "-")"' \
  <<<"$config" >>"$work/calls"
if jq -e '(.fixed // 0) != (.["cni.dev/update"].previous.fixed // 0)' <<<"$config" >/dev/null; then
  echo '{"cniVersion": "1.1.0", "code": 108, "msg": "fixed cannot change"}'
  exit 1
fi
trial=$(jq '.["cni.dev/update"].trial' <<<"$config")
if [[ $trial == false && -e $work/apply-$type ]]; then
  echo '{"cniVersion": "1.1.0", "code": 102, "msg": "the kernel refuses it"}'
  exit 1
fi
jq '.["cni.dev/update"] as $update | {cniVersion: .cniVersion,
  changed: [if .live != $update.previous.live then {key: "live", from: $update.previous.live, to: .live} else empty end,
    if .runtimeConfig.rate != $update.previous.runtimeConfig.rate
    then {key: "runtimeConfig.rate", from: $update.previous.runtimeConfig.rate, to: .runtimeConfig.rate} else empty end]}
  + if $update.trial then {} else {result: (.prevResult + {made: (.prevResult.made + "-" + (.live // "x" | tostring))})} end' <<<"$config"
PLUGIN
    chmod +x "$work/bin/$type"
  done
}

# edit FILTER: the network mynet.
edit() {
  jq "$1" "$work/networks/mynet.conflist" >"$work/edited"
  mv "$work/edited" "$work/networks/mynet.conflist"
}

# remembered FILTER: of the attachment.
remembered() { jq -r "$1" /var/lib/cni/results/*; }

attach() {
  ip netns add c1
  network mynet 1.1.0 "$@"
  succeeds add mynet /run/netns/c1 --container-id c1
  : >"$work/calls"
}

changes_what_differs() {
  knows a b
  fake foreign
  attach a foreign b
  edit '.plugins[2].live = 2'
  succeeds update mynet /run/netns/c1 --container-id c1
  expect_equal "table" "PLUGIN KEY FROM TO
b live - 2" "$(sed -E 's/ +/ /g' "$work/out")"
  # Plugins whose configuration is the same are not called, whether they know the verb or not.
  expect_equal "calls" "UPDATE b trial - 2 -
UPDATE b now - 2 -" "$(calls)"
  expect_equal "remembered result" "aforeignb-2" "$(remembered .result.made)"
  expect_equal "remembered configuration" 2 "$(remembered .config | base64 -d | jq '.plugins[2].live')"
  : >"$work/calls"
  succeeds update mynet /run/netns/c1 --container-id c1
  expect_equal "second time" "nothing to change" "$(<"$work/out")"
  expect_equal "calls the second time" "" "$(calls)"
}
describe "cnitool update calls the plugins whose configuration differs and remembers it" changes_what_differs

shows_only() {
  knows a
  attach a
  edit '.plugins[0].live = 2'
  succeeds update mynet /run/netns/c1 --container-id c1 --dry-run --json
  expect_equal "document" '[true,[{"changed":[{"from":null,"key":"live","to":2}],"type":"a"}],false]' \
    "$(jq -c '[.trial, .plugins, has("result")]' "$work/out")"
  expect_equal "calls" "UPDATE a trial - 2 -" "$(calls)"
  expect_equal "remembered configuration" null "$(remembered .config | base64 -d | jq '.plugins[0].live')"
}
describe "cnitool update --dry-run shows what would change and changes nothing" shows_only

merges_capabilities() {
  knows a
  ip netns add c1
  network mynet 1.1.0 a
  edit '.plugins[0].capabilities = {rate: true, other: true}'
  succeeds add mynet /run/netns/c1 --container-id c1 --args K=V --capability rate=1 --capability 'other={"x": 1}'
  : >"$work/calls"
  succeeds update mynet /run/netns/c1 --container-id c1 --capability rate=2
  expect_equal "calls" "UPDATE a trial - - 2
UPDATE a now - - 2" "$(calls)"
  expect_equal "remembered" '{"other":{"x":1},"rate":2}' "$(remembered '.capabilityArgs | tojson')"
  expect_equal "remembered arguments" "K V" "$(remembered '.cniArgs[0] | join(" ")')"
  succeeds update mynet /run/netns/c1 --container-id c1 --capability rate=null
  expect_equal "last call" "UPDATE a now - - -" "$(calls | tail -n 1)"
}
describe "cnitool update keeps capability arguments that are not given" merges_capabilities

refuses() {
  knows a
  fake foreign
  attach a foreign
  edit '.plugins[0].live = 2 | .plugins[1].live = 2'
  fails 'the configuration of plugin foreign (number 2) changed, and it cannot change running attachments' \
    update mynet /run/netns/c1 --container-id c1
  edit 'del(.plugins[1].live) | .plugins[0].fixed = 1'
  fails 'plugin type="a" failed (update): fixed cannot change' update mynet /run/netns/c1 --container-id c1
  edit '.plugins += [{type: "a"}]'
  fails "the network's plugins changed from a, foreign to a, foreign, a" update mynet /run/netns/c1 --container-id c1
  edit 'del(.plugins[2]) | .cniVersion = "1.0.0"'
  fails "the network's version changed from 1.1.0 to 1.0.0" update mynet /run/netns/c1 --container-id c1
  edit '.cniVersion = "1.1.0"'
  fails "the arguments (CNI_ARGS) are not those" update mynet /run/netns/c1 --container-id c1 --args K=V
  fails "the container was added with the network namespace /run/netns/c1, not /run/netns/c2" \
    update mynet /run/netns/c2 --container-id c1
  fails 'network "mynet", container "c9", interface "eth0" is not in the cache' update mynet /run/netns/c1 --container-id c9
  expect_equal "nothing was changed" "" "$(calls | grep ' now ' || true)"
}
describe "cnitool update names what cannot change and changes nothing then" refuses

changes_back() {
  knows a b c
  attach a b c
  edit '.plugins[].live = 2'
  touch "$work/apply-b"
  fails 'plugin type="b" failed (update): the kernel refuses it' update mynet /run/netns/c1 --container-id c1
  # b too, since it may have been killed in the middle; that it fails again is said.
  expect_equal "calls" "UPDATE a trial - 2 -
UPDATE b trial - 2 -
UPDATE c trial - 2 -
UPDATE a now - 2 -
UPDATE b now - 2 -
UPDATE b now 2 - -
UPDATE a now 2 - -" "$(calls)"
  expect_contains "details" "$(<"$errors")" 'undo failed: plugin type="b" failed (update): the kernel refuses it'
  expect_equal "remembered configuration" null "$(remembered .config | base64 -d | jq '.plugins[0].live')"
  expect_equal "remembered result" abc "$(remembered .result.made)"
}
describe "cnitool update changes back what it has changed when a plugin fails" changes_back

# ---- real plugins

# answers PORT: whether c1 answers on that port of the host.
answers() {
  local line
  line=$(ip netns exec client timeout 5 bash -c "exec 3<>/dev/tcp/192.0.2.1/$1 && echo hello >&3 && head -n 1 <&3" 2>/dev/null)
  [[ $line == hello ]]
}

real_chain() {
  NETCONFPATH=$work/networks
  export NETCONFPATH
  mkdir -p "$NETCONFPATH"
  cat >"$NETCONFPATH/mynet.conflist" <<'JSON'
{"cniVersion": "1.1.0", "name": "mynet", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.22.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}},
  {"type": "firewall", "backend": "nftables"}]}
JSON
  ip netns add c1
  ip netns add client
  ip link add outside type veth peer name eth0 netns client
  ip address add 192.0.2.1/24 dev outside
  ip link set outside up
  ip -n client address add 192.0.2.2/24 dev eth0
  ip -n client link set eth0 up
  local ports='portMappings=[{"hostPort": 8001, "containerPort": 80, "protocol": "tcp"}]'
  succeeds add mynet /run/netns/c1 --container-id c1 --capability "$ports"
  # Gives back each line, to any number of clients at once. A process group of its own, to be ended as a whole.
  # shellcheck disable=SC2016  # it is Perl
  setsid ip netns exec c1 perl -MIO::Socket::INET -e '$SIG{CHLD} = "IGNORE";
    my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 9) or die $!;
    while (my $client = $server->accept) {
      next if fork;
      $client->autoflush(1);
      print $client $_ while <$client>;
      exit;
    }' >/dev/null 2>&1 &
  local server=$!
  until ip netns exec c1 ss -Hltn sport = :80 | grep -q LISTEN; do :; done
  until answers 8001; do :; done
  # A connection that is open meanwhile.
  # shellcheck disable=SC2016  # for the shell in the namespace
  coproc OPEN { ip netns exec client bash -c 'exec 3<>/dev/tcp/192.0.2.1/8001
    while read -r line; do echo "$line" >&3; read -r line <&3; echo "$line"; done'; }
  local line
  echo one >&"${OPEN[1]}"
  read -r line <&"${OPEN[0]}"
  expect_equal "before" one "$line"

  ports='portMappings=[{"hostPort": 8002, "containerPort": 80, "protocol": "tcp"}]'
  edit '.plugins[0].ipam.routes += [{dst: "10.99.0.0/16"}] | .plugins[2].ingressPolicy = "same-bridge"'
  succeeds update mynet /run/netns/c1 --container-id c1 --capability "$ports"
  expect_equal "changed" "bridge ipam.routes
portmap runtimeConfig.portMappings
firewall ingressPolicy" "$(sed 1d "$work/out" | awk '{print $1, $2}')"
  answers 8002 || fail "the new port is not published"
  ! answers 8001 || fail "the old port is still published"
  expect_contains "route" "$(ip -n c1 route)" "10.99.0.0/16 via 10.22.0.1"
  echo two >&"${OPEN[1]}"
  read -r -t 20 line <&"${OPEN[0]}"
  expect_equal "the connection goes on" two "$line"
  succeeds check mynet /run/netns/c1 --container-id c1 --capability "$ports"

  # What the first plugin can change is changed back when the second one fails.
  succeeds add mynet /run/netns/client --container-id other -i net1 \
    --capability 'portMappings=[{"hostPort": 8003, "containerPort": 80, "protocol": "tcp"}]'
  edit '.plugins[0].ipam.routes = [{dst: "0.0.0.0/0"}]'
  local before
  before=$(ip -n c1 route)
  fails "8003" update mynet /run/netns/c1 --container-id c1 --capability "${ports/8002/8003}"
  expect_equal "routes" "$before" "$(ip -n c1 route)"
  answers 8002 || fail "the port is not published any more"
  succeeds del mynet /run/netns/client --container-id other -i net1
  succeeds del mynet /run/netns/c1 --container-id c1
  ! nft list ruleset | grep -q 10.22.0.2 || fail "something is left"
  kill -- "-$server"
}
describe "cnitool update changes a real chain under an open connection" real_chain

run_cases "$@"
