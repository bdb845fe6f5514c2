#!/bin/busybox sh
# shellcheck shell=dash
# The guest's first process once the root file system is there: sets up what a system has, runs the command, and powers off.
/run/vm/busybox --install -s /run/vm/bin
export PATH=/run/vm/bin
cd / || poweroff -f

mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
hostname -F /run/vm/hostname
ip link set lo up
# What is written in a shared folder is to be outside soon, also if time runs out.
echo 100 >/proc/sys/vm/dirty_writeback_centisecs
echo 100 >/proc/sys/vm/dirty_expire_centisecs
# The node /dev/net/tun comes with its module, and the network card with its driver, so nobody can ask for them.
/sbin/modprobe -a tun virtio_net

# Ports appear a moment after their driver.
tries=0
while ! [ -e /dev/vport0p3 ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    echo "test/vm: no ports" >/dev/console
    poweroff -f
  fi
  usleep 100000
done
exec 7>/dev/vport0p3

# A port cannot be opened twice, as a command does that writes to /dev/stdout. A pipe can.
mkfifo /run/vm/output /run/vm/errors
cat /run/vm/output >/dev/vport0p1 7>&- &
output=$!
cat /run/vm/errors >/dev/vport0p2 7>&- &
errors=$!
exec 8>/run/vm/output 9>/run/vm/errors
if [ -e /run/vm/one_output ]; then exec 9>&8; fi
echo started >&7
setsid env -i /bin/bash --norc /run/vm/command </dev/null >&8 2>&9 7>&- 8>&- 9>&- &
command=$!
exec 8>&- 9>&-
wait "$command"
status=$?

# All that it wrote has to get out, but what it left running must not hold the end up.
tries=0
while [ "$tries" -lt 20 ] && { kill -0 "$output" || kill -0 "$errors"; } 2>/dev/null; do
  usleep 50000
  tries=$((tries + 1))
done
kill -KILL -1
sync
# Unmounted, nothing of the shared folders is left in the guest's memory.
sort -r /run/vm/folders | while read -r folder; do
  umount "$folder" || umount -l "$folder"
done
echo "$status" >&7
poweroff -f
