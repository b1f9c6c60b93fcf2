#!/bin/sh
# Installs what packages.txt names and this machine has not; nothing of it is started, or will be at the next boot. A
# box that vagrant/build-box made has all of it.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck disable=SC2046 # a list of words
set -- $(grep -v '^#' "$here/packages.txt")
installed=$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -c '^installed' || :)
[ "$installed" -lt $# ] || exit 0

echo "lab: installing $(($# - installed)) packages"
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y -o DPkg::Lock::Timeout=600 update >/dev/null
apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "$@" >/dev/null </dev/null
systemctl disable --quiet corosync pacemaker sbd logd apache2 nginx haproxy || :
