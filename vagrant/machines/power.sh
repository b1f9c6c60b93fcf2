#!/bin/sh
# What lxc runs when a container of the lab is switched on. A machine that rebooted itself is away for a while, as
# machines are (shorter than the cluster's patience would be no failover), and a cable that was pulled stays pulled.
# $LXC_NAME, $LXC_HOOK_TYPE: see lxc.container.conf(5). The power switch is vagrant/machines/room_lxc.py.
place=/var/lib/lxc/$LXC_NAME
case ${LXC_HOOK_TYPE:-$3} in
pre-start)
    if [ -e "$place/rebooting" ]; then sleep 5; fi
    : >"$place/rebooting"
    ;;
start-host)
    for ring in a b; do
        if [ -e "$place/pulled-$ring" ]; then ip link set "v-$LXC_NAME-$ring" down; fi
    done
    ;;
esac
exit 0
