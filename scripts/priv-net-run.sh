#!/bin/bash
# priv-net-run.sh COMMAND [ARGUMENT...]
#
# Runs a command in a network namespace of its own that is attached to every network of a folder, for example
#
#   sudo ./scripts/priv-net-run.sh ip address
#
# and ends with the command's exit status. Before that, all is taken back, also when the command fails or is interrupted:
# processes that the command left in the namespace, the attachments, the namespace, and a bridge that was made for it and
# has no other port. What stays is what attachments share: IP forwarding, and the empty base chains of masquerading.
#
# NETCONFPATH, CNI_PATH, CNI_ARGS, CAP_ARGS and DEBUG are those of exec-plugins.sh; see there. Missing packages are installed. Needs root.
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
  echo "usage: $(basename "$0") COMMAND [ARGUMENT...] (see --help)" >&2
  exit 1
fi
if [[ $EUID -ne 0 ]]; then
  echo "$(basename "$0"): run as root: it makes a network namespace" >&2
  exit 1
fi
ensure_packages "${packages[@]}"
choose_plugins
choose_networks

container_id=$(random_id)
namespace=cni-${container_id:0:12}

# kill_leftovers: ends what still runs in the namespace; its links would live on with it.
kill_leftovers() {
  local signal pids
  for signal in TERM KILL; do
    mapfile -t pids < <(ip netns pids "$namespace" 2>/dev/null)
    [[ ${#pids[@]} -gt 0 ]] || return 0
    kill "-$signal" "${pids[@]}" 2>/dev/null || true
    for _ in {1..20}; do
      [[ -n $(ip netns pids "$namespace" 2>/dev/null) ]] || return 0
      sleep 0.1
    done
  done
}

clean_up() {
  trap '' INT TERM HUP
  kill_leftovers
  detach "$container_id" "/run/netns/$namespace" || true
  if [[ -e /run/netns/$namespace ]]; then ip netns delete "$namespace" || true; fi
}
trap clean_up EXIT
stop_on_signals

ip netns add "$namespace"
attach "$container_id" "/run/netns/$namespace"
# `ip netns exec` shows the command the namespace's own /sys, but needs a root that is a mount point, which it is not in a chroot.
if mountpoint -q /; then
  run_interruptibly ip netns exec "$namespace" "$@"
else
  run_interruptibly nsenter "--net=/run/netns/$namespace" "$@"
fi
