#!/bin/sh
# Gives a lab's cluster its configuration, once, on one node: fencing, and two services with an address each, as
# "koboshi scaffold pacemaker" prints them.
# usage: cluster.sh KOBOSHI   $LAB_FENCE: the fence device ("stonith:fence_lab params ...")
set -eu
koboshi=$1
root=/srv/lab
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# service NAME AGENT CONFIGURATION ADDRESS
service() {
    "$koboshi" scaffold pacemaker "$1" --agent "$2" --set "configfile=$3" --ip "$4" --command "$koboshi" \
        --output "$files" >/dev/null
    cat "$files/$1.crm"
    echo "location $1-home $1-group 50: node1"
}

{
    echo "property stonith-enabled=true cluster-recheck-interval=60s"
    echo "rsc_defaults resource-stickiness=100"
    echo "primitive fence ${LAB_FENCE:-stonith:fence_lab} op monitor interval=60s timeout=20s"
    service web apache $root/apache/httpd.conf 10.77.0.100
    service shop nginx $root/nginx/nginx.conf 10.77.0.101
    echo "alert koboshi /usr/local/bin/koboshi-alert"
    echo commit
} >"$files/lab.crm"
crm -F configure <"$files/lab.crm"
