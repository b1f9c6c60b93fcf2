#!/bin/sh
# Makes a booted Debian the client of the lab: HAProxy in front of what the nodes serve.
# usage: LAB_NODES="node1 node2" client.sh
set -eu
: "${LAB_NODES:?names of the nodes}"
here=$(cd -- "$(dirname -- "$0")" && pwd -P)
sh "$here/packages.sh"
sh "$here/haproxy.sh" >/etc/haproxy/haproxy.cfg
systemctl enable --quiet haproxy
systemctl restart haproxy
