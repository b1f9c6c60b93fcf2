#!/bin/sh
# What a node of the namespaces lab runs: corosync and Pacemaker, as a service manager would start them.
ip link set lo up
install -d -m 750 -o hacluster -g haclient /run/crm
install -d -m 1755 /run/resource-agents
install -d /run/corosync /run/lock /run/apache2
corosync
for _ in 1 2 3 4 5 6 7 8 9 10; do
    corosync-cfgtool -s >/dev/null 2>&1 && break
done
setsid pacemakerd >/dev/null 2>&1 </dev/null &
