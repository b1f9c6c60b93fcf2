#!/bin/sh
# Prints haproxy.cfg for the client: the farm behind port 80, asking koboshi on each node what it thinks of its server,
# and HAProxy's own view of it on port 8404. usage: LAB_NODES="node1 node2" haproxy.sh
set -eu
cat <<EOF
global
    stats socket /run/haproxy/admin.sock mode 660 level admin

defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    retries 2
    option redispatch

listen view
    bind :8404
    stats enable
    stats uri /

listen farm
    bind :80
    balance roundrobin
    default-server check inter 1s agent-check agent-port 9100 agent-inter 500ms
EOF
number=0
for name in $LAB_NODES; do
    number=$((number + 1))
    echo "    server $name 10.77.0.$((10 + number)):8080 agent-addr 10.77.0.$((10 + number))"
done
