#!/bin/sh
# Gives a lab's cluster its configuration, once, on one node: fencing, and two services with an address each, as
# "koboshi scaffold pacemaker" prints them.
# usage: cluster.sh KOBOSHI
# $LAB_FENCE: the fence device, lab (standard), xvm, sbd (on the disk $LAB_SBD) or none; $LAB_SERVERS: "apache nginx"
set -eu
koboshi=$1
root=/srv/lab
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# What fences: the lab's own power switch, the hypervisor, or a disk that the nodes share.
fencing() {
    case ${LAB_FENCE:-lab} in
    lab) echo "primitive fence stonith:fence_lab op monitor interval=60s timeout=20s" ;;
    xvm) echo "primitive fence stonith:fence_xvm op monitor interval=60s timeout=60s" ;;
    sbd)
        echo "property stonith-timeout=180s" # the node that is fenced has msgwait to obey, and agents can be slow
        echo "primitive fence stonith:fence_sbd params devices=${LAB_SBD:?the disk that the nodes share}" \
            "op monitor interval=120s timeout=60s"
        ;;
    none) ;;
    *) echo "cluster.sh: LAB_FENCE=$LAB_FENCE is none of lab, xvm, sbd, none" >&2 && exit 2 ;;
    esac
}

# An emulated processor is seconds over each shell script: monitors as often as on a real one would leave it no time for
# anything else, and what they were given would not do where it is shared.
suited() {
    case $(systemd-detect-virt 2>/dev/null) in
    qemu) sed 's/ interval=10s/ interval=60s/; s/ timeout=\([0-9]*\)s/ timeout=\10s/' ;;
    *) cat ;;
    esac
}

# service NAME AGENT CONFIGURATION ADDRESS
service() {
    "$koboshi" scaffold pacemaker "$1" --agent "$2" --set "configfile=$3" --ip "$4" --command "$koboshi" \
        --output "$files" >/dev/null
    suited <"$files/$1.crm"
    echo "location $1-home $1-group 50: node1"
}

stonith=true
[ "${LAB_FENCE:-lab}" != none ] || stonith=false
fencing >"$files/fence.crm"
{
    echo "property stonith-enabled=$stonith cluster-recheck-interval=60s"
    echo "rsc_defaults resource-stickiness=100"
    echo "op_defaults timeout=60s"
    cat "$files/fence.crm"
    for server in ${LAB_SERVERS:-apache nginx}; do
        case $server in
        apache) service web apache $root/apache/httpd.conf 10.77.0.100 ;;
        nginx) service shop nginx $root/nginx/nginx.conf 10.77.0.101 ;;
        esac
    done
    echo "alert koboshi /usr/local/bin/koboshi-alert"
    echo commit
} >"$files/lab.crm"
crm -F configure <"$files/lab.crm"
