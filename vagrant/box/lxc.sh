#!/bin/bash
# The box for Vagrant's provider lxc, from the tar that rootfs.sh made: without the kernel, which a container has not.
# usage: lxc.sh ROOTFS.tar FOLDER   makes FOLDER with what the box has in it, the unpacked tree, and FOLDER/box
set -euo pipefail
tar=$1 folder=$2
here=$(cd -- "$(dirname -- "$0")" && pwd -P)

mkdir -p "$folder/rootfs"
echo "build-box: unpacking the tree that all containers share"
tar -xf "$tar" -C "$folder/rootfs" --numeric-owner --xattrs --xattrs-include='*' \
    --exclude='./boot/*' --exclude='./usr/lib/modules/*' --exclude='./dev/*' --exclude=./vmlinuz* --exclude=./initrd.img*
for unit in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service \
    systemd-modules-load.service systemd-networkd.service getty@tty1.service console-getty.service; do
    ln -sf /dev/null "$folder/rootfs/etc/systemd/system/$unit"
done
cp -- "$here/lxc/metadata.json" "$here/lxc/lxc-config" "$here/lxc/lxc-template" "$folder"
echo "build-box: packing the box"
tar -cf - -C "$folder" --numeric-owner --xattrs --xattrs-include='*' ./rootfs | gzip -1 >"$folder/rootfs.tar.gz"
tar -cf "$folder/box" -C "$folder" metadata.json lxc-config lxc-template rootfs.tar.gz
