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
corosync
tries=0
until corosync-cfgtool -s >/dev/null 2>&1 || [ "$tries" -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
setsid pacemakerd >/dev/null 2>&1 </dev/null &
