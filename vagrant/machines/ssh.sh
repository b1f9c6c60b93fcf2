#!/bin/bash
# Runs a command in a machine of the lab, as it is given, word for word; ssh alone would have the other side's shell take it
# apart. One connection to each machine is kept open. usage: ssh.sh DIRECTORY NODE WORD...
place=$1 node=$2
shift 2
words=""
for word in "$@"; do
    words+=" '${word//\'/\'\\\'\'}'"
done
terminal=-T
[ ! -t 0 ] || terminal=-t
exec ssh -F "$place/ssh.config" "$terminal" "$node" "cd / && exec$words"
