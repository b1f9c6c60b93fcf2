#!/bin/sh
# Runs fence_virtd in a lab's room, for fence_xvm in the machines, on ring b, where the switch is in other labs too.
# usage: fence.sh DIRECTORY NODES DEAF   ("node1 node2 ...", and for which of them it does not obey)
# Called again, it starts anew with what it is told then. The key is made once: DIRECTORY/fence_xvm.key.
set -eu
place=$1/hypervisor nodes=$2 deaf=$3
key=$1/fence_xvm.key
[ -s "$key" ] || (umask 077 && head -c 512 /dev/urandom >"$key")
if [ -s "$place/fence.pid" ]; then
    kill "$(cat "$place/fence.pid")" 2>/dev/null || :
    while kill -0 "$(cat "$place/fence.pid")" 2>/dev/null; do sleep 0.05; done
    rm -f "$place/fence.pid"
fi
{
    cat <<END
fence_virtd { listener = "multicast"; backend = "libvirt"; module_path = "/usr/lib/$(uname -m)-linux-gnu/fence-virt"; }
listeners { multicast { key_file = "$key"; address = "225.0.0.12"; interface = "br-b"; } }
backends { libvirt { uri = "qemu:///system"; } }
groups { group {
    name = "obeyed";
    uuid = "nobody";
END
    for node in $nodes; do
        case " $deaf " in *" $node "*) ;; *) echo "    uuid = \"$node\";" ;; esac
    done
    number=0
    for node in $nodes; do
        number=$((number + 1))
        for ring in 0 1 9; do echo "    ip = \"10.77.$ring.$((10 + number))\";"; done
    done
    echo "} }"
} >"$place/fence.conf"
cd /
fence_virtd -F -f "$place/fence.conf" -p "$place/fence.run" </dev/null >>"$place/log/fence_virtd.log" 2>&1 &
echo $! >"$place/fence.pid"
