#!/bin/bash
# scripts/docker-run.sh with a real podman, on an image made on the spot.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"

# shellcheck source=test/support/podman.sh
. "$root/test/support/podman.sh"
export SLEEPER_IMAGE=localhost/busybox NETCONFPATH=$root/examples/net.d

attaches() {
  prepare_podman ""
  local before output
  before=$(traces)
  output=$("$root/scripts/docker-run.sh" --rm localhost/busybox ip address show dev eth0)
  expect_contains "the container's address" "$output" "inet 10.22.0.2/16"
  "$root/scripts/docker-run.sh" --rm localhost/busybox ping -c 1 -i 0.2 -w 5 10.22.0.1 >/dev/null
  expect_equal "traces" "$before" "$(traces)"
  expect_equal "containers left" "" "$("$DOCKER" ps --all --quiet)"
}

passes_the_status_on() {
  prepare_podman ""
  expect_equal "exit status" 7 "$(status_of "$root/scripts/docker-run.sh" --rm localhost/busybox sh -c 'exit 7')"
  expect_equal "containers left" "" "$("$DOCKER" ps --all --quiet)"
}

describe "docker-run attaches podman's containers and leaves nothing" attaches
describe "docker-run ends with the status of podman's container" passes_the_status_on
run_cases "$@"
