#!/bin/bash
# lint.sh [--changed [REVISION]] [--all]
#
# Checks what a tool can check: format (clang-format), clang-tidy with its findings as errors, the layers of pkg/ and plugins/,
# the shell scripts (shellcheck), the length of files, and that nothing is left to do later in a comment.
#
#   --changed [REVISION]   format and clang-tidy only of files that differ from REVISION (default HEAD)
#   --all                  clang-tidy of the test cases too, which takes several times as long
#   --help                 this text
#
# Packages that are needed and missing are installed, which needs root; otherwise no root is needed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

packages=(clang-format clang-tidy shellcheck
  g++ cmake ninja-build nlohmann-json3-dev libpcre2-dev catch2)

changed='' all=
while [[ $# -gt 0 ]]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --all) all=1 ;;
    --changed)
      changed=HEAD
      if [[ $# -gt 1 && $2 != -* ]]; then changed=$2; shift; fi
      ;;
    *) echo "lint.sh: unknown option $1; see --help" >&2; exit 1 ;;
  esac
  shift
done
ensure_packages "${packages[@]}"
cd "$root"

failed=()
# check NAME COMMAND...: runs one check and notes its failure; the others go on.
check() {
  local name=$1 start=$SECONDS
  shift
  if "$@"; then
    echo "lint: $name: passed ($((SECONDS - start)) s)"
  else
    echo "lint: $name: FAILED"
    failed+=("$name")
  fi
}

# All files of the project, without what builds leave behind.
files() { find . \( -path ./.git -o -path ./bin -o -path ./build -o -path ./.cache \) -prune -o -type f -print; }
mapfile -t sources < <(files | sed 's|^\./||' | grep -E '\.(cpp|hpp)$' | LC_ALL=C sort)
mapfile -t scripts < <(files | xargs grep -lIE '^#!/bin/(ba)?sh|^# shellcheck shell=' | LC_ALL=C sort)
checked=("${sources[@]}")
if [[ -n $changed ]]; then
  mapfile -t checked < <({ git diff --name-only --diff-filter=d "$changed"; git ls-files -o --exclude-standard; } |
    grep -E '\.(cpp|hpp)$' | LC_ALL=C sort -u)
fi

format() {
  local source bad=0
  for source in "${checked[@]}"; do
    clang-format --dry-run --Werror "$source" 2>/dev/null || { echo "not formatted: $source"; bad=1; }
  done
  [[ $bad -eq 0 ]] || echo "clang-format -i FILE... formats them"
  return "$bad"
}

tidy() {
  local source units=()
  for source in "${checked[@]}"; do
    # Headers are checked through the sources that include them.
    case $source in
      *.hpp) ;;
      test/unit/* | test/netns/* | test/cli/*) [[ -z $all ]] || units+=("$source") ;;
      test/fuzz/*) ;;  # built by clang alone
      *) units+=("$source") ;;
    esac
  done
  [[ ${#units[@]} -gt 0 ]] || return 0
  cmake --preset dev -B build/lint -DCNI_BIN_DIR=build/lint/bin -DCNI_TESTS=ON -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >build/lint.log 2>&1 ||
    { cat build/lint.log; return 1; }
  # The counts of suppressed warnings, of the system's headers mostly, are left out.
  printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/lint --quiet 2>&1 |
    { grep -vE '^[0-9]+ warnings? (and [0-9]+ errors? )?generated|^Suppressed |^Use -header-filter' || true; }
}

length() {
  [[ ${#sources[@]} -gt 0 ]] || return 0
  wc -l "${sources[@]}" | awk '$2 != "total" && $1 > 400 { print $2 ": " $1 " lines; 400 are enough"; bad = 1 } END { exit bad }'
}

unfinished() {
  # The words are put together here so that this script does not find itself.
  local words='TO''DO|FIX''ME|XX''X'
  ! files | xargs grep -nIwE "$words"
}

mkdir -p build
check "clang-format" format
check "layers" scripts/check_layers.sh
check "shellcheck" shellcheck -x "${scripts[@]}"
check "length" length
check "unfinished" unfinished
check "clang-tidy" tidy

if [[ ${#failed[@]} -gt 0 ]]; then
  echo "lint: failed: ${failed[*]}"
  exit 1
fi
echo "lint: all passed"
