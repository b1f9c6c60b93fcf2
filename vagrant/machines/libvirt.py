"""The lab of virtual machines, each with a kernel of its own: libvirt with KVM, or with QEMU's emulation.

Which of the two says the processor; a device file /dev/kvm alone says nothing (see ``hypervisor.sh``).
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import ClassVar

from vagrant.lab.beforehand import check_disk
from vagrant.lab.machines import CHECKOUT, LabError
from vagrant.machines.boxed import Boxed
from vagrant.machines.roomed import Room

#: By how much slower an emulated machine does what a cluster does; LAB_PACE says otherwise, where much else runs.
EMULATED = 6.0
#: MiB on disk for the box, as Vagrant and as libvirt keep it, and for what a machine writes.
BOX, MACHINE = 500, 300
#: MiB of memory of a machine unless LAB_MEMORY says otherwise, and what QEMU takes beside it.
MEMORY, BESIDE = 1024, 676
#: corosync's token timeout in ms where a whole second may pass between two turns of an emulated processor.
TOKEN = "5000"
#: The size of a file and what of it is not known yet: all, when it has become shorter than what is known.
_REST = 'size=$(stat -c %s "$1") || exit 1; from=$2; [ "$from" -le "$size" ] || from=0; '
_REST += 'echo "$from $size"; tail -c "+$((from + 1))" "$1" | head -c "$((size - from))"'
_SSH = """\
Host node* client
    User root
    IdentityFile {directory}/ssh.key
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    SetEnv LC_ALL=C.UTF-8
    ConnectTimeout 10
    ServerAliveInterval 5
    ServerAliveCountMax 3
    ControlMaster auto
    ControlPath /run/lab-%n
    ControlPersist yes
"""


def accelerated(cpuinfo: str, device: bool) -> bool:
    """Whether KVM works, by the processor's flags in /proc/cpuinfo's text, and with the device there."""
    return device and re.search(r"^flags\s*:.* (vmx|svm)( |$)", cpuinfo, re.MULTILINE) is not None


def _pace() -> float:
    text = os.environ.get("LAB_PACE") or ("1" if quick() else str(EMULATED))
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise LabError(f"LAB_PACE={text} is no number of times by which machines are slower: say 1, or 6.5")
    return float(text)


def _memory() -> int:
    text = os.environ.get("LAB_MEMORY") or str(MEMORY)
    if not text.isdecimal():
        raise LabError(f"LAB_MEMORY={text} is no number of MiB: say 512 or more")
    return int(text)


def quick() -> bool:
    """Whether machines run at the processor's own speed here."""
    return accelerated(Path("/proc/cpuinfo").read_text(), Path("/dev/kvm").exists())


class Domains(Boxed):
    """The lab in ``directory``."""

    provider = "libvirt"
    usually = "3 minutes with KVM, 5 to 10 without (2 more for the box, once)"
    has = frozenset({"kernel", "freeze", "systemd", "fence"})
    every = 0.2
    group = "lab-libvirt"
    box_form = "libvirt"
    fence = "xvm"
    fences: ClassVar[tuple[str, ...]] = ("xvm", "sbd", "lab", "none")
    room_words: ClassVar[tuple[str, ...]] = ("room_libvirt",)
    needed: ClassVar[dict[str, str]] = {
        **Boxed.needed,
        "virsh": "libvirt-clients",
        "libvirtd": "libvirt-daemon-system",
        "/var/lib/libvirt": "libvirt-daemon-system",
        "qemu-system-x86_64": "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "mmdebstrap": "mmdebstrap",
        "extlinux": "extlinux",
        "/usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json": "vagrant-libvirt",
        "dnsmasq": "dnsmasq-base",
        "iptables": "iptables",
        "fence_virtd": "fence-virtd",
        "ssh": "openssh-client",
    }

    def __init__(self, directory: str | Path = "") -> None:
        super().__init__(directory)
        self.pace = _pace()
        self._known: dict[tuple[str, str], tuple[int, str]] = {}

    def open_room(self, count: int) -> None:
        super().open_room(count)
        key = next(Path("/usr/share").glob("**/vagrant-*/keys/vagrant"), None)
        if key is None:
            raise LabError("Vagrant's insecure key is not below /usr/share: is vagrant Debian's?")
        (self.directory / "ssh.key").touch(mode=0o600)
        (self.directory / "ssh.key").write_text(key.read_text())
        hosts = [f"Host {name}\n    HostName 10.77.9.{10 + number}\n" for number, name in enumerate(self.nodes, 1)]
        words = _SSH.format(directory=self.directory) + "".join(hosts) + "Host client\n    HostName 10.77.9.253\n"
        (self.directory / "ssh.config").write_text(words)

    def _check_memory(self, machines: int) -> None:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        free = int(found[1]) >> 10 if found else 0
        needed = machines * (_memory() + BESIDE)
        if free < needed:
            remedy = f"take fewer --nodes, or less than LAB_MEMORY={_memory()}, down to 512"
            raise LabError(f"{machines} virtual machines take {needed} MiB of memory, and {free} are left: {remedy}")

    def machines(self, count: int) -> int:
        """How many there are with ``count`` nodes: the client may be one."""
        client = self.settings().get("LAB_CLIENT") or os.environ.get("LAB_CLIENT") or "yes"
        return count + (client == "yes")

    def check_space(self, count: int) -> None:
        machines = self.machines(count)
        check_disk(self.directory, BOX + machines * MACHINE)
        self._check_memory(machines)

    def tidy(self, room: Room) -> None:
        """Where it was exposed: libvirt's own bridge goes too, and the machine forwards as little as it did before."""
        super().tidy(room)
        before = self.directory / "hypervisor/ip_forward"
        if room.exposed and before.exists():
            words = ["ip", "link", "delete", "br-m"]
            subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            Path("/proc/sys/net/ipv4/ip_forward").write_text(before.read_text())

    def settings(self) -> dict[str, str]:
        """An emulated client would take its time from the nodes: it is left out unless it is asked for."""
        own = {} if quick() else {"LAB_TOKEN": TOKEN, "LAB_CLIENT": "no"}
        return {"LAB_BOXES": str(self.boxes()), **{name: os.environ.get(name) or value for name, value in own.items()}}

    def into(self, node: str) -> list[str]:
        return ["bash", str(CHECKOUT / "vagrant/machines/ssh.sh"), str(self.directory), node]

    def read(self, node: str, path: str) -> str:
        """Of a node that is off or does not answer: what was read of it last."""
        known, text = self._known.get((node, path), (0, ""))
        try:
            done = self.run(node, ["sh", "-c", _REST, "sh", path, str(known)], 15)
        except LabError:
            return text
        head, newline, rest = done.stdout.partition("\n")
        if done.returncode or not newline:
            return text if done.returncode == 255 else ""
        begin, size = map(int, head.split())
        text = (text if begin else "") + rest
        self._known[node, path] = size, text
        return text
