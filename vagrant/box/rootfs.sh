#!/bin/bash
# The root file system of a machine of the lab, from Debian's packages alone, as one tar for both forms of the box.
# usage: rootfs.sh OUTPUT RELEASE   (root; called by vagrant/build-box, which checks what it needs, and owns the temporary place)
#
# OUTPUT is a plain tar (paths ./etc/..., numeric owners, extended attributes) of a Debian with everything that a node or
# the client needs, the kernel included (/boot, /lib/modules, /vmlinuz, /initrd.img; the lxc form leaves them out).
# Debian's release is RELEASE, its sources are the machine's. What is in it beside the packages:
#   - user vagrant (password-less sudo, Vagrant's insecure public key), the same ed25519 host key in each machine;
#   - nothing of the lab runs at boot but sshd: corosync, pacemaker, sbd, apache2, nginx, haproxy are disabled, and so is
#     systemd-networkd, which a form that wants it enables (with its .network files: there are none here);
#   - an empty machine-id (made at the first boot), a persistent journal, /etc/fstab empty, no swap, UTC, C.UTF-8.
set -euo pipefail
output=$1
release=$2
here=$(cd -- "$(dirname -- "$0")" && pwd -P)
work=$(mktemp -d "$(dirname -- "$output")/rootfs.XXXXXX")
trap 'rm -rf --one-file-system -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A machine that boots and lets Vagrant in; what the lab needs in it is in provision/packages.txt.
MACHINE="systemd-sysv dbus udev kmod linux-image-cloud-$(dpkg --print-architecture) e2fsprogs sudo openssh-server
    ca-certificates netbase libpam-systemd"
LAB=$(grep -v '^#' "$here/../provision/packages.txt")

# The machine's own sources, as far as they are Debian's, for the release that is asked for; a line each, as
# sources.list(5) has them.
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
sources() {
    apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(REPO_URI)|$(COMPONENT)' 'Created-By: Packages' \
        | while IFS='|' read -r origin suite uri component; do
            [ "$origin" != Debian ] || echo "deb $uri $suite $component"
        done | sed "s/ $own/ $release/" | sort -u
}

sources >"$work/sources.list"
if [ ! -s "$work/sources.list" ]; then
    apt-get -q update >"$work/apt.log" 2>&1 || true
    sources >"$work/sources.list"
fi
if [ ! -s "$work/sources.list" ]; then
    echo "build-box: apt knows no Debian archive here; a box is made of Debian's packages: see sources.list(5)" >&2
    exit 1
fi
apt-config dump 'Acquire' 2>/dev/null | grep -E '^Acquire::[a-zA-Z]' | grep -v -e '^Acquire::IndexTargets' -e ' "";$' >"$work/apt.conf"

key=$work/ssh_host_ed25519_key
ssh-keygen -q -t ed25519 -N '' -C koboshi-lab -f "$key"
cat >"$work/customize" <<'WORDS'
#!/bin/sh
set -eu
root=$1
in_root() { chroot "$root" "$@"; }

rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root"/etc/ssh/ssh_host_*
install -m 600 "${0%/*}/ssh_host_ed25519_key" "$root/etc/ssh/ssh_host_ed25519_key"
install -m 644 "${0%/*}/ssh_host_ed25519_key.pub" "$root/etc/ssh/ssh_host_ed25519_key.pub"
printf 'UseDNS no\nPermitRootLogin no\nHostKey /etc/ssh/ssh_host_ed25519_key\n' >"$root/etc/ssh/sshd_config.d/lab.conf"

in_root useradd --create-home --shell /bin/bash vagrant
printf 'vagrant ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/vagrant"
chmod 440 "$root/etc/sudoers.d/vagrant"
in_root install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 600 "${0%/*}/vagrant.pub" "$root/home/vagrant/.ssh/authorized_keys"
in_root chown vagrant:vagrant /home/vagrant/.ssh/authorized_keys

for unit in corosync pacemaker sbd logd apache2 nginx haproxy systemd-networkd systemd-networkd-wait-online.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap fstrim.timer; do
    systemctl --quiet --root="$root" disable "$unit" 2>/dev/null || true
done
mkdir -p "$root/var/log/journal"
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
: >"$root/etc/resolv.conf"
: >"$root/etc/motd"
rm -f "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/man/* \
    "$root"/usr/share/locale/* "$root"/var/log/*.log "$root"/var/log/apt/*
echo koboshi-lab >"$root/etc/hostname"
printf '127.0.0.1 localhost koboshi-lab\n' >"$root/etc/hosts"
WORDS
chmod 755 "$work/customize"
cp -- "$here/vagrant.pub" "$work/vagrant.pub"

# shellcheck disable=SC2086 # lists of words
packages=$(echo $MACHINE $LAB | tr ' ' ,)
echo "build-box: Debian $release with $(echo "$packages" | tr ',' '\n' | wc -l) packages and what they need"
TMPDIR=$work mmdebstrap --mode=root --variant=minbase --include="$packages" --aptopt="$work/apt.conf" \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io --skip=check/empty --format=tar \
    --customize-hook="'$work/customize' \"\$1\"" "$release" "$output" "$work/sources.list" 2>&1 \
    | tee "$work/mmdebstrap.log" | sed -un 's/^I: \(.*\)\.\.\.$/build-box:   \1/p' || {
    tail -n 20 "$work/mmdebstrap.log" >&2
    exit 1
}
