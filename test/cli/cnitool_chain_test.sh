#!/bin/bash
# Tests of cnitool with real plugins in namespaces: attaching, what plugins and delegates took, and the cache.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"

real_network() {
  export NETCONFPATH=$root/examples/net.d
  mkdir "$work/tmp"
  export TMPDIR=$work/tmp
  ip netns add x
}

attaches() {
  real_network
  succeeds add mynet /run/netns/x
  expect_equal "result" 10.22.0.2/16 "$(jq -r '.ips[0].address' "$work/out")"
  expect_contains "addresses" "$(ip -n x -br address show dev eth0)" 10.22.0.2/16
  succeeds check mynet /run/netns/x
  ip -n x address flush dev eth0
  fails 'plugin "bridge", network "mynet"' check mynet /run/netns/x
  # What is attached already is not taken away by an add that fails.
  cni add mynet /run/netns/x
  expect_equal "status" 1 "$status"
  expect_contains "error" "$(<"$errors")" "it was attached before, and stays so"
  expect_contains "links" "$(ip -n x -br link)" eth0
  succeeds del mynet /run/netns/x
  expect_equal "links" lo "$(ip -n x -j link | jq -r '.[].ifname')"
}
describe "cnitool attaches and checks and detaches a namespace with real plugins" attaches

examples_of_the_tree() {
  unset NETCONFPATH CNI_PATH
  ip netns add x
  # A tree as a clone has it: the executables are in bin/.
  mkdir -p "$work/tree/bin" "$work/tree/cnitool"
  cp -r "$root/examples" "$work/tree"
  touch "$work/tree/cnitool/main.cpp"
  cp "$(dirname "$CNITOOL")"/{bridge,host-local,cnitool} "$work/tree/bin"
  # An installed bridge would come first.
  if [[ -d /opt/cni ]]; then mount -t tmpfs tmpfs /opt/cni; fi
  CNITOOL=$work/tree/bin/cnitool
  cni add mynet /run/netns/x
  expect_equal "status" 0 "$status"
  expect_equal "note" "cnitool: no network in /etc/cni/net.d; taking the examples in $work/tree/examples/net.d" "$(<"$errors")"
  rm "$work/tree/cnitool/main.cpp"
  fails 'no net configurations found in /etc/cni/net.d' add mynet /run/netns/x
}
describe "cnitool works in a fresh source tree without any setting" examples_of_the_tree

# expect_delegates: the document names bridge and, below it, host-local, with times that can be.
expect_delegates() {
  expect_equal "timing of $1" "bridge $1 host-local $1" \
    "$(document '.timing | .[-1] | "\(.type) \(.command) \(.delegates[0].type) \(.delegates[0].command)"')"
  expect_equal "times" true "$(document '.timing[-1] | .ms > 0 and .delegates[0].ms > 0 and .ms < 20000')"
}

times() {
  succeeds add mynet /run/netns/x --timing --json
  expect_equal "result" 10.22.0 "$(document '.ips[0].address' | cut -d. -f1-3)"
  expect_delegates ADD
  succeeds del mynet /run/netns/x --timing --json
  expect_delegates DEL
  cni add mynet /run/netns/x --timing
  expect_equal "status" 0 "$status"
  expect_equal "table" "PLUGIN COMMAND MS
bridge ADD N
host-local ADD N" "$(sed -E 's/^ +//; s/ +/ /g; s/[0-9]+\.[0-9]$/N/' "$errors")"
  jq . "$work/out" >/dev/null || fail "the table spoils the result"
  succeeds del mynet /run/netns/x
  expect_equal "temporary folders" "" "$(ls -A "$TMPDIR")"
}
real_times() { real_network; times; }
describe "cnitool --timing shows plugins and delegates" real_times

reference_times() {
  [[ -n ${CNI_REFERENCE:-} ]] || { echo "SKIPPED: CNI_REFERENCE names no reference plugins"; exit 0; }
  real_network
  export CNI_PATH=$CNI_REFERENCE
  # The reference asks iptables for masquerading, which this is not about.
  mkdir "$work/networks"
  jq 'del(.plugins[0].ipMasq)' "$NETCONFPATH/10-mynet.conflist" >"$work/networks/mynet.conflist"
  export NETCONFPATH=$work/networks
  times
}
describe "cnitool --timing shows the reference plugins and their delegates" reference_times

