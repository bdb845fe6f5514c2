# shellcheck shell=bash
# Sourced by test/vm/run: what a guest is made of, kept in ${XDG_CACHE_HOME:-~/.cache}/cni-test-vm.
#
#   kernel-N/vmlinux     the kernel proper        kernel-N/initramfs   busybox and the modules that lead to the root file system
#   kernel-N/modules     all its other modules    kernel-N/version     its release
#   qemu-N/              a newer QEMU than the installed one, or empty if there is none that runs
#
# N is one more each time that what these folders hold changes. A folder gets its name when it is complete, so one that is there is
# right. A lock is held while something is made: of two runs at once, the second finds what the first made.
cache_format=1

# Modules that lead to the root file system: how it is reached, and its layers.
boot_modules=(virtio_pci virtio_console 9pnet_virtio overlay 9p)
# Most modules are for hardware.
unused_modules=(drivers/gpu drivers/media drivers/scsi drivers/usb drivers/infiniband drivers/iio drivers/staging drivers/hwmon
  drivers/net/ethernet drivers/net/wireless drivers/net/usb drivers/net/can drivers/input drivers/video drivers/mtd drivers/ata
  drivers/i2c drivers/platform drivers/target drivers/message drivers/leds drivers/mfd drivers/power drivers/tty sound
  net/bluetooth net/wireless net/mac80211)

vm_packages=(qemu-system-x86 busybox-static kmod xz-utils)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/cni-test-vm
kernel=$cache/kernel-$cache_format
newer_qemu=$cache/qemu-$cache_format

