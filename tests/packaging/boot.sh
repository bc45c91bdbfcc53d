#!/bin/sh
# Boots the systemd of a root folder as the first process of namespaces of its own: boot.sh ROOT
# To be run under `unshare --mount --pid --fork --uts --ipc --cgroup`; console output goes to stdout. Much as a container
# manager would: what belongs to the whole machine (/proc/sys, /sys, devices) cannot be written from inside.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=755 dev dev
for d in null zero full random urandom tty; do
    touch "dev/$d"
    mount --bind "/dev/$d" "dev/$d"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p mnt/old
pivot_root . mnt/old
exec env -i container=securebase PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c 'umount -l /mnt/old && exec /lib/systemd/systemd --show-status=no --log-target=console --log-level=notice'
