# shellcheck shell=bash
# Sourced by tests that run containers with a real podman, on an image made on the spot. Needs cases.sh.
# shellcheck disable=SC2154  # $work is that of cases.sh

# prepare_podman MORE-CONFIGURATION: the image localhost/busybox, and a `docker` in $DOCKER that keeps everything below $work.
prepare_podman() {
  command -v podman >/dev/null || { echo "SKIPPED: podman is not installed"; exit 0; }
  [[ -x /bin/busybox ]] || { echo "SKIPPED: podman is not tested without busybox-static"; exit 0; }
  mount -t sysfs sysfs /sys
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  # Limits and control groups of the machine are none of the test's business, and a sandbox may not have them.
  cat >"$work/containers.conf" <<CONF
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
${1:-}
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
  for applet in sh sleep ip ping httpd nc tail; do ln -s busybox "$work/image/bin/$applet"; done
  tar -C "$work/image" -c . | "$work/docker" import - localhost/busybox >/dev/null 2>&1
  export DOCKER=$work/docker
}
