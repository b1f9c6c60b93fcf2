#!/bin/sh
# Prints corosync.conf for the nodes in $LAB_NODES ("node1 node2 ..."): two rings, 10.77.0.0/24 and 10.77.1.0/24.
# $LAB_TOKEN: token timeout in ms. $LAB_FREE: "yes" where the kernel grants no real-time scheduling (containers).
set -eu
: "${LAB_NODES:?names of the nodes}"
count=$(echo "$LAB_NODES" | wc -w)
two_node=0
[ "$count" -eq 2 ] && two_node=1
cat <<EOF
totem {
    version: 2
    cluster_name: lab
    transport: knet
    crypto_cipher: none
    crypto_hash: none
    token: ${LAB_TOKEN:-1000}
}
quorum {
    provider: corosync_votequorum
    two_node: $two_node
    expected_votes: $count
}
logging {
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    to_syslog: no
    timestamp: hires
}
EOF
if [ "${LAB_FREE:-yes}" = yes ]; then
    cat <<EOF
system {
    sched_rr: no
    move_to_root_cgroup: no
    allow_knet_handle_fallback: yes
}
EOF
fi
echo "nodelist {"
number=0
for name in $LAB_NODES; do
    number=$((number + 1))
    cat <<EOF
    node {
        name: $name
        nodeid: $number
        ring0_addr: 10.77.0.$((10 + number))
        ring1_addr: 10.77.1.$((10 + number))
    }
EOF
done
echo "}"
