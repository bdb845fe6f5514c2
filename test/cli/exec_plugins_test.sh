#!/bin/bash
# Tests of scripts/exec-plugins.sh, docker-run.sh and what all scripts share, mostly with plugins that only write down how they
# were called.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
exec_plugins=$root/scripts/exec-plugins.sh

# recorders TYPE...: makes plugins in a folder that CNI_PATH then names. Each writes a line per call to $work/calls; it fails if
# the file $work/fail-COMMAND-TYPE is there, with its content as stdout.
recorders() {
  local type
  mkdir -p "$work/bin" "$work/networks"
  for type; do
    cat >"$work/bin/$type" <<'PLUGIN'
#!/bin/bash
work=$(dirname "$0")/..
type=$(basename "$0")
config=$(cat)
jq -r --arg head "$CNI_COMMAND $type $CNI_IFNAME $CNI_CONTAINERID $CNI_NETNS" '
  $head + " " + .name + " " + (.cniVersion // "-") + " " + (.prevResult.made // "-")' <<<"$config" >>"$work/calls"
if [[ -e $work/fail-$CNI_COMMAND-$type ]]; then
  cat "$work/fail-$CNI_COMMAND-$type"
  exit 1
fi
if [[ $CNI_COMMAND == ADD ]]; then
  jq --arg type "$type" '{cniVersion: .cniVersion, made: ((.prevResult.made // "") + $type)}' <<<"$config"
fi
PLUGIN
    chmod +x "$work/bin/$type"
  done
  export CNI_PATH=$work/elsewhere:$work/bin NETCONFPATH=$work/networks
}

three_networks() {
  recorders a b c d
  echo '{"cniVersion": "0.3.1", "name": "one", "type": "a"}' >"$work/networks/10-one.conf"
  echo '{"cniVersion": "1.0.0", "name": "two", "plugins": [{"type": "b"}, {"type": "c"}]}' \
    >"$work/networks/20-two.conflist"
  echo '{"cniVersions": ["0.4.0", "1.1.0", "9.9.9"], "name": "three", "type": "d"}' >"$work/networks/30-three.json"
  echo 'not a network' >"$work/networks/40-readme.txt"
}

order_of_calls() {
  three_networks
  cd /
  "$exec_plugins" add box /run/netns/x
  expect_equal "calls of add" "ADD a eth0 box /run/netns/x one 0.3.1 -
ADD b eth1 box /run/netns/x two 1.0.0 -
ADD c eth1 box /run/netns/x two 1.0.0 b
ADD d eth2 box /run/netns/x three 1.1.0 -" "$(<"$work/calls")"
  rm "$work/calls"
  # What add did is what del takes back, whatever became of the folder.
  rm "$work"/networks/*
  "$exec_plugins" del box /run/netns/x
  expect_equal "calls of del" "DEL d eth2 box /run/netns/x three 1.1.0 d
DEL c eth1 box /run/netns/x two 1.0.0 bc
DEL b eth1 box /run/netns/x two 1.0.0 bc
DEL a eth0 box /run/netns/x one 0.3.1 -" "$(<"$work/calls")"
  expect_equal "notes" "" "$(ls -A /run/cni-exec-plugins)"
}
describe "exec-plugins takes every kind of file in order and deletes in reverse with prevResult" order_of_calls

failed_add() {
  three_networks
  echo '{"code": 11, "msg": "the sky fell", "details": "all of it"}' >"$work/fail-ADD-c"
  expect_equal "status" 1 "$(status_of "$exec_plugins" add box /run/netns/x)"
  expect_contains "error" "$(<"$errors")" \
    "two : error executing ADD: plugin c: the sky fell; all of it (code 11)"
  expect_equal "calls" "ADD a eth0 box /run/netns/x one 0.3.1 -
ADD b eth1 box /run/netns/x two 1.0.0 -
ADD c eth1 box /run/netns/x two 1.0.0 b
DEL c eth1 box /run/netns/x two 1.0.0 b
DEL b eth1 box /run/netns/x two 1.0.0 b
DEL a eth0 box /run/netns/x one 0.3.1 -" "$(<"$work/calls")"
  expect_equal "notes" "" "$(ls -A /run/cni-exec-plugins)"
  expect_equal "status of del after it" 0 "$(status_of "$exec_plugins" del box /run/netns/x)"
}
describe "exec-plugins takes a failed add back and shows the error" failed_add

failed_del() {
  three_networks
  "$exec_plugins" add box /run/netns/x
  rm "$work/calls"
  echo 'Segmentation fault' >"$work/fail-DEL-c"
  expect_equal "status" 1 "$(status_of "$exec_plugins" del box /run/netns/x)"
  expect_contains "error" "$(<"$errors")" \
    'two : error executing DEL: plugin c: netplugin failed but error parsing its diagnostic message "Segmentation fault'
  expect_equal "plugins called" "d c b a" "$(awk '{ printf "%s%s", sep, $2; sep = " " }' "$work/calls")"
  rm "$work/fail-DEL-c"
  expect_equal "status of the next try" 0 "$(status_of "$exec_plugins" del box /run/netns/x)"
  expect_equal "notes" "" "$(ls -A /run/cni-exec-plugins)"
}
describe "exec-plugins goes on after a failed DEL and can be called again" failed_del

refusals() {
  local pair
  recorders a
  cp "$work/bin/a" "$work/outside"
  for pair in '{"name": "n", "type": "../outside"}|invalid plugin name: ../outside' \
    '{"name": "n", "type": "absent"}|failed to find plugin "absent" in path' \
    '{"name": "n"}|neither "plugins" nor "type"' '[]|not a JSON object' '{"name": |10-n.conf is not a network' \
    '{"name": "n", "plugins": []}|no plugins in list'; do
    echo "${pair%%|*}" >"$work/networks/10-n.conf"
    expect_equal "status for ${pair%%|*}" 1 "$(status_of "$exec_plugins" add box /run/netns/x)"
    expect_contains "error for ${pair%%|*}" "$(<"$errors")" "${pair#*|}"
  done
  [[ ! -e $work/calls ]] || fail "a plugin was called: $(<"$work/calls")"
  expect_equal "status without arguments" 1 "$(status_of "$exec_plugins")"
  expect_equal "status for an unknown verb" 1 "$(status_of "$exec_plugins" check box /run/netns/x)"
  expect_equal "status for an id that is a path" 1 "$(status_of "$exec_plugins" add ../box /run/netns/x)"
  expect_contains "error" "$(<"$errors")" 'invalid container id "../box"'
}
describe "exec-plugins refuses what cannot be right before it calls a plugin" refusals

debug_output() {
  recorders a
  echo '{"cniVersion": "1.0.0", "name": "one", "type": "a"}' >"$work/networks/10-one.conf"
  "$exec_plugins" add quiet /run/netns/x >"$work/out" 2>&1
  expect_equal "output" "" "$(<"$work/out")"
  DEBUG=1 "$exec_plugins" add loud /run/netns/x 2>"$errors"
  expect_contains "call" "$(<"$errors")" "CNI_COMMAND=ADD CNI_CONTAINERID=loud"
  expect_contains "result" "$(<"$errors")" '"made": "a"'
}
describe "exec-plugins is silent unless DEBUG is set" debug_output

# A docker that makes a namespace for a sleeper, and runs commands in it.
stand_in_for_docker() {
  cat >"$work/docker" <<'DOCKER'
#!/bin/bash
work=$(dirname "$0")
case $1 in
  run)
    shift
    if [[ $1 == --detach ]]; then
      [[ $* == "--detach --name cni-"*" --net=none busybox sleep 2147483647" ]] || exit 125
      echo "$3" >"$work/name"
      unshare --net sleep 2147483647 >/dev/null 2>&1 &
      echo $! >"$work/pid"
      # docker returns when the container runs.
      until [[ $(readlink "/proc/$!/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.01; done
      echo 0123456789abcdef
    else
      [[ $1 == --net=container:0123456789abcdef ]] || exit 125
      shift 2
      exec nsenter --target "$(<"$work/pid")" --net "$@"
    fi
    ;;
  inspect) [[ $3 == *Pid* ]] && cat "$work/pid" || echo 0123456789abcdef ;;
  rm) [[ $3 == "$(<"$work/name")" ]] && kill -KILL "$(<"$work/pid")" && rm "$work/name" ;;
esac
DOCKER
  chmod +x "$work/docker"
  export DOCKER=$work/docker
}

docker_run() {
  stand_in_for_docker
  expect_contains "addresses" "$("$root/scripts/docker-run.sh" image ip -br address 2>"$errors")" 10.22.0.2/16
  expect_equal "traces" lo "$(traces)"
  [[ ! -e $work/name ]] || fail "the sleeping container was not removed"
  expect_equal "status" 7 "$(status_of "$root/scripts/docker-run.sh" image sh -c 'exit 7')"
  expect_equal "traces after a failed command" lo "$(traces)"
  mkdir "$work/networks"
  echo '{"name": "n", "type": "absent"}' >"$work/networks/10-n.conf"
  expect_equal "status" 1 "$(NETCONFPATH=$work/networks status_of "$root/scripts/docker-run.sh" image true)"
  [[ ! -e $work/name ]] || fail "the sleeping container was not removed after a failed ADD"
}
describe "docker-run attaches a container and leaves nothing" docker_run

help_texts() {
  local script text
  cd /
  for script in build_linux.sh test_linux.sh lint.sh .ci/run scripts/check_layers.sh scripts/exec-plugins.sh \
    scripts/priv-net-run.sh scripts/docker-run.sh test/check_skips.sh test/bench/run; do
    text=$("$root/$script" --help) || fail "$script --help fails"
    expect_contains "help of $script" "$text" "$(basename "$script")"
  done
}
describe "every script explains itself with --help in any folder" help_texts

layers() {
  local check=$root/scripts/check_layers.sh pair file
  mkdir -p "$work"/tree/{pkg/{os,types,netlink},plugins/main/{a,b}}
  echo '#include "pkg/types/x.hpp"' >"$work/tree/pkg/os/fine.cpp"
  mkdir -p "$work/tree/plugins/sample"
  printf '#include "%s"\n' pkg/os/x.hpp own.hpp >"$work/tree/plugins/sample/own.hpp"
  "$check" "$work/tree" || fail "an include that points down is refused"
  for pair in 'pkg/types/x.cpp|#include "pkg/os/x.hpp"' 'pkg/os/x.cpp|#include "plugins/main/a/x.hpp"' \
    'plugins/main/a/x.cpp|#include "plugins/main/b/x.hpp"' 'pkg/os/x.cpp|#include "x.hpp"' \
    'pkg/os/x.cpp|#include <netlink/msg.h>' 'plugins/main/a/x.cpp|#include "pkg/netlink/message.hpp"' \
    'pkg/os/x.cpp|#include <iostream>' 'pkg/os/x.hpp|#include <nlohmann/json.hpp>' \
    'plugins/sample/x.cpp|#include "plugins/sample/own.hpp"' 'plugins/sample/x.cpp|#include "pkg/netlink/message.hpp"' \
    'pkg/attachment/x.cpp|#include "pkg/netfilter/races.hpp"' \
    'plugins/main/a/x.cpp|  return getenv("HOME");' 'pkg/strange/x.cpp|#include "pkg/os/x.hpp"'; do
    file=$work/tree/${pair%%|*}
    mkdir -p "$(dirname "$file")"
    echo "${pair#*|}" >"$file"
    if "$check" "$work/tree" >"$work/out"; then fail "check_layers accepts $pair"; fi
    expect_contains "complaint" "$(<"$work/out")" "${pair%%|*}:1:"
    rm "$file"
  done
}
describe "check_layers refuses what the house rules refuse" layers

skips() {
  local check=$root/test/check_skips.sh
  cat >"$work/log" <<'LOG'
1/3 Test: netns/vlan: a tagged port
Output:
SKIPPED: the kernel lacks VLAN filtering
Skip regular expression found in output. Regex=[SKIPPED: ]
2/3 Test: netns/vlan: fine
Output:
Test Passed.
LOG
  echo 'lacks VLAN filtering # not every kernel has it' >"$work/expected"
  expect_contains "list" "$("$check" "$work/log" "$work/expected")" \
    "skipped: netns/vlan: a tagged port: the kernel lacks VLAN filtering"
  echo '# nothing is expected' >"$work/none"
  expect_equal "status for an unexpected skip" 1 "$(status_of "$check" "$work/log" "$work/none" | tail -n 1)"
  sed -i '3a x_test.cpp:9: FAILED:' "$work/log"
  expect_equal "status for a failure beside a skip" 1 "$(status_of "$check" "$work/log" "$work/expected" | tail -n 1)"
}
describe "check_skips fails for unexpected skips and for failures beside a skip" skips

run_cases "$@"
