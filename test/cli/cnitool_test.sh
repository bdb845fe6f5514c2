#!/bin/bash
# Tests of cnitool's add, check, del, gc and status with plugins that only write down how they were called.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
# shellcheck source=test/support/cnitool.sh
. "$root/test/support/cnitool.sh"
cached() { find /var/lib/cni/results -type f -printf '%f\n' 2>/dev/null | sort; }
# The container ID of /run/netns/x.
id=cnitool-$(printf /run/netns/x | sha512sum | cut -c -20)

chain() {
  fake a b
  network two 1.0.0 a b
  succeeds add two /run/netns/x
  expect_equal "result" ab "$(jq -r .made "$work/out")"
  expect_contains "indentation" "$(<"$work/out")" $'\n    "'
  expect_equal "calls" "ADD a eth0 $id - -
ADD b eth0 $id - a" "$(calls)"
  expect_equal "cache" "two-$id-eth0" "$(cached)"
  rm "$work/calls"
  succeeds check two /run/netns/x
  expect_equal "output of check" "" "$(<"$work/out")"
  # The path is made absolute.
  (cd /run && succeeds del two netns/../netns/x)
  expect_equal "calls" "CHECK a eth0 $id - ab
CHECK b eth0 $id - ab
DEL b eth0 $id - ab
DEL a eth0 $id - ab" "$(calls)"
  expect_equal "cache" "" "$(cached)"
  succeeds del two /run/netns/x
}
describe "cnitool adds and checks and deletes with the container ID of the Go tool" chain

settings() {
  fake a
  network one 1.0.0 a
  CNI_IFNAME=net7 CNI_ARGS='A=1;B=2' succeeds add one /run/netns/x
  CNI_IFNAME=net7 CNI_ARGS='A=1;B=2' succeeds add one /run/netns/x -i net8 --args B=3 --args 'C=4;D=5' --container-id box
  expect_equal "calls" "ADD a net7 $id A=1;B=2 -
ADD a net8 box A=1;B=3;C=4;D=5 -" "$(calls)"
  mkdir "$work/elsewhere"
  mv "$work/networks" "$work/elsewhere/networks"
  mv "$work/bin" "$work/elsewhere/bin"
  unset NETCONFPATH CNI_PATH
  succeeds add one /run/netns/x --conf-dir "$work/elsewhere/networks" --cni-path "/nowhere:$work/elsewhere/bin" \
    --cache-dir "$work/cache" --container-id other
  expect_equal "cache" one-other-eth0 "$(ls "$work/cache/results")"
  jq '.plugins[0].capabilities = {ips: true, mac: true, bandwidth: false}' \
    "$work/elsewhere/networks/one.conflist" >"$work/file.json"
  export CNI_PATH=$work/elsewhere/bin
  CAP_ARGS='{"ips": ["10.0.0.9/24"], "bandwidth": 1}' succeeds add "$work/file.json" /run/netns/x \
    --container-id caps --capability 'mac="02:00:00:00:00:01"'
  expect_equal "runtimeConfig" '{"ips":["10.0.0.9/24"],"mac":"02:00:00:00:00:01"}' "$(jq -c .runtimeConfig "$work/elsewhere/config-a")"
}
describe "cnitool takes its settings from options before the environment" settings

wrong_settings() {
  fake a
  network one 1.0.0 a
  CNI_ARGS='A=1;x' fails 'invalid CNI_ARGS pair "x"' add one /run/netns/x
  fails '--args: invalid CNI_ARGS pair "x"' add one /run/netns/x --args x
  CAP_ARGS='[1]' fails 'CAP_ARGS: expected an object' add one /run/netns/x
  fails '--capability mac: ' add one /run/netns/x --capability mac=02:00
  fails '--timeout: "soon" is no time' add one /run/netns/x --timeout soon
  fails 'no net configuration with name "none" in '"$NETCONFPATH" add none /run/netns/x
  fails "no net configurations found in $work/empty" add one /run/netns/x --conf-dir "$work/empty"
  fails 'there is no file ./none.conflist' add ./none.conflist /run/netns/x
  fails 'network "one": failed to find plugin "a" in path [/nowhere]' add one /run/netns/x --cni-path /nowhere
  fails 'invalid characters in containerID' add one /run/netns/x --container-id a/b
  fails 'interface name' add one /run/netns/x --ifname a/b
  fails 'requires at least 2 arg(s), only received 1: NETWORK NETNS (see cnitool add --help)' add one
  fails 'unknown option --nonsense (see cnitool del --help)' del --nonsense
  fails 'unknown command "attach" (see cnitool --help)' attach
  expect_equal "calls" "" "$(calls)"
}
describe "cnitool refuses wrong settings and names the place" wrong_settings

