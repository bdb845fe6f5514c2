#!/bin/bash
# Tests of test/vm/run. Each boot takes several seconds, so one guest serves for all that can be seen in one.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"
vm_run=$root/test/vm/run

# A case has no network to fetch anything from.
prepared() {
  [[ -z ${CNI_SANITIZE:-} ]] || { echo "SKIPPED: the guest is the same with sanitizers"; exit 0; }
  "$vm_run" --check 2>/dev/null || { echo "SKIPPED: test/vm/run is not prepared"; exit 0; }
}

refuses() {
  expect_equal "no command" 125 "$(status_of "$vm_run")"
  expect_equal "unknown option" 125 "$(status_of "$vm_run" --no-such-option true)"
  expect_equal "missing folder" 125 "$(status_of "$vm_run" --dir "$work/none" true)"
  expect_contains "error" "$(<"$errors")" "--dir $work/none: no such folder"
  expect_equal "bad number" 125 "$(status_of "$vm_run" --cpus none true)"
  expect_equal "not prepared" 1 "$(XDG_CACHE_HOME=$work status_of "$vm_run" --check)"
}
describe "test/vm/run refuses what it cannot do" refuses

# Run in the guest, with the shared folder and the release of the kernel outside.
look_around() {
  echo "out of $PWD"
  printf 'error: %s\n' "$3" >&2
  [[ $(uname -r) != "$2" ]] || return 1
  # What is written anywhere else stays in the guest.
  echo changed >"$1/../private" || return 1
  # A feature that has to be loaded first, and the interfaces of a fresh machine.
  ip link add probe type dummy || return 1
  ip -j link | jq -r '.[].ifname' >"$1/links"
  echo "$CASE_VARIABLE" >"$1/variable"
  # Also what never ends must not hold up the end.
  sleep infinity &
  return 43
}

passes_on() {
  prepared
  mkdir "$work/shared"
  echo kept >"$work/private"
  cd "$work"
  local status=0
  CASE_VARIABLE=$'a "quoted" \\ value\nof two lines' "$vm_run" --dir "$work/shared" --timeout 100 -- \
    bash -c "$(declare -f look_around); look_around \"\$@\"" bash "$work/shared" "$(uname -r)" "an argument's  spaces" \
    >"$work/out" 2>"$errors" || status=$?
  expect_equal "errors" "error: an argument's  spaces" "$(<"$errors")"
  expect_equal "exit status" 43 "$status"
  expect_equal "output" "out of $work" "$(<"$work/out")"
  expect_equal "links" "lo eth0 probe" "$(tr '\n' ' ' <"$work/shared/links" | sed 's/ $//')"
  expect_equal "variable" $'a "quoted" \\ value\nof two lines' "$(<"$work/shared/variable")"
  expect_equal "file that is not shared" kept "$(<"$work/private")"
}
describe "test/vm/run passes on output and exit status and the shared files" passes_on

times_out() {
  prepared
  mkdir "$work/tmp"
  expect_equal "exit status" 124 "$(TMPDIR=$work/tmp status_of "$vm_run" --timeout 8 sleep infinity)"
  expect_contains "error" "$(<"$errors")" "out of time: "
  expect_equal "what is left" "" "$(ls -A "$work/tmp")"
}
describe "test/vm/run ends a guest that is out of time" times_out

run_cases "$@"
