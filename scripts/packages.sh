# shellcheck shell=bash
# Sourced by the other scripts: the Debian packages they need.

# ensure_packages NAME...: installs those that are missing, and does nothing at all, neither network nor root needed, when all
# are there. What apt says goes to stderr.
ensure_packages() {
  local package missing=()
  for package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "$(basename "$0"): this is no Debian; on Debian these packages would be needed: ${missing[*]}" >&2
    return 0
  fi
  if [[ $EUID -ne 0 ]]; then
    echo "$(basename "$0"): run as root, or install these packages first: ${missing[*]}" >&2
    return 1
  fi
  echo "$(basename "$0"): installing ${missing[*]}" >&2
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  # A machine that never ran `apt-get update`, or long ago, does not know the packages or their present versions.
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >&2
}

# usage: prints the comment at the top of the calling script, without its first line.
usage() {
  sed -n '2,/^[^#]/{ s/^# \{0,1\}//p; }' "$0"
}