failed_add() {
  fake a b c
  network three 1.0.0 a b c
  echo '{"code": 11, "msg": "the sky fell", "details": "all of it"}' >"$work/fail-ADD-b"
  fails 'plugin type="b" failed (add): the sky fell; all of it; plugin "b", network "three"' add three /run/netns/x
  expect_contains "code" "$(<"$errors")" '(code 11)'
  expect_equal "calls" "ADD a eth0 $id - -
ADD b eth0 $id - a
DEL b eth0 $id - a
DEL a eth0 $id - a" "$(calls)"
  expect_equal "cache" "" "$(cached)"
  cni add three /run/netns/x --json
  expect_equal "status" 1 "$status"
  expect_equal "stderr" "" "$(<"$errors")"
  expect_equal "error object" '11 plugin type="b" failed (add): the sky fell' "$(document '"\(.code) \(.msg)"')"
  expect_contains "details" "$(document .details)" "all of it"
  # None runs if one is not there.
  rm "$work/calls" "$work/bin/c"
  fails 'failed to find plugin "c"' add three /run/netns/x
  expect_equal "calls" "" "$(calls)"
}
describe "cnitool takes a failed add back and shows the error once" failed_add

closed_stdout() {
  fake a
  network one 1.0.0 a
  local status=0
  "$CNITOOL" add one /run/netns/x 2>"$errors" >/dev/full || status=$?
  expect_equal "status" 1 "$status"
  expect_contains "error" "$(<"$errors")" "write the result to stdout: no space left on device"
  expect_equal "calls" "ADD a eth0 $id - -
DEL a eth0 $id - a" "$(calls)"
  expect_equal "cache" "" "$(cached)"
}
describe "cnitool takes an add back whose result it cannot print" closed_stdout

# interrupted SIGNAL STATUS
interrupted() {
  local child found=0 pids
  fake a b
  network two 1.0.0 a b
  touch "$work/sleep-ADD-b"
  "$CNITOOL" add two /run/netns/x --timing --json >"$work/out" 2>"$errors" &
  child=$!
  until [[ -s $work/asleep ]]; do
    kill -0 "$child" || fail "cnitool ended: $(<"$work/out")$(<"$errors")"
    sleep 0.02
  done
  read -ra pids <"$work/asleep"
  kill "-$1" "$child"
  wait "$child" || found=$?
  expect_equal "status" "$2" "$found"
  expect_contains "error" "$(document '.msg + .details')" "the call was cancelled"
  expect_equal "calls" "ADD a eth0 $id - -
ADD b eth0 $id - a
DEL b eth0 $id - a
DEL a eth0 $id - a" "$(calls)"
  expect_equal "cache" "" "$(cached)"
  sleep 0.1
  local pid
  for pid in "${pids[@]}"; do
    [[ ! -e /proc/$pid || $(awk '/^State:/ { print $2 }' "/proc/$pid/status") == Z ]] || fail "process $pid still runs"
  done
  expect_equal "temporary folders" "" "$(find "$work/tmp" -mindepth 1)"
}
# Folders of others in /tmp are none of the case's business.
own_tmp() { mkdir "$work/tmp" && export TMPDIR=$work/tmp; }
# Without job control the shell lets what it starts in the background ignore SIGINT.
interrupted_by_sigint() { set -m; own_tmp; interrupted INT 130; }
interrupted_by_sigterm() { own_tmp; interrupted TERM 143; }
describe "cnitool interrupted by SIGINT kills the plugin and takes the add back" interrupted_by_sigint
describe "cnitool interrupted by SIGTERM kills the plugin and takes the add back" interrupted_by_sigterm

time_limit() {
  fake a
  network one 1.0.0 a
  touch "$work/sleep-ADD-a"
  local start=$SECONDS
  fails 'it had not ended after 200 ms, and was killed with all that it ran' add one /run/netns/x --timeout 200ms
  [[ $((SECONDS - start)) -lt 10 ]] || fail "it took $((SECONDS - start)) s"
  expect_equal "last call" "DEL a eth0 $id - -" "$(calls | tail -n 1)"
}
describe "cnitool ends a plugin that exceeds the time limit" time_limit

deletes_on() {
  fake a b
  network two 1.0.0 a b
  succeeds add two /run/netns/x
  echo '{"code": 5, "msg": "no"}' >"$work/fail-DEL-b"
  rm "$work/calls"
  fails 'plugin type="b" failed (delete): no' del two /run/netns/x
  expect_equal "calls" "DEL b eth0 $id - ab" "$(calls)"
  fails 'plugin type="b" failed (delete): no' del two /run/netns/x --keep-going
  expect_equal "last call" "DEL a eth0 $id - ab" "$(calls | tail -n 1)"
  expect_equal "cache" "two-$id-eth0" "$(cached)"
}
describe "cnitool del stops at a failure or goes on with --keep-going" deletes_on

