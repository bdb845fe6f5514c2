#!/bin/bash
# check_skips.sh [--vm | --names-for-vm] CTEST_LOG EXPECTED
#
# Lists the tests that skipped, with their reasons, from ctest's Testing/Temporary/LastTest.log. Fails if one is not expected,
# or if a test failed after it had skipped a part of itself: ctest calls that a skip too.
#
#   --vm             CTEST_LOG is from the guest of test/vm/run, where no test may skip that is to run there
#   --names-for-vm   only prints the names of those that skipped here and are to run there
#
# Each line of EXPECTED is an extended regular expression, which is looked for in "NAME: REASON", then " # " and why the skip is
# all right. If what follows starts with "vm: ", the test is to run under Debian's kernel instead, with `test_linux.sh --vm`.
# Lines that start with # are comments.
set -euo pipefail
mode=here
case ${1:-} in
  --vm) mode=vm; shift ;;
  --names-for-vm) mode=names; shift ;;
esac
if [[ $# -ne 2 || $1 == --help ]]; then
  sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' "$0"
  [[ ${1:-} == --help ]] && exit 0 || exit 1
fi

awk -v expected="$2" -v mode="$mode" '
  BEGIN {
    while ((getline line < expected) > 0) {
      if (line ~ /^#/ || line ~ /^[ \t]*$/) continue
      cut = index(line, " # ")
      if (!cut) { print "no reason in " expected ": " line; bad = 1; continue }
      pattern[++patterns] = substr(line, 1, cut - 1)
      sub(/[ \t]+$/, "", pattern[patterns])
      for_vm[patterns] = substr(line, cut + 3) ~ /^vm: /
    }
  }
  /^[0-9]+\/[0-9]+ Test: / { name = $0; sub(/^[0-9]+\/[0-9]+ Test: /, "", name); reason = ""; failed = 0 }
  # Only the first reason of a test is shown; one is enough to see what is missing.
  /SKIPPED: / && !/^Command: / && reason == "" { reason = $0; sub(/.*SKIPPED: /, "", reason) }
  /FAILED:$/ { failed = 1 }
  /^Skip (regular expression found in output|return code matched)/ {
    known = wanted = 0
    for (i = 1; i <= patterns; i++) if ((name ": " reason) ~ pattern[i]) { known = 1; if (for_vm[i]) wanted = 1 }
    if (mode == "names") { if (wanted && !failed) print name; next }
    if (mode == "vm" && wanted) known = 0
    if (failed) { printf "failed, though it calls itself skipped: %s\n", name; bad = 1 }
    else if (known) printf "skipped: %s: %s\n", name, reason
    else { printf "skipped, and not expected to: %s: %s\n", name, reason; bad = 1 }
    skips++
  }
  END { if (skips) printf "%d skipped%s\n\n", skips, mode == "vm" ? " in the guest" : ""; exit bad }
' "$1"
