#!/bin/sh
# Makes a booted Debian (virtual machine or container) a node of the lab and starts it: koboshi from the source that is
# beside this script, corosync, Pacemaker, all as systemd's units. The last node gives the cluster its configuration.
# Once a machine is a node, this installs koboshi anew and restarts it: a rolling upgrade, node by node.
# usage: LAB_NODES="node1 node2" LAB_FENCE=lab|xvm|sbd|none machine.sh
# $LAB_SBD: the disk that the nodes share, where they fence by it; empty: the machine's second one.
# $LAB_SERVERS: services ("apache nginx"), $LAB_CONFIGURE: yes or no, $LAB_TOKEN: ms; empty: what suits the machine.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd -P)
source=$(cd -- "$here/../.." && pwd -P)
koboshi=/usr/local/bin/koboshi
provisioned=/var/lib/lab.provisioned
: "${LAB_NODES:?names of the nodes}" "${LAB_FENCE:=lab}" "${LAB_CONFIGURE:=yes}"
export LAB_NODES LAB_FENCE

install_koboshi() {
    [ -x /opt/koboshi/bin/python ] || python3 -m venv --system-site-packages --without-pip /opt/koboshi
    /opt/koboshi/bin/python -m pip --quiet --disable-pip-version-check --no-cache-dir install --no-index --no-deps \
        --no-build-isolation --force-reinstall --root-user-action=ignore "$source"
    ln -sf /opt/koboshi/bin/koboshi $koboshi
    install -m 644 "$source/dist/systemd/koboshi.service" /etc/systemd/system/koboshi.service
    systemctl daemon-reload
}

# Units that may take minutes to start, where the processor is emulated and perhaps shared with others.
be_patient() {
    for unit in corosync pacemaker koboshi; do
        mkdir -p /etc/systemd/system/$unit.service.d
        printf '[Service]\nTimeoutStartSec=600\n' >/etc/systemd/system/$unit.service.d/lab.conf
    done
    echo WatchdogSec=300 >>/etc/systemd/system/koboshi.service.d/lab.conf
    systemctl daemon-reload
}

# Real-time scheduling is not for containers, and emulated processors (TCG) need patience.
suit_the_machine() {
    LAB_FREE=no
    patient=1000
    case $(systemd-detect-virt) in
    lxc* | systemd-nspawn | container-other) LAB_FREE=yes ;;
    qemu) patient=3000 && be_patient ;;
    esac
    LAB_TOKEN=${LAB_TOKEN:-$patient}
    export LAB_FREE LAB_TOKEN
}

# A disk that all nodes share, and a watchdog of the kernel's; the first node prepares the disk, the others wait for it.
self_fencing() {
    for device in ${LAB_SBD:-/dev/vdb /dev/sdb}; do [ ! -b "$device" ] || break; done # virtio, or SATA
    export LAB_SBD="$device"
    echo softdog >/etc/modules-load.d/lab.conf
    modprobe softdog
    if [ "$(hostname)" = "${LAB_NODES%% *}" ]; then sbd -d "$device" -4 20 -1 10 create; fi
    tries=0
    until sbd -d "$device" dump >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -le 600 ] || { echo "lab: $device was not prepared for SBD within 5 minutes" >&2 && exit 1; }
        sleep 0.5
    done
    # What the package says there stays: Pacemaker's units read it as well, and the last word counts.
    printf '\nSBD_DEVICE=%s\nSBD_DELAY_START=yes\n' "$device" >>/etc/default/sbd
    systemctl enable --quiet sbd
}

online() { crm_mon -1 --output-as=xml 2>/dev/null | grep -c '<node .*online="true".* pending="false"' || :; }

# The last of the nodes waits for the others, wherever they are in this script.
configure() {
    count=$(echo "$LAB_NODES" | wc -w)
    if [ "$LAB_CONFIGURE" != yes ] || [ "$(hostname)" != "${LAB_NODES##* }" ]; then return 0; fi
    tries=0
    until [ "$(online)" -eq "$count" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 3000 ] || { echo "lab: the other nodes did not come within 5 minutes" >&2 && exit 1; }
        sleep 0.1
    done
    sh "$here/cluster.sh" $koboshi
    echo "lab: the cluster has its configuration"
}

sh "$here/packages.sh"
install_koboshi
if [ -e $provisioned ]; then
    systemctl restart koboshi
    echo "lab: koboshi is upgraded"
    exit 0
fi
suit_the_machine
[ "$LAB_FENCE" != lab ] || install -m 755 "$here/../namespaces/fence_lab" /usr/sbin/fence_lab
[ ! -e "$source/fence_xvm.key" ] || install -D -m 600 "$source/fence_xvm.key" /etc/cluster/fence_xvm.key
[ "$LAB_FENCE" != sbd ] || self_fencing
sh "$here/node.sh" $koboshi
sh "$here/farm.sh"
systemctl --no-reload enable --quiet corosync pacemaker koboshi
systemctl start corosync pacemaker koboshi
: >$provisioned
configure