cache_is_complete() {
  [[ $(dpkg-query -W -f '${db:Status-Status}\n' "${vm_packages[@]}" 2>/dev/null | grep -cx installed) -eq ${#vm_packages[@]} ]] &&
    [[ -d $kernel ]] &&
    { [[ -d $newer_qemu ]] || [[ $(qemu_major qemu-system-x86_64) -ge 8 ]]; }
}

# prepare_cache: makes what is missing, and sets $busybox and $qemu (a command with its arguments).
prepare_cache() {
  local lock
  mkdir -p "$cache" || return
  exec {lock}>"$cache/lock"
  flock "$lock" || return
  ensure_packages "${vm_packages[@]}" || return
  busybox=$(command -v busybox) || { echo "test/vm/run: no busybox" >&2; return 1; }
  qemu=(qemu-system-x86_64)
  # What a killed run left unfinished.
  rm -rf "$cache"/new.*
  [[ -d $kernel ]] || make_folder "$kernel" make_kernel || return
  # 8 is about twice as fast as what Debian 12 has.
  if [[ $(qemu_major "${qemu[@]}") -lt 8 ]]; then
    [[ -d $newer_qemu ]] || make_folder "$newer_qemu" make_qemu || return
    if [[ -d $newer_qemu/usr ]]; then
      qemu=("$newer_qemu/usr/bin/qemu-system-x86_64" -L "$newer_qemu/usr/share/qemu" -L "$newer_qemu/usr/share/seabios")
    fi
  fi
  exec {lock}>&-
}

# make_folder FOLDER FUNCTION: FUNCTION fills a new folder, with another for what it needs meanwhile. What is printed is shown if it
# fails.
make_folder() {
  local new=${1%/*}/new.${1##*/}
  echo "test/vm/run: preparing ${1##*/}" >&2
  mkdir -p "$new/made" "$new/work"
  # shellcheck disable=SC2016  # expanded by the inner shell
  # In a shell of its own, for set -e has no effect in a function that is part of a condition.
  if ! "$BASH" -c 'set -euo pipefail; . "$1"; busybox=$2; "${@:3}"' "$0" "$(realpath "${BASH_SOURCE[0]}")" "$busybox" \
    "$2" "$new/made" "$new/work" >"$new/log" 2>&1; then
    tail -n 20 "$new/log" | sed 's/^/  | /' >&2
    return 1
  fi
  mv -T "$new/made" "$1"
  rm -rf "$new"
}

# qemu_major COMMAND...: the first number of its version, 0 if it does not run.
qemu_major() {
  local version
  version=$("$@" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p') || true
  echo "${version:-0}"
}

# archive FOLDER: its files as a part of an initramfs, on stdout. The kernel unpacks several parts, one over the other.
archive() { (cd "$1" && find . | "$busybox" cpio -o -H newc 2>/dev/null); }

# make_kernel MADE WORK
make_kernel() {
  local made=$1 work=$2 package version folder
  fetch_kernel "$work"
  package=$(echo "$work"/linux-image-*.deb)
  mkdir "$work/tree"
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/tree" --no-same-owner "${unused_modules[@]/#/--exclude=*/kernel/}"
  version=$(basename "$work"/tree/boot/vmlinuz-*)
  version=${version#vmlinuz-}
  # The tree needs to have its modules in /lib for the commands below; newer packages have them in /usr/lib.
  folder=$work/tree/lib/modules/$version
  if [[ ! -d $folder ]]; then
    mkdir -p "${folder%/*}"
    mv "$work/tree/usr/lib/modules/$version" "$folder"
  fi
  # Unpacked here, which is quick, and not in the guest.
  find "$folder" -name '*.ko.xz' -exec xz -d {} +
  depmod -b "$work/tree" "$version"
  unpack_kernel "$work/tree/boot/vmlinuz-$version" "$made/vmlinux"
  make_initramfs "$work" "$version" >"$made/initramfs"
  mv "$work/tree/lib/modules" "$made/modules"
  echo "$version" >"$made/version"
}

# fetch_kernel FOLDER: the package that linux-image-amd64 stands for.
fetch_kernel() {
  local package
  for attempt in 1 2; do
    # A machine that never ran `apt-get update`, or long ago, does not know the package or its present version.
    [[ $attempt -eq 1 ]] || apt-get -qq update
    package=$(apt-cache depends --important linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
    if [[ -n $package ]] && (cd "$1" && apt-get -qq -o APT::Sandbox::User=root download "$package"); then return; fi
  done
  echo "no package linux-image-amd64: ${package:-the package lists do not have it}"
  return 1
}

# unpack_kernel BZIMAGE VMLINUX: an emulated processor takes seconds to unpack it. Where the packed kernel lies is in the header
# (Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c).
unpack_kernel() {
  local setup offset length
  setup=$(od -An -tu1 -j 497 -N 1 "$1")
  offset=$(od -An -tu4 -j 584 -N 4 "$1")
  length=$(od -An -tu4 -j 588 -N 4 "$1")
  tail -c "+$(((setup + 1) * 512 + offset + 1))" "$1" | head -c "$((length))" >"$2.packed" || true
  # The size that follows the packed kernel is no part of it, and xz minds. A whole image boots too, if later.
  xz -dc --single-stream "$2.packed" >"$2" 2>/dev/null || true
  rm "$2.packed"
  [[ $(head -c 4 "$2") == $'\x7fELF' ]] || cp "$1" "$2"
}

# make_initramfs WORK VERSION: on stdout. Its modules are numbered in the order in which they are to be loaded.
make_initramfs() {
  local work=$1 module file n=100
  mkdir -p "$work/initramfs"/{bin,modules}
  cp "$busybox" "$work/initramfs/bin/busybox"
  for module in "${boot_modules[@]}"; do
    while read -r file; do
      [[ -z $(find "$work/initramfs/modules" -name "*-${file##*/}") ]] || continue
      n=$((n + 1))
      cp "$file" "$work/initramfs/modules/$n-${file##*/}"
    done < <(modprobe -d "$work/tree" -S "$2" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p')
  done
  archive "$work/initramfs"
}

# make_qemu MADE WORK: one from the machine's own backports, which runs with the libraries of the installed one. Without any, MADE
# stays empty.
make_qemu() {
  local made=$1 work=$2 package codename mirror apt
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016  # expanded by apt
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' "Codename: $codename" |
    head -n 1)
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  echo "deb $mirror $codename-backports main" >"$work/sources.list"
  # Lists of its own: the machine's sources are not to be changed.
  apt=(apt-get -qq -o Dir::Etc::SourceParts=/dev/null -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::PreferencesParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root -o APT::Default-Release=)
  if "${apt[@]}" update && (cd "$work" && "${apt[@]}" download qemu-system-x86 qemu-system-data seabios); then
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/qemu"; done
    mkdir -p "$made/usr/bin"
    cp "$work/qemu/usr/bin/qemu-system-x86_64" "$made/usr/bin"
    cp -r "$work/qemu/usr/share" "$made/usr"
    rm -rf "$made"/usr/share/{doc,man}
  fi
  if [[ $(qemu_major "$made/usr/bin/qemu-system-x86_64") -lt 8 ]]; then
    echo "test/vm/run: no newer QEMU in $codename-backports" >&2
    rm -rf "${made:?}/usr"
  fi
}