failed_times() {
  real_network
  fake odd
  export CNI_PATH=$work/bin
  cat >"$work/bin/odd" <<'PLUGIN'
#!/bin/bash
# A delegate by way of a shell, and one that kills itself.
cat >/dev/null
(exec "${CNI_PATH%%:*}/inner" </dev/null >/dev/null)
kill -KILL $$
PLUGIN
  printf '#!/bin/bash\nexit 3\n' >"$work/bin/inner"
  chmod +x "$work/bin/inner"
  network odd 1.0.0 odd
  export NETCONFPATH=$work/networks
  cni add odd /run/netns/x --timing --json
  expect_equal "status" 1 "$status"
  expect_contains "error" "$(document .msg)" "signal: killed"
  expect_equal "runs" "odd true inner true" \
    "$(document '.timing[0] | "\(.type) \(.failed) \(.delegates[0].type) \(.delegates[0].failed)"')"
  cni add odd /run/netns/x --timing
  expect_contains "table" "$(<"$errors")" failed
  expect_equal "temporary folders" "" "$(ls -A "$TMPDIR")"
}
describe "cnitool --timing hands on how a plugin ended" failed_times

cache_lists() {
  real_network
  succeeds cache ls
  expect_equal "empty list" "no attachment is remembered in /var/lib/cni" "$(<"$work/out")"
  ip netns add y
  succeeds add mynet /run/netns/x --container-id cx
  succeeds add mynet /run/netns/y --container-id cy --args IgnoreUnknown=1
  ip netns delete y
  echo torn >/var/lib/cni/results/torn
  succeeds cache ls
  expect_equal "table" "NETWORK CONTAINER INTERFACE NETNS EXISTS ADDRESSES
mynet cx eth0 /run/netns/x yes 10.22.0.2/16
mynet cy eth0 /run/netns/y gone 10.22.0.3/16
unreadable: /var/lib/cni/results/torn" "$(sed -E 's/ +/ /g' "$work/out")"
  succeeds cache ls --json
  expect_equal "document" "cx true,cy false" \
    "$(document '[.attachments[] | "\(.containerId) \(.netnsExists)"] | join(",")')"
  expect_equal "unreadable" /var/lib/cni/results/torn "$(document '.unreadable[]')"
  succeeds cache show mynet cy --json
  expect_equal "shown" '/run/netns/y mynet [["IgnoreUnknown","1"]] 10.22.0.3/16' \
    "$(document '"\(.netns) \(.config.name) \(.cniArgs | tojson) \(.result.ips[0].address)"')"
  fails 'nothing is remembered of network "mynet", container "cz"' cache show mynet cz
  succeeds add mynet /run/netns/x --container-id cx -i eth1
  fails 'container "cx" has several interfaces in network "mynet": eth0, eth1; name one' cache show mynet cx
  succeeds cache show mynet cx eth1
  expect_equal "interface" eth1 "$(jq -r .ifName "$work/out")"
}
describe "cnitool cache ls and show tell what is remembered" cache_lists

cache_prunes() {
  real_network
  ip netns add y
  succeeds add mynet /run/netns/x --container-id cx
  succeeds add mynet /run/netns/y --container-id cy
  ip netns delete y
  echo torn >/var/lib/cni/results/torn
  cni cache prune
  expect_equal "status" 1 "$status"
  expect_contains "list" "$(<"$errors")" "/var/lib/cni/results/torn"
  expect_contains "error" "$(<"$errors")" "nobody can be asked: say --yes"
  succeeds cache prune --yes
  expect_equal "output" "removed /var/lib/cni/results/torn" "$(<"$work/out")"
  expect_equal "addresses" "10.22.0.2 10.22.0.3" "$(find /var/lib/cni/networks/mynet -name '10.*' -printf '%f\n' | sort | xargs)"
  at_terminal $'n\n' cache prune --gone
  expect_contains "list" "$(<"$work/out")" "mynet cy/eth0 (/run/netns/y)"
  expect_equal "status after no" 1 "$status"
  # The network need not be configured any more.
  NETCONFPATH=$work/none succeeds cache prune --gone -y --json
  expect_equal "deleted" cy "$(document '.deleted[].containerId')"
  expect_equal "addresses" 10.22.0.2 "$(find /var/lib/cni/networks/mynet -name '10.*' -printf '%f\n')"
  succeeds cache prune --gone --yes
  expect_equal "output" "nothing to remove" "$(<"$work/out")"
}
describe "cnitool cache prune removes torn files and attachments without namespace" cache_prunes

run_cases "$@"
