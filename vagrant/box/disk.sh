#!/bin/sh
# Makes a Vagrant box for libvirt out of the root file system of a node: a disk with a kernel and a boot loader.
# usage: disk.sh ROOTFS_TAR BOX   $LAB_DISK: its size, default 4G; files in between are beside BOX
# Its mounts and loop device are in a mount namespace of its own and go with it, however it ends.
set -eu
[ $# -eq 2 ] || { echo "usage: disk.sh ROOTFS_TAR BOX" >&2; exit 2; }
if [ "${LAB_APART:-}" != yes ]; then
    LAB_APART=yes exec unshare --mount --propagation private -- sh "$0" "$@"
fi
rootfs=$1 box=$2 size=${LAB_DISK:-4G}
for program in mkfs.ext4 extlinux qemu-img; do
    command -v $program >/dev/null || { echo "disk.sh: $program is missing: apt-get install e2fsprogs extlinux qemu-utils" >&2; exit 1; }
done
work=$(mktemp -d "$(dirname -- "$box")/disk.XXXXXX")
trap 'umount -R "$work/root" 2>/dev/null || :; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM HUP
root=$work/root
mkdir "$root"

echo "build-box:   a disk of $size with an ext4 that the boot loader can read"
truncate -s "$size" "$work/raw"
mkfs.ext4 -q -F -L lab -O ^64bit,^metadata_csum -E lazy_itable_init=0 "$work/raw"
mount -o loop,noatime "$work/raw" "$root"
tar -xf "$rootfs" -C "$root" --numeric-owner --xattrs --xattrs-include='*'
kernel=$(cd "$root/boot" && ls vmlinuz-* 2>/dev/null | sort -V | tail -n 1)
[ -n "$kernel" ] || { echo "disk.sh: $rootfs brings no kernel" >&2; exit 1; }
version=${kernel#vmlinuz-}

echo "build-box:   an initial file system for kernel $version, with what this disk needs alone"
mkdir -p "$root/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=gzip\nRESUME=none\nFSTYPE=ext4\n' >"$root/etc/initramfs-tools/conf.d/lab"
printf '%s\n' virtio_pci virtio_blk ext4 >"$root/etc/initramfs-tools/modules"
mount -t proc proc "$root/proc"
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    sh -c "depmod $version; rm -f /boot/initrd.img-*; update-initramfs -c -k $version >/dev/null"
umount "$root/proc"

# no fsck at boot: the journal is replayed by the kernel, and a node of the lab is thrown away sooner than mended
echo "/dev/vda / ext4 noatime,errors=remount-ro 0 0" >"$root/etc/fstab"
# eth0 is how Vagrant gets in; what else there is, it configures
cat >"$root/etc/systemd/network/20-entry.network" <<END
[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
ClientIdentifier=mac
UseHostname=no
UseRoutes=no
END
systemctl --quiet --root="$root" enable systemd-networkd
systemctl --quiet --root="$root" disable systemd-networkd-wait-online.service
# the lab itself comes in as root, with the same key as Vagrant: each sudo would cost it a second
sed -i 's/^PermitRootLogin .*/PermitRootLogin prohibit-password/' "$root/etc/ssh/sshd_config.d/lab.conf"
install -D -m 600 "$root/home/vagrant/.ssh/authorized_keys" "$root/root/.ssh/authorized_keys"

# what a node of the lab has no use for, and an emulated processor takes long over
for unit in dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service kmod-static-nodes.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount systemd-pstore.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service getty@tty1.service e2scrub_reap.service user@.service logd.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# what systemd has units for needs no scripts of the older kind, after each of which it would read all units anew
for name in corosync pacemaker sbd apache2 nginx haproxy; do rm -f "$root/etc/init.d/$name" "$root"/etc/rc?.d/???"$name"; done
echo "blacklist kvm_amd
blacklist kvm_intel
blacklist powernow_k8" >"$root/etc/modprobe.d/lab.conf"
mkdir -p "$root/boot/extlinux"
cat >"$root/boot/extlinux/extlinux.conf" <<END
DEFAULT lab
PROMPT 0
LABEL lab
    LINUX /boot/vmlinuz-$version
    INITRD /boot/initrd.img-$version
    APPEND root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off audit=0 apparmor=0 fsck.mode=skip panic=5
END
extlinux --install "$root/boot/extlinux" >/dev/null 2>&1
umount "$root"

echo "build-box:   the box itself"
qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd "$work/raw" "$work/box.img"
gigabytes=$(($(stat -c %s "$work/raw") >> 30))
printf '{"provider": "libvirt", "format": "qcow2", "virtual_size": %d}\n' "$gigabytes" >"$work/metadata.json"
cat >"$work/Vagrantfile" <<'END'
Vagrant.configure("2") { |config| config.vm.provider(:libvirt) { |machine| machine.disk_bus = "virtio" } }
END
tar -cf "$work/box" -C "$work" metadata.json Vagrantfile box.img
mv "$work/box" "$box"
