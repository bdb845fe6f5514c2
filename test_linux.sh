#!/bin/bash
# test_linux.sh [--asan] [-R PATTERN] [ctest arguments...]
#
# Builds everything and runs every test. Needs root: the tests make network namespaces and links of their own, and leave those
# of the host alone.
#
#   --asan        the same tests with the address and undefined-behaviour sanitizers, in build/asan
#   --multicall   the same tests on the multi-call executable, in build/release-multicall
#   -R PATTERN    only the tests whose name matches
#   --help        this text
#
# Tests that cannot run here are listed with their reasons; one that test/expected_skips.txt does not expect is a failure. The
# live-swap tests use the reference plugins in the folder that CNI_REFERENCE names.
# Packages that the tests need and that are missing are installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

packages=(iproute2 iptables nftables iputils-ping jq procps strace)

build=$root/build/release
form=()
arguments=()
for argument; do
  case $argument in
    --help | -h) usage; exit 0 ;;
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
ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$(nproc)" "${arguments[@]}" 2>&1 |
  tee "$log/ctest" | sed '/^[0-9]*% tests passed, /,$d' || status=$?

"$root/test/check_skips.sh" "$build/Testing/Temporary/LastTest.log" "$root/test/expected_skips.txt" ||
  status=1

# Last what ctest says of it all, without its list of skips, which stands above with the reasons.
sed -n '/^[0-9]*% tests passed, /,$p' "$log/ctest" | sed '/^The following tests did not run:/,/^$/d'
exit "$status"
