#!/bin/bash
# docker-run.sh [DOCKER-RUN-OPTION...] IMAGE [COMMAND [ARGUMENT...]]
#
# As `docker run`, but the container's network is made by CNI plugins: a container that only sleeps gets a network namespace,
# which is attached to every network of a folder, and the container of interest shares it. Ends with the exit status of
# `docker run`, and takes everything back before. Works with docker and with podman's docker command, for example
#
#   sudo ./scripts/docker-run.sh --rm busybox ip address
#
#   DOCKER          the command (default docker, or podman if there is no docker)
#   SLEEPER_IMAGE   image with a `sleep` for the first container (default busybox)
#
# NETCONFPATH, CNI_PATH, CNI_ARGS, CAP_ARGS and DEBUG are those of exec-plugins.sh; see there. Missing packages are installed, but docker
# or podman has to be there. Needs root.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
. "$scripts/packages.sh"
# shellcheck source=scripts/defaults.sh
. "$scripts/defaults.sh"
# shellcheck source=scripts/attach.sh
. "$scripts/attach.sh"

packages=(iproute2)

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  usage
  exit 0
fi
if [[ $# -eq 0 ]]; then
  echo "usage: $(basename "$0") [DOCKER-RUN-OPTION...] IMAGE [COMMAND...] (see --help)" >&2
  exit 1
fi
if [[ $EUID -ne 0 ]]; then
  echo "$(basename "$0"): run as root: plugins change network interfaces" >&2
  exit 1
fi
docker=${DOCKER:-$(command -v docker || command -v podman || true)}
if [[ -z $docker ]]; then
  echo "$(basename "$0"): neither docker nor podman is here; install one of them, or set DOCKER" >&2
  exit 1
fi
ensure_packages "${packages[@]}"
choose_plugins
choose_networks

# A name of our own, so that the container can be removed even if a signal came before its id was read.
sleeper=cni-$(random_id)
container_id='' netns=''

clean_up() {
  trap '' INT TERM HUP
  if [[ -n $container_id ]]; then detach "$container_id" "$netns" || true; fi
  "$docker" rm -f "$sleeper" >/dev/null 2>&1 || true
}
trap clean_up EXIT
stop_on_signals

"$docker" run --detach --name "$sleeper" --net=none "${SLEEPER_IMAGE:-busybox}" sleep 2147483647 >/dev/null
pid=$("$docker" inspect --format '{{.State.Pid}}' "$sleeper")
netns=/proc/$pid/ns/net
if [[ ! $pid =~ ^[1-9][0-9]*$ || ! -e $netns ]]; then
  echo "$(basename "$0"): the container that holds the network namespace has ended" >&2
  exit 1
fi
container_id=$("$docker" inspect --format '{{.Id}}' "$sleeper")
attach "$container_id" "$netns"
run_interruptibly "$docker" run "--net=container:$container_id" "$@"
