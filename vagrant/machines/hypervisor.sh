#!/bin/sh
# Starts libvirt in a lab's room: /etc/libvirt, /var/lib/libvirt, /var/cache/libvirt, /var/log/libvirt and /dev are the
# room's own (as /run is already), and each daemon lives and dies with the room.
# usage: hypervisor.sh DIRECTORY   (root; returns when machines can be made)
#
# /dev has no kvm where the processor has none: libvirt believes in a device file without asking the processor, and then
# asks QEMU again at each call that it cannot use it (56 s for each machine defined).
set -eu
place=$1/hypervisor
initial=4026531836 # linux/proc_ns.h, PROC_PID_INIT_INO
[ "$(stat -Lc %i /proc/self/ns/pid)" != $initial ] || { echo "hypervisor.sh: only in a room of its own" >&2; exit 2; }

mkdir -p "$place"
cat /proc/sys/net/ipv4/ip_forward >"$place/ip_forward"
mkdir -p "$place/etc" "$place/lib/images" "$place/cache" "$place/log"
cp -a /etc/libvirt/. "$place/etc"
rm -rf "$place/etc/qemu" "$place/etc/storage"
cat >"$place/etc/qemu.conf" <<'END'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
seccomp_sandbox = 0
stdio_handler = "file"
END
cat >"$place/etc/libvirtd.conf" <<END
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:$place/log/libvirtd.log"
END

# vagrant reaches a machine by the lease that it has here, always the same for the same card. "open" means that libvirt
# makes no firewall rules; it switches forwarding on, and the machines make no use of that (20-entry.network in the box)
mkdir -p "$place/etc/qemu/networks/autostart"
{
    echo "<network><name>lab-entry</name><bridge name='br-m' stp='off' delay='0'/><mac address='02:77:00:00:09:fe'/>"
    echo "<forward mode='open'/>"
    echo "<dns enable='no'/><ip address='10.77.9.254' netmask='255.255.255.0'>"
    echo "<dhcp><range start='10.77.9.100' end='10.77.9.199'/>"
    for number in 11 12 13 14 15 16 17 18 253; do
        echo "<host mac='02:77:00:00:09:$(printf %02x $number)' ip='10.77.9.$number'/>"
    done
    echo "</dhcp></ip></network>"
} >"$place/etc/qemu/networks/lab-entry.xml"
ln -s /etc/libvirt/qemu/networks/lab-entry.xml "$place/etc/qemu/networks/autostart/lab-entry.xml"

kvm=no
if grep -Eq '^flags.* (vmx|svm)( |$)' /proc/cpuinfo && [ -c /dev/kvm ]; then kvm=yes; fi
mkdir "$place/dev"
mount -t tmpfs -o mode=755,size=1m dev "$place/dev"
for name in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    # shellcheck disable=SC2046 # two words
    mknod -m 666 "$place/dev/${name%%:*}" c $(echo "${name#*:}" | tr : ' ')
done
mkdir "$place/dev/net" "$place/dev/pts" "$place/dev/shm"
mknod -m 600 "$place/dev/net/tun" c 10 200
[ $kvm = no ] || mknod -m 600 "$place/dev/kvm" c 10 232
ln -s pts/ptmx "$place/dev/ptmx"
ln -s /proc/self/fd "$place/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "$place/dev/${number#*:}"; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$place/dev/pts"
mount -t tmpfs -o mode=1777,size=64m shm "$place/dev/shm"

mount --bind "$place/etc" /etc/libvirt
mount --bind "$place/lib" /var/lib/libvirt
mount --bind "$place/cache" /var/cache/libvirt
mount --bind "$place/log" /var/log/libvirt
mkdir -p /run/libvirt
mount --move "$place/dev" /dev

cd /
nice -n 5 libvirtd </dev/null >>"$place/log/libvirtd.out" 2>&1 &
tries=0
until [ "$(virsh -q -c qemu:///system net-list 2>/dev/null | grep -c ' active ')" = 1 ]; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ] || ! kill -0 $! 2>/dev/null; then
        tail -n 3 "$place/log/libvirtd.log" >&2
        echo "libvirtd did not open its network" >&2
        exit 1
    fi
    sleep 0.2
done
