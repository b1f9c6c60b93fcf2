#!/bin/sh
# What a node of the namespaces lab does when it is switched on: the provisioning once, then koboshi, corosync and
# Pacemaker, as a service manager would start them.
koboshi="$LAB_CHECKOUT/.venv/bin/koboshi"
here=$(cd -- "$(dirname -- "$0")" && pwd -P)
install -d -m 750 -o hacluster -g haclient /run/crm
install -d -m 1755 /run/resource-agents
install -d /run/corosync /run/lock /run/apache2
if [ ! -e /var/lib/lab.provisioned ]; then
    sh "$here/../provision/node.sh" "$koboshi" && : >/var/lib/lab.provisioned
fi
setsid sh "$here/unit.sh" "$koboshi" &
sh "$here/../provision/membership.sh" join
