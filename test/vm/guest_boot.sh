#!/bin/busybox sh
# shellcheck shell=dash
# The guest's /init: finds the root file system and goes there. Only busybox and a few modules are at hand here.
export PATH=/bin
/bin/busybox --install -s /bin

fail() {
  echo "test/vm: $*"
  poweroff -f
}

# mount_share TAG FOLDER OPTIONS: both sides cache, which is right because nobody else changes these files meanwhile.
mount_share() {
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,access=any,cache=loose,$3" "$1" "$2" || fail "cannot mount $1 on $2"
}

mkdir -p /proc /sys /dev /lower /layer /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do
  insmod "$module" || fail "cannot load $module"
done

# The machine's files below, what the guest writes above. Extended attributes would be asked for with each file, and none is needed.
mount_share root /lower ro,noxattr
mount -t tmpfs -o mode=755,size=80% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /new || fail "cannot mount the root file system"

# A view of it that what is mounted next does not cover.
mkdir /uncovered
mount --bind /new /uncovered
mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp /new/lib/modules
mount -t tmpfs -o mode=755 run /new/run
mount -t tmpfs -o mode=1777 tmp /new/tmp
mkdir -p /new/run/lock /new/run/vm/bin
cp -r /orders/. /bin/busybox /new/run/vm
while read -r folder; do
  case $folder in
    /run/* | /tmp/*)
      mkdir -p "/new$folder"
      mount --bind "/uncovered$folder" "/new$folder" || fail "cannot show $folder"
      ;;
  esac
done </orders/visible
mount --bind "/uncovered$(cat /orders/modules)" /new/lib/modules || fail "cannot show the modules"
umount /uncovered
n=0
while read -r folder; do
  n=$((n + 1))
  mkdir -p "/new$folder"
  mount_share "folder$n" "/new$folder" rw
done </orders/folders

for folder in proc sys dev; do mount --move /$folder /new/$folder; done
exec switch_root /new /run/vm/busybox sh /run/vm/main
