#!/bin/bash
# The installed CMake package, used by projects outside the tree. CNI_BUILD_DIR names the build folder to install from.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
build=${CNI_BUILD_DIR:-$root/build/release}

# install_package [ARGUMENT...]: into the folder $prefix. A build that was told to install outside of its prefix does not get there.
install_package() {
  prefix=$work/root/prefix
  DESTDIR=$work/root cmake --install "$build" --prefix /prefix "$@" >"$work/install.log" || fail "$(<"$work/install.log")"
}

# need_plain_build: ends the case for a package that others could not use as it is.
need_plain_build() {
  [[ -z ${CNI_SANITIZE:-} ]] || { echo "SKIPPED: libraries with sanitizers are not for other projects"; exit 0; }
}

# build_outside SOURCE [ARGUMENT...]: builds a project that knows the tree by its installed package only, in $work/build.
build_outside() {
  local source=$1
  shift
  cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@" \
    >"$work/build.log" 2>&1 || fail "$(<"$work/build.log")"
  cmake --build "$work/build" --parallel 2 >"$work/build.log" 2>&1 || fail "$(<"$work/build.log")"
}

names_in() { find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd ' '; }

components() {
  install_package --component plugins
  expect_equal "executables" "$(names_in "$CNI_PATH")" "$(names_in "$prefix/libexec/cni")"
  expect_equal "folders of the component plugins" "libexec share" "$(names_in "$prefix")"
  CNI_COMMAND=VERSION "$prefix/libexec/cni/bridge" >/dev/null

  rm -r "$prefix"
  install_package --component development
  [[ ! -e $prefix/libexec ]] || fail "the component development has executables"
  local header
  while read -r header; do
    [[ ! -e $prefix/include/cni/$header ]] || fail "the private header $header is installed"
  done <"$root/cmake/private_headers.txt"
  # A package may be moved, and its users' warnings are their own.
  if grep -rnE "$root|$build|-W(all|error|extra)" "$prefix" --include='*.cmake'; then
    fail "the package has something of the tree"
  fi
}
describe "the package has one component for plugins and one for development" components

# executable_is_static FILE
executable_is_static() {
  ! readelf --wide --program-headers "$1" | grep -q INTERP || fail "$1 is not static"
  ! readelf --wide --sections "$1" | grep -q '\.symtab' || fail "$1 is not stripped"
}

chain() {
  local networks=$work/networks
  mkdir "$networks"
  cp "$work/sample/example.conflist" "$networks/10-labelled.conflist"
  export CNI_PATH=$CNI_PATH:$work/build NETCONFPATH=$networks
  ip netns add c1
  "$root/scripts/exec-plugins.sh" add c1 /run/netns/c1
  expect_equal "address" 10.29.0.2 "$(ip -n c1 -j address show dev eth0 | jq -r '.[0].addr_info[0].local')"
  expect_equal "alias" "web frontend" "$(ip -n c1 -j link show dev eth0 | jq -r '.[0].ifalias')"
  check_result "$networks/10-labelled.conflist" /run/cni-exec-plugins/c1/0.result

  local gc
  gc=$(jq -c '.plugins[1] + {name, cniVersion, "cni.dev/valid-attachments": [{containerID: "c1", ifname: "eth0"}]}' \
    "$networks/10-labelled.conflist")
  touch /var/lib/cni/sample/labelled/gone:eth0
  CNI_COMMAND=GC "$work/build/sample" <<<"$gc"
  expect_equal "state after GC" c1:eth0 "$(ls -A /var/lib/cni/sample/labelled)"
  "$root/scripts/exec-plugins.sh" del c1 /run/netns/c1
  expect_equal "state after del" "" "$(ls -A /var/lib/cni/sample/labelled)"
  expect_equal "links of the container" lo "$(ip -n c1 -j link | jq -r '.[].ifname')"
  expect_equal "first version" 0.1.0 "$(CNI_COMMAND=VERSION "$work/build/sample" | jq -r '.supportedVersions[0]')"
}

sample() {
  need_plain_build
  install_package
  # The template comes with the package.
  cp -r "$prefix/share/cni/sample" "$work/sample"
  expect_equal "the installed template" "" "$(diff -r "$root/plugins/sample" "$work/sample")"
  build_outside "$work/sample"
  expect_equal "flags of ours that reach others" "" \
    "$(grep -oE -e "-Werror|-Wconversion|$root" "$work/build/compile_commands.json" | sort -u)"
  executable_is_static "$work/build/sample"
  ctest --test-dir "$work/build" --output-on-failure --no-tests=error >"$work/ctest.log" || fail "$(<"$work/ctest.log")"
  ! grep -q Skipped "$work/ctest.log" || fail "$(<"$work/ctest.log")"
  chain
}
describe "the sample is built and tested outside the tree and runs there behind bridge" sample

headers() {
  need_plain_build
  install_package --component development
  local header sources=()
  mkdir "$work/headers"
  while read -r header; do
    echo "#include \"$header\"" >"$work/headers/${header//\//_}.cpp"
    sources+=("${header//\//_}.cpp")
  done < <(find "$prefix/include/cni" -name '*.hpp' -printf '%P\n')
  [[ ${#sources[@]} -gt 20 ]] || fail "only these headers are installed: ${sources[*]}"
  cat >"$work/headers/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(headers LANGUAGES CXX)
find_package(cni REQUIRED)
add_library(headers OBJECT ${sources[*]})
target_link_libraries(headers PRIVATE cni::plugin cni::libcni)
# Headers of a package are those of the system to the compiler, which would be silent about them.
set_target_properties(headers PROPERTIES NO_SYSTEM_FROM_IMPORTED ON)
target_compile_options(headers PRIVATE -fsyntax-only -Wall -Wextra -Werror)
CMAKE
  build_outside "$work/headers"
}
describe "each public header can be read alone" headers

runtime() {
  need_plain_build
  install_package
  build_outside "$root/test/package/runtime"
  ip netns add c1
  local network=$root/examples/net.d/10-mynet.conflist
  call_runtime() { "$work/build/runtime" "$1" "$network" "$prefix/libexec/cni" /run/netns/c1; }
  expect_equal "the result's address" 10.22.0.2/16 "$(call_runtime add | jq -r '.ips[0].address')"
  expect_equal "the interface's address" 10.22.0.2 \
    "$(ip -n c1 -j address show dev eth0 | jq -r '.[0].addr_info[0].local')"
  call_runtime check
  call_runtime del
  expect_equal "links of the container" lo "$(ip -n c1 -j link | jq -r '.[].ifname')"
  call_runtime del
}
describe "a runtime outside the tree adds and deletes a network with cni libcni" runtime

run_cases "$@"
