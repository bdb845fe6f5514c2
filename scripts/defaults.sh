# shellcheck shell=bash
# Sourced by the scripts that run plugins: which plugins and which networks, where the caller does not say.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# network_files FOLDER: the network configurations in it, sorted by name, each followed by a NUL.
network_files() {
  find -L "$1" -maxdepth 1 -type f \( -name '*.conf' -o -name '*.json' -o -name '*.conflist' \) -print0 2>/dev/null |
    LC_ALL=C sort -z || true
}

# choose_plugins: sets and exports CNI_PATH; builds the plugins if it was not set and they are not there.
choose_plugins() {
  if [[ -z ${CNI_PATH:-} ]]; then
    CNI_PATH=$project/bin
    if [[ ! -x $CNI_PATH/bridge ]]; then "$project/build_linux.sh" >&2; fi
  fi
  export CNI_PATH
}

# choose_cnitool: sets CNITOOL; builds it if it was not set and is not there.
choose_cnitool() {
  if [[ -z ${CNITOOL:-} ]]; then
    CNITOOL=$project/bin/cnitool
    if [[ ! -x $CNITOOL ]]; then "$project/build_linux.sh" >&2; fi
  fi
}

# choose_networks: sets and exports NETCONFPATH, a folder that holds networks.
choose_networks() {
  local given=${NETCONFPATH:-/etc/cni/net.d}
  if [[ -z $(network_files "$given" | tr -d '\0') ]]; then
    NETCONFPATH=$project/examples/net.d
    echo "$(basename "$0"): no network in $given; taking those in $NETCONFPATH" >&2
  else
    NETCONFPATH=$given
  fi
  export NETCONFPATH
}
