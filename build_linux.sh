#!/bin/bash
# build_linux.sh [--multicall] [--tests] [--asan] [CMake arguments...]
#
# Builds the release preset: one static, stripped executable per plugin, and cnitool, in bin/.
#
#   --multicall   one executable bin/cni-plugins with every plugin; bin/NAME are links to it
#   --tests       the tests as well
#   --asan        the asan preset instead: with the address and undefined-behaviour sanitizers, in build/asan/bin
#   --help        this text
#
# Everything else is handed to CMake, for example -DCNI_BIN_DIR=/opt/cni/bin or -DCNI_STATIC=OFF.
# Packages that the build needs and that are missing are installed, which needs root; otherwise no root is needed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

packages=(g++ cmake ninja-build nlohmann-json3-dev libpcre2-dev)
test_packages=(catch2)

preset=release multicall=OFF tests=OFF bin_dir=
arguments=()
for argument; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    --tests) tests=ON ;;
    --asan) preset=asan ;;
    --multicall | -DCNI_MULTICALL=ON | -DCNI_MULTICALL:BOOL=ON) multicall=ON ;;
    -DCNI_MULTICALL=* | -DCNI_MULTICALL:BOOL=*) multicall=OFF ;;
    -DCNI_BIN_DIR=* | -DCNI_BIN_DIR:PATH=*) bin_dir=$(realpath -m "${argument#*=}") ;;
    *) arguments+=("$argument") ;;
  esac
done

if [[ $tests == ON ]]; then packages+=("${test_packages[@]}"); fi
ensure_packages "${packages[@]}"
if command -v ccache >/dev/null; then
  # Without these two, ccache would not keep what is compiled with a precompiled header.
  launcher="env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache"
  arguments=(-DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" "${arguments[@]}")
fi

# Both forms write the same names in bin/, so each has a build folder of its own, and the links of one must go before the
# other is linked: a link that leads to an up-to-date file would pass for an up-to-date executable.
build=$root/build/$preset
if [[ $preset == release ]]; then : "${bin_dir:=$root/bin}"; else : "${bin_dir:=$build/bin}"; fi
if [[ $multicall == ON ]]; then
  build+=-multicall
elif [[ -e $bin_dir/cni-plugins ]]; then
  find "$bin_dir" -maxdepth 1 -lname cni-plugins -delete
  rm -f "$bin_dir/cni-plugins"
fi

# A build folder remembers its arguments; other arguments than last time start it afresh, so that none lingers.
settings="$bin_dir ${arguments[*]}"
fresh=()
if [[ -e $build/CMakeCache.txt && $(cat "$build/build_linux.settings" 2>/dev/null) != "$settings" ]]; then
  fresh=(--fresh)
fi
cmake -S "$root" --preset "$preset" -B "$build" "${fresh[@]}" -DCNI_MULTICALL="$multicall" \
  -DCNI_BIN_DIR="$bin_dir" -DCNI_TESTS="$tests" "${arguments[@]}"
printf '%s\n' "$settings" >"$build/build_linux.settings"
cmake --build "$build"
echo "executables: $bin_dir"
