#!/bin/sh
# Lets this node of the lab leave the cluster in good order, or join it again.
# usage: membership.sh leave|join
set -eu
if [ -d /run/systemd/system ]; then
    case $1 in
    leave) exec systemctl stop pacemaker corosync ;;
    join) exec systemctl start corosync pacemaker ;;
    esac
fi
# ended PROCESS: waits until it is gone
ended() {
    while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
}
case $1 in
leave)
    for name in pacemakerd corosync; do
        pid=$(pidof "$name") || continue
        kill -TERM "$pid"
        ended "$pid"
    done
    ;;
join)
    corosync
    tries=0
    until corosync-cfgtool -s >/dev/null 2>&1 || [ "$tries" -ge 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    setsid pacemakerd >/dev/null 2>&1 </dev/null &
    ;;
*)
    echo "membership.sh: leave or join" >&2
    exit 2
    ;;
esac
