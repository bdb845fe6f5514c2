#!/bin/bash
# test_linux.sh [--vm] [--asan] [-R PATTERN] [ctest arguments...]
#
# Builds everything and runs every test. Needs root: the tests make network namespaces and links of their own, and leave those
# of the host alone.
#
#   --vm          runs the tests that skip here for want of something in the kernel under Debian's kernel, where none may skip
#                 (test/vm/run)
#   --asan        the same tests with the address and undefined-behaviour sanitizers, in build/asan
#   --multicall   the same tests on the multi-call executable, in build/release-multicall
#   -R PATTERN    only the tests whose name matches
#   --help        this text
#
# Tests that cannot run are listed with their reasons; one that test/expected_skips.txt does not expect is a failure. The
# live-swap tests use the reference plugins in the folder that CNI_REFERENCE names.
# Packages that the tests need and that are missing are installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

packages=(iproute2 iptables nftables iputils-ping jq procps strace dnsmasq-base tcpdump)
# Where systemd runs, Debian starts what it installs: firewalld would change what the machine lets in, and DHCP servers are not
# for others' networks.
[[ -d /run/systemd/system ]] || packages+=(dbus firewalld kea-dhcp4-server kea-dhcp6-server)

# Within this time everything that this kernel has not has to be tested in the guest.
guest_seconds=2000  # about twice what they take

build=$root/build/release
form=()
vm=
arguments=()
for argument; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    --vm) vm=1 ;;
    --asan) build=$root/build/asan form=(--asan) ;;
    --multicall)
      build=$root/build/release-multicall
      form=(--multicall "-DCNI_BIN_DIR=$build/bin")
      ;;
    *) arguments+=("$argument") ;;
  esac
done
if [[ $EUID -ne 0 ]]; then
  echo "test_linux.sh: run as root: the tests make network namespaces" >&2
  exit 1
fi

# In a chroot the root is no mount point, which unshare and ip netns insist on. So one is made, in a mount namespace of its own; on
# top of a folder of /proc, since that is a mount of the chroot's own that can be made private first.
if ! mountpoint -q / && [[ -z ${CNI_TEST_ROOT_MOVED:-} ]]; then
  # shellcheck disable=SC2016  # expanded by the inner shell
  CNI_TEST_ROOT_MOVED=1 exec unshare --mount --propagation unchanged "$BASH" -euc '
    mount --make-private /proc
    mount --rbind / /proc/tty
    mount --make-rprivate /proc/tty
    exec chroot /proc/tty "$@"' move-root "$root/test_linux.sh" "$@"
fi

ensure_packages "${packages[@]}"
"$root/build_linux.sh" --tests "${form[@]}"

# A neighbour of the source tree may know how to get the reference plugins; without them the live-swap tests skip.
get_reference=$root/../shared/get-reference
if [[ -z ${CNI_REFERENCE:-} && -x $get_reference ]]; then
  CNI_REFERENCE=$(timeout 120 "$get_reference") || CNI_REFERENCE=
fi
export CNI_REFERENCE=${CNI_REFERENCE:-}

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
status=0

# without_summary: ctest's output up to what it says of it all, which is shown at the end.
without_summary() { sed '/^[0-9]*% tests passed, /,$d'; }

check_skips() { "$root/test/check_skips.sh" "$@" "$root/test/expected_skips.txt"; }

# More tests at a time than processors: many wait for the kernel.
run_here() {
  ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel $((2 * $(nproc))) "${arguments[@]}" 2>&1 |
    tee "$log/here" | without_summary || status=$?
  # The guest's ctest writes to the same file.
  cp "$build/Testing/Temporary/LastTest.log" "$log/here.log"
  check_skips "$log/here.log" || status=1
}

# numbers_for_guest: the numbers by which ctest knows the tests that skipped here and are to run in the guest.
numbers_for_guest() {
  check_skips --names-for-vm "$log/here.log" >"$log/names"
  ctest --test-dir "$build" -N | sed -n 's/^ *Test *#\([0-9]*\): /\1 /p' |
    awk 'NR == FNR { wanted[$0] = 1; next }
      { number = $1; sub(/^[0-9]+ /, "") } $0 in wanted { print number }' "$log/names" -
}

# run_in_guest: runs them there, and sets $guest_failures.
run_in_guest() {
  local numbers wanted good
  mapfile -t numbers < <(numbers_for_guest)
  wanted=$(wc -l <"$log/names")
  if [[ $wanted -eq 0 ]]; then return; fi
  if [[ ${#numbers[@]} -ne $wanted ]]; then echo "test_linux.sh: ctest does not know all of the $wanted tests for the guest" >&2; fi
  echo "=== under Debian's kernel: $wanted tests that this kernel lacks something for"
  # The form of -I is START,END,STRIDE,NUMBER...
  (IFS=,; echo "${numbers[0]},${numbers[0]},1,${numbers[*]}") >"$log/numbers"
  cp "$log/numbers" "$build/tests_for_guest"
  rm -f "$build/Testing/Temporary/LastTest.log"
  "$root/test/vm/run" --dir "$build" --timeout "$guest_seconds" -- ctest --test-dir "$build" --output-on-failure --parallel "$(($(nproc) + 1))" \
    -I "$build/tests_for_guest" 2>&1 | tee "$log/guest" | without_summary || status=1
  rm "$build/tests_for_guest"
  : >"$log/guest.skips"
  if [[ -e $build/Testing/Temporary/LastTest.log ]]; then
    check_skips --vm "$build/Testing/Temporary/LastTest.log" >"$log/guest.skips" || status=1
  fi
  cat "$log/guest.skips"
  # Whatever did not pass there failed, be it that it never began.
  good=$(($(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed +[0-9.]+ sec$' "$log/guest") + $(grep -c '^skipped: ' "$log/guest.skips"))) || true
  guest_failures=$((wanted - good))
  if [[ $guest_failures -gt 0 ]]; then status=1; fi
}

# summary: what ctest says of it all, without its list of skips, which stands above with the reasons. A test that skipped here counts
# as what it was in the guest.
summary() {
  local failures total
  sed -n '/^[0-9]*% tests passed, /,$p' "$log/here" | sed '/^The following tests did not run:/,/^$/d' >"$log/summary"
  if [[ $guest_failures -gt 0 &&
    $(head -n 1 "$log/summary") =~ ,\ ([0-9]+)\ tests?\ failed\ out\ of\ ([0-9]+) ]]; then
    failures=$((BASH_REMATCH[1] + guest_failures)) total=${BASH_REMATCH[2]}
    sed -i "1s/.*/$((100 * (total - failures) / total))% tests passed, $failures tests failed out of $total/" "$log/summary"
    echo "under Debian's kernel $guest_failures of $(wc -l <"$log/names") tests did not pass:"
    sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: (.*[^.]) *\.*(\*\*\*.*)$/  \1 \2/p' "$log/guest"
    echo
  fi
  cat "$log/summary"
}

guest_failures=0
if [[ -n $vm ]]; then
  # First of all, so that the tests of test/vm/run find it prepared.
  "$root/test/vm/run" --prepare || { vm='' status=1; echo "test_linux.sh: no test can run under Debian's kernel" >&2; }
fi
run_here
if [[ -n $vm ]]; then run_in_guest; fi
summary
exit "$status"
