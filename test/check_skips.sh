#!/bin/bash
# check_skips.sh CTEST_LOG EXPECTED
#
# Lists the tests that skipped, with their reasons, from ctest's Testing/Temporary/LastTest.log. Fails if one is not expected,
# or if a test failed after it had skipped a part of itself: ctest calls that a skip too.
#
# Each line of EXPECTED is an extended regular expression, which is looked for in "NAME: REASON", then " # " and why the skip is
# all right. Lines that start with # are comments.
set -euo pipefail
if [[ $# -ne 2 || $1 == --help ]]; then
  sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' "$0"
  [[ ${1:-} == --help ]] && exit 0 || exit 1
fi

awk -v expected="$2" '
  BEGIN {
    while ((getline line < expected) > 0) {
      if (line ~ /^#/ || line ~ /^[ \t]*$/) continue
      cut = index(line, " # ")
      if (!cut) { print "no reason in " expected ": " line; bad = 1; continue }
      pattern[++patterns] = substr(line, 1, cut - 1)
      sub(/[ \t]+$/, "", pattern[patterns])
    }
  }
  /^[0-9]+\/[0-9]+ Test: / { name = $0; sub(/^[0-9]+\/[0-9]+ Test: /, "", name); reason = ""; failed = 0 }
  # Only the first reason of a test is shown; one is enough to see what is missing.
  /SKIPPED: / && !/^Command: / && reason == "" { reason = $0; sub(/.*SKIPPED: /, "", reason) }
  /FAILED:$/ { failed = 1 }
  /^Skip (regular expression found in output|return code matched)/ {
    known = 0
    for (i = 1; i <= patterns; i++) if ((name ": " reason) ~ pattern[i]) known = 1
    if (failed) { printf "failed, though it calls itself skipped: %s\n", name; bad = 1 }
    else if (known) printf "skipped: %s: %s\n", name, reason
    else { printf "skipped, and not expected to: %s: %s\n", name, reason; bad = 1 }
    skips++
  }
  END { if (skips) printf "%d skipped\n\n", skips; exit bad }
' "$1"
