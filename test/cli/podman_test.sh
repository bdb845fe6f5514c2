#!/bin/bash
# scripts/docker-run.sh with a real podman, on an image made on the spot.
# shellcheck source=test/support/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/cases.sh"

# prepare_podman: an image of busybox and a `docker` that keeps everything below $work.
prepare_podman() {
  command -v podman >/dev/null || { echo "SKIPPED: podman is not installed"; exit 0; }
  [[ -x /bin/busybox ]] || { echo "SKIPPED: podman is not tested without busybox-static"; exit 0; }
  mount -t sysfs sysfs /sys
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  # Limits and control groups of the machine are none of the test's business, and a sandbox may not have them.
  cat >"$work/containers.conf" <<'CONF'
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
CONF
  cat >"$work/docker" <<DOCKER
#!/bin/sh
CONTAINERS_CONF=$work/containers.conf exec podman --root "$work/root" --runroot "$work/runroot" \
  --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "\$@"
DOCKER
  chmod +x "$work/docker"
  mkdir -p "$work/image/bin"
  cp /bin/busybox "$work/image/bin/"
  local applet
  for applet in sh sleep ip ping; do ln -s busybox "$work/image/bin/$applet"; done
  tar -C "$work/image" -c . | "$work/docker" import - localhost/busybox >/dev/null 2>&1
  export DOCKER=$work/docker SLEEPER_IMAGE=localhost/busybox NETCONFPATH=$root/examples/net.d
}

attaches() {
  prepare_podman
  local before output
  before=$(traces)
  output=$("$root/scripts/docker-run.sh" --rm localhost/busybox ip address show dev eth0)
  expect_contains "the container's address" "$output" "inet 10.22.0.2/16"
  "$root/scripts/docker-run.sh" --rm localhost/busybox ping -c 1 -i 0.2 -w 5 10.22.0.1 >/dev/null
  expect_equal "traces" "$before" "$(traces)"
  expect_equal "containers left" "" "$("$DOCKER" ps --all --quiet)"
}

passes_the_status_on() {
  prepare_podman
  expect_equal "exit status" 7 "$(status_of "$root/scripts/docker-run.sh" --rm localhost/busybox sh -c 'exit 7')"
  expect_equal "containers left" "" "$("$DOCKER" ps --all --quiet)"
}

describe "docker-run attaches podman's containers and leaves nothing" attaches
describe "docker-run ends with the status of podman's container" passes_the_status_on
run_cases "$@"
