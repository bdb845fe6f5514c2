#!/bin/bash
# Tests of what cnitool shows: networks and versions, problems, help, completion and the manual page.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"

lists() {
  fake a b
  network first 1.0.0 a b
  network second 1.1.0 a absent
  cp "$work/networks/first.conflist" "$work/networks/zz.conflist"
  echo '{"name": "third", "cniVersion": "1.0.0", "type": "a", "ipam": {"type": "b"}}' >"$work/networks/third.conf"
  echo '{"name": ' >"$work/networks/broken.conf"
  succeeds list
  expect_equal "list" "NAME VERSION PLUGINS FILE
first 1.0.0 a,b $work/networks/first.conflist
second 1.1.0 a,absent $work/networks/second.conflist
first 1.0.0 a,b $work/networks/zz.conflist
third 1.0.0 a+b $work/networks/third.conf
- - - $work/networks/broken.conf" "$(sed -E '/^$/,$d; s/ +/ /g' "$work/out")"
  expect_contains "problem" "$(<"$work/out")" "broken: $work/networks/second.conflist: failed to find plugin \"absent\" in path"
  expect_contains "problem" "$(<"$work/out")" "broken: $work/networks/zz.conflist: hidden by $work/networks/first.conflist"
  expect_contains "problem" "$(<"$work/out")" "broken: $work/networks/broken.conf: error parsing configuration"
  succeeds list --json
  expect_equal "problems" "0 1 1 0 1" "$(document '[.networks[] | .problems // [] | length] | join(" ")')"
  expect_equal "IPAM plugin" b "$(document '.networks[3].plugins[0].ipam')"
  succeeds list --conf-dir "$work/none"
  expect_equal "empty list" "no network in $work/none" "$(<"$work/out")"
  expect_equal "calls" "" "$(calls)"
}
describe "cnitool list shows networks and what is broken" lists

versions() {
  fake a b
  echo '{"name": "one", "cniVersion": "1.1.0", "type": "a", "ipam": {"type": "b"}}' >"$work/networks/one.conf"
  succeeds version one
  expect_equal "table" "network one: version 1.1.0

PLUGIN SUPPORTED VERSIONS PATH
a 0.3.1 0.4.0 1.0.0 1.1.0 $work/bin/a
b 0.3.1 0.4.0 1.0.0 1.1.0 $work/bin/b" "$(sed -E 's/^ +//; s/ +/ /g' "$work/out")"
  echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}' >"$work/versions-b"
  cni version one
  expect_equal "status" 1 "$status"
  expect_contains "table" "$(<"$work/out")" "does not support it"
  cni version one --json
  expect_equal "document" "1 1.1.0 false a,b false,true" \
    "$status $(document '"\(.cniVersion) \(.supported) \([.plugins[].type] | join(",")) \([.plugins[].ipam | tostring] | join(","))"')"
  cni validate one
  expect_equal "status of validate" 1 "$status"
  expect_contains "problem" "$(<"$work/out")" \
    'error: ipam.type: plugin b does not support config version "1.1.0" (value "b"; hint: it supports 0.3.1, 0.4.0)'
  rm "$work/bin/b"
  cni version one
  expect_contains "table" "$(<"$work/out")" "not found"
  cni validate one --json
  expect_equal "problems" "false ipam.type" \
    "$(document '"\(.valid) \([.problems[] | select(.severity == "error") | .path] | join(" "))"')"
  rm "$work/versions-b"
  fake b
  succeeds validate one
  ! grep -v '^warning: ' "$work/out" || fail "an error beside warnings"
}

