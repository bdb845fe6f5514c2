# shellcheck shell=bash
# Sourced by the shell tests: named cases, each run in a network namespace, a /run and a /var/lib/cni of its own, which stand for
# a host. The test script calls `describe` for each case and ends with `run_cases "$@"`:
#
#   X_test.sh --list     the names of the cases
#   X_test.sh NAME       runs one
#   X_test.sh            runs all
#
# CNI_PATH names the plugins under test, which cnitool stands beside. A case fails by `fail` or by any command that fails.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CNI_PATH=${CNI_PATH:-$root/bin}
# Cases change CNI_PATH, but never the executable under test.
export CNITOOL=${CNITOOL:-$CNI_PATH/cnitool}
unset NETCONFPATH CNI_ARGS CAP_ARGS CNI_IFNAME CNI_RESULTS DEBUG

declare -A case_function=()
case_names=()

# describe NAME FUNCTION
describe() {
  case_names+=("$1")
  case_function[$1]=$2
}

# fail TEXT: ends the case. Also from within a command substitution.
fail() {
  echo "FAILED: $1" >&2
  exit 1
}

# expect_equal WHAT EXPECTED FOUND
expect_equal() { [[ $2 == "$3" ]] || fail "$1: expected \"$2\", found \"$3\""; }

# expect_contains WHAT TEXT PART
expect_contains() { [[ $2 == *"$3"* ]] || fail "$1: expected to find \"$3\" in: $2"; }

# status_of COMMAND...: its exit status; its stderr goes to the file $errors.
status_of() {
  local status=0
  "$@" 2>"$errors" || status=$?
  echo "$status"
}

# prepare_host: what a case finds. The namespaces are the case's own.
prepare_host() {
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns /var/lib/cni
  mount -t tmpfs tmpfs /var/lib/cni
  # No networks of the real host; a missing folder is as good as an empty one.
  if [[ -d /etc/cni ]]; then mount -t tmpfs tmpfs /etc/cni; fi
  # A fresh namespace inherits it, and machines that run containers have it on.
  echo 0 >/proc/sys/net/ipv4/ip_forward
  ip link set lo up
  work=$(mktemp -d /run/case.XXXXXX)
  errors=$work/errors
}

# traces: everything that an attachment leaves on a host while it lasts.
traces() {
  ip -j link show | jq -r '.[].ifname' | sort
  ls -A /run/netns
  if [[ -d /run/cni-exec-plugins ]]; then ls -A /run/cni-exec-plugins; fi
  find /var/lib/cni/networks -name '[0-9]*' -printf '%f\n' 2>/dev/null | sort || true
  iptables -t nat -S 2>/dev/null | grep -- CNI- || true
  # The rule for a subnet stays, as the set of its containers does.
  nft list ruleset 2>/dev/null | grep -E 'saddr (10|fd)|cni-br-iface|elements = ' | grep -v '@published_within_' || true
}

# check_result LIST RESULT: CHECK of every plugin of a network for eth0 of the namespace c1, with the result of ADD. CNI_PATH may have
# several folders.
check_result() {
  local list=$1 result=$2 plugin
  while read -r plugin; do
    CNI_COMMAND=CHECK CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 \
      "$(PATH=$CNI_PATH type -P "$(jq -r .type <<<"$plugin")")" <<<"$plugin" || fail "CHECK of $plugin"
  done < <(jq -c --slurpfile result "$result" '
    {name, cniVersion, prevResult: $result[0]} as $common
    | (.plugins // [.])[] | . + $common' "$list")
}

run_case() {
  # A script that the shell starts in the background ignores SIGINT; a case wants to interrupt it.
  exec env --default-signal=INT,QUIT unshare --net --mount --propagation private "$BASH" "$0" --inside "$1"
}

run_cases() {
  local name failed=0
  case ${1:-} in
    --list) printf '%s\n' "${case_names[@]}" ;;
    --inside)
      prepare_host
      "${case_function[$2]}"
      ;;
    '')
      for name in "${case_names[@]}"; do
        if (run_case "$name"); then echo "passed: $name"; else echo "FAILED: $name"; failed=1; fi
      done
      return "$failed"
      ;;
    *)
      [[ -n ${case_function[$1]:-} ]] || fail "there is no case \"$1\""
      run_case "$1"
      ;;
  esac
}
