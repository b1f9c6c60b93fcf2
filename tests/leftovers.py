"""What a lab may leave on this machine, looked at before and after: only what it would be to blame for.

Processes, mounts, interfaces, control groups, firewall rules, forwarding, and files in the places that Vagrant, lxc and
libvirt write to beside the lab's directory and the box store.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

#: Names of interfaces that are a lab's or a hypervisor's.
_CARDS = re.compile(r"(br-[ab]|v-(node\d|client).*|lxcbr\d|virbr\d.*|vnet\d+|vboxnet\d+)$")
_PLACES = (
    "/var/lib/lxc", "/var/log/lxc", "/run/lxc", "/run/lock/lxc", "/var/lib/libvirt", "/etc/libvirt", "/run/libvirt",
    "/var/log/libvirt", "/var/cache/libvirt", "/etc/cluster", "/root/.vagrant.d", "/root/.VirtualBox", "/etc/vbox",
    str(Path(__file__).resolve().parents[1] / "vagrant/.vagrant"),
)  # fmt: skip
_RULES = (("nft", "list", "ruleset"), ("iptables-save",), ("ip6tables-save",))


def traces(directory: Path, *names: str) -> set[str]:
    """All there is of that kind now, each thing as a line.

    Processes, mounts and control groups are the lab's in ``directory`` when they name it, or one of ``names``; other
    labs may come and go meanwhile. All else is blamed on whoever looks.
    """
    marks = (str(directory), *names)
    return {*_processes(marks), *_mounts(marks), *_cards(), *_groups(names), *_rules(), *_files()}


def _processes(marks: tuple[str, ...]) -> set[str]:
    """Those that name the lab in their command line, or have its directory in their environment (LAB_ROOM)."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            everything = words + (entry / "environ").read_bytes().decode(errors="replace")
            if int(entry.name) != os.getpid() and any(mark in everything for mark in marks):
                found.add(f"process {entry.name}: {words[:160]}")
    return found


def _mounts(marks: tuple[str, ...]) -> set[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return {f"mount {line}" for line in lines if any(mark in line for mark in marks)}


def _cards() -> set[str]:
    return {f"interface {name}" for name in os.listdir("/sys/class/net") if _CARDS.match(name)}


def _groups(names: tuple[str, ...]) -> set[str]:
    top = Path("/sys/fs/cgroup")
    found = {path for pattern in ("*", "*/*") for path in top.glob(pattern) if path.is_dir() and not path.is_symlink()}
    usual = re.compile(r"lxc\.|machine(\.slice)?$|libvirt")
    return {f"control group {path}" for path in found if usual.match(path.name) or path.name in names}


def _rules() -> set[str]:
    found = {f"ip_forward {Path('/proc/sys/net/ipv4/ip_forward').read_text().strip()}"}
    for words in _RULES:
        if shutil.which(words[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            out = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30).stdout
            said = [re.sub(r"\[\d+:\d+\]|# .*", "", line).strip() for line in out.splitlines()]
            found |= {f"{words[0]}: {line}" for line in said if line}
    return found


def _files() -> set[str]:
    found = set()
    for place in filter(os.path.exists, _PLACES):
        found.add(f"file {place}")
        for folder, folders, names in os.walk(place):
            found |= {f"file {folder}/{name}" for name in (*folders, *names)}
    with os.scandir("/tmp") as entries:
        found |= {f"file {entry.path}" for entry in entries if re.match(r"vagrant|lxc-|libvirt|d\d{8}-", entry.name)}
    return found