finds_all_faults() {
  local plugins=$CNI_PATH path
  fake a
  cp "$plugins"/{bridge,host-local} "$work/bin/"
  # One that is in its folder, to be in conflict with.
  cat >"$work/networks/10-good.conflist" <<'CONF'
{"cniVersion": "1.1.0", "name": "good", "plugins": [{"type": "bridge", "bridge": "br1",
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/16"}]]}}]}
CONF
  cat >"$work/networks/20-bad.conflist" <<'CONF'
{"cniVersion": "1.1.0", "name": "bad", "disableCheck": 7, "plugins": [
  {"type": "bridge", "ipMask": true, "mtu": "1500", "isGateway": "yes", "hairpinMode": true, "promiscMode": true, "master": "eth0",
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.1.0/24", "rangeStart": "10.8.0.1"}, {"subnet": "10.9"}]]}},
  {"type": "absent", "capabilities": {"mac": 1}}]}
CONF
  cni validate bad --json
  expect_equal "status" 1 "$status"
  for path in disableCheck 'plugins[0].ipMask' 'plugins[0].mtu' 'plugins[0].isGateway' 'plugins[0].master' \
    'plugins[0].ipam.ranges[0][0].rangeStart' 'plugins[0].ipam.ranges[0][1].subnet' 'plugins[1].capabilities.mac' \
    'plugins[1].type'; do
    document '.problems[].path' | grep -Fxq -- "$path" || fail "nothing is said of $path: $(<"$work/out")"
  done
  expect_contains "hint" "$(document '.problems[] | select(.path == "plugins[0].ipMask") | .hint')" ipMasq
  expect_equal "value" 1500 "$(document '.problems[] | select(.path == "plugins[0].mtu") | .value')"
  cni validate "$work/networks/20-bad.conflist"
  expect_contains "rule" "$(<"$work/out")" "cannot set hairpin mode and promiscuous mode at the same time"
  rm "$work/networks/20-bad.conflist"
  succeeds validate good
  expect_equal "what is said of a good network" "" "$(<"$work/out")"
  # What only shows between two networks, and plugins that are missing, once the file can be read.
  cat >"$work/networks/30-near.conflist" <<'CONF'
{"cniVersion": "1.1.0", "name": "near", "plugins": [{"type": "bridge", "bridge": "br2",
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.1.0/24"}]]}}, {"type": "absent"}]}
CONF
  cni validate near
  expect_equal "status" 1 "$status"
  expect_contains "conflict" "$(<"$work/out")" 10-good.conflist
  expect_contains "missing plugin" "$(<"$work/out")" 'plugins[1].type: failed to find plugin "absent"'
}

describe "cnitool validate finds all faults at once" finds_all_faults
describe "cnitool version and validate ask plugins and IPAM plugins" versions

helps() {
  local command
  succeeds
  expect_contains "overview" "$(<"$work/out")" "cache prune"
  cp "$work/out" "$work/overview"
  succeeds --help
  expect_equal "help" "$(<"$work/overview")" "$(<"$work/out")"
  while read -r command; do
    # shellcheck disable=SC2086  # some commands are two words
    succeeds $command --help
    cp "$work/out" "$work/first"
    # shellcheck disable=SC2086
    succeeds help $command
    expect_equal "help of $command" "$(<"$work/first")" "$(<"$work/out")"
    expect_contains "usage" "$(<"$work/out")" "cnitool $command"
    grep -q "^  $command " "$work/overview" || fail "the overview lacks $command"
  done <<<"add
check
del
gc
status
version
list
validate
cache ls
cache show
cache prune
completion
help"
  fails 'unknown command "nonsense"' help nonsense
}
describe "cnitool explains every command on stdout" helps

usage_errors_in_json() {
  cni add --json
  expect_equal "status" 1 "$status"
  expect_equal "stderr" "" "$(<"$errors")"
  expect_contains "message" "$(document .msg)" "requires at least 2 arg(s), only received 0"
}
describe "cnitool reports a wrong command line as JSON too" usage_errors_in_json

completes() {
  fake a
  network mynet 1.0.0 a
  succeeds completion bash
  cp "$work/out" "$work/cnitool.bash"
  bash -n "$work/cnitool.bash"
  cat >"$work/try" <<'TRY'
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_cnitool
echo "${COMPREPLY[*]}"
TRY
  try() { PATH=$(dirname "$CNITOOL"):$PATH bash "$work/try" "$work/cnitool.bash" "$@"; }
  cd "$work"
  expect_equal "commands" "check cache completion" "$(try cnitool c)"
  expect_equal "commands of two words" "ls show prune" "$(try cnitool cache '')"
  expect_equal "networks" mynet "$(try cnitool add myn)"
  expect_equal "files" "$work/networks/mynet.conflist" "$(try cnitool add "$work/networks/my")"
  expect_equal "networks of the line's folder" "" "$(try cnitool add --conf-dir "$work" myn)"
  expect_equal "options" "--ifname" "$(try cnitool add --if)"
  expect_equal "options of two words" "--gone" "$(try cnitool cache prune --g)"
  expect_equal "folders" "$work/networks" "$(try cnitool add mynet x --cache-dir "$work/net")"
  expect_equal "shells" "zsh" "$(try cnitool completion z)"
  succeeds completion zsh
  if command -v zsh >/dev/null; then zsh -n "$work/out" || fail "zsh does not take its script"; fi
  expect_contains "zsh" "$(<"$work/out")" "'cache prune')"
  succeeds completion fish
  if command -v fish >/dev/null; then fish --no-execute "$work/out" || fail "fish does not take its script"; fi
  expect_contains "fish" "$(<"$work/out")" "-l keep-going"
  fails 'unknown shell "tcsh"; there are bash, zsh and fish' completion tcsh
}
describe "cnitool completes commands and options and networks" completes

manual_page() {
  succeeds __manual
  cmp "$work/out" "$root/cnitool/cnitool.1" || fail "cnitool/cnitool.1 is not current: cnitool __manual >cnitool/cnitool.1"
  expect_contains "page" "$(<"$work/out")" '.SS "cnitool cache prune [options]"'
  if command -v mandoc >/dev/null; then
    expect_equal "complaints of mandoc" "" "$(mandoc -Tlint "$work/out" 2>&1)"
  elif command -v groff >/dev/null; then
    expect_equal "complaints of groff" "" "$(groff -ww -man -Tutf8 "$work/out" 2>&1 >/dev/null)"
  fi
}
describe "the manual page of cnitool is current and free of mistakes" manual_page

colours() {
  fake a
  network mynet 1.0.0 a
  at_terminal '' list
  expect_contains "heading on a terminal" "$(<"$work/out")" $'\033[1mNAME'
  NO_COLOR=1 at_terminal '' list
  [[ $(<"$work/out") != *$'\033'* ]] || fail "colours in spite of NO_COLOR"
  at_terminal '' add none /run/netns/x
  expect_contains "error on a terminal" "$(<"$work/out")" $'\033[1;31mcnitool:\033[0m no net configuration'
  succeeds list
  [[ $(<"$work/out") != *$'\033'* ]] || fail "colours without a terminal"
}
describe "cnitool uses colours on terminals only" colours

run_cases "$@"