plan() {
  fake a b
  network two 1.0.0 a b
  succeeds add two /run/netns/x --dry-run
  expect_equal "plan" "two eth0 ADD $work/bin/a
two eth0 ADD $work/bin/b" "$(<"$work/out")"
  succeeds add two /run/netns/x --dry-run --json
  expect_equal "plan" "two $id a,b" "$(document '"\(.network) \(.containerId) \([.plugins[].type] | join(","))"')"
  fails 'name' add two /run/netns/x --dry-run --ifname a/b
  expect_equal "calls" "" "$(calls)"
}
describe "cnitool add shows with --dry-run what it would run" plan

statuses() {
  fake a b
  network two 1.1.0 a b
  network old 1.0.0 a
  succeeds status two
  # The Go tool demands a namespace that it does not use.
  succeeds status two /run/netns/x
  succeeds status two --json
  expect_equal "document" "{}" "$(<"$work/out")"
  echo '{"code": 50, "msg": "no addresses left"}' >"$work/fail-STATUS-b"
  fails 'network "two": no addresses left; plugin "b", network "two" (code 50)' status two
  cni status two --json
  expect_equal "code" "1 50" "$status $(document .code)"
  rm "$work/calls"
  succeeds status old
  expect_equal "calls" "" "$(calls)"
}
describe "cnitool status says why an add could not work" statuses

three_attachments() {
  fake a
  network one 1.1.0 a
  local container
  for container in c1 c2 c3; do succeeds add one "/run/netns/$container" --container-id "$container"; done
  rm "$work/calls"
}

collects() {
  three_attachments
  succeeds gc one --valid c1/eth0 --valid c3/eth0
  expect_equal "cache" "one-c1-eth0 one-c3-eth0" "$(cached | xargs)"
  expect_equal "calls" "DEL a eth0 c2 - a
GC a   - -" "$(calls)"
  expect_equal "valid" '[{"containerID":"c1","ifname":"eth0"},{"containerID":"c3","ifname":"eth0"}]' \
    "$(jq -c '."cni.dev/valid-attachments"' "$work/config-a")"
  printf '# those that run\nc3/eth0\n' >"$work/valid"
  succeeds gc one --valid-from "$work/valid" --json
  expect_equal "deleted" c1 "$(document '.deleted[].containerID')"
  "$CNITOOL" gc one --valid-from - <"$work/valid"
  expect_equal "cache" one-c3-eth0 "$(cached)"
  succeeds gc one --all
  expect_equal "cache" "" "$(cached)"
  fails '--valid-from /nowhere: there is no such file' gc one --valid-from /nowhere
  fails '--valid: "c1" is no attachment' gc one --valid c1
  fails '--all says that no attachment is valid' gc one --all --valid c1/eth0
}
describe "cnitool gc keeps the attachments that are said to be valid" collects

refuses_to_collect() {
  three_attachments
  cni gc one
  expect_equal "status" 1 "$status"
  expect_contains "list" "$(<"$errors")" \
    $'This would delete these attachments of network "one", and all that its plugins keep for it:\n  c1/eth0\n  c2/eth0\n  c3/eth0'
  expect_contains "error" "$(<"$errors")" "nothing was removed, since nobody can be asked: say --valid"
  expect_equal "calls" "" "$(calls)"
  at_terminal $'n\n' gc one
  expect_equal "status after no" 1 "$status"
  expect_contains "question" "$(<"$work/out")" "Go on? [y/N]"
  expect_equal "calls" "" "$(calls)"
  at_terminal $'y\n' gc one
  expect_equal "status after yes" 0 "$status"
  expect_equal "cache" "" "$(cached)"
}
describe "cnitool gc asks on a terminal and refuses without one" refuses_to_collect

disabled_gc() {
  fake a
  network one 1.1.0 a
  succeeds add one /run/netns/x
  jq '.disableGC = true' "$work/networks/one.conflist" >"$work/networks/new"
  mv "$work/networks/new" "$work/networks/one.conflist"
  cni gc one --all
  expect_equal "status and stderr" '0 cnitool: network "one" disables gc' "$status $(<"$errors")"
  expect_equal "cache" "one-$id-eth0" "$(cached)"
}
describe "cnitool gc says that a network disables it" disabled_gc

log_text() {
  fake a
  network one 1.0.0 a
  echo "by the way" >"$work/say-a"
  cni add one /run/netns/x --json
  expect_equal "stderr" "by the way" "$(<"$errors")"
  expect_equal "document" a "$(document .made)"
}
describe "cnitool hands the log text of plugins on to stderr alone" log_text

run_cases "$@"
