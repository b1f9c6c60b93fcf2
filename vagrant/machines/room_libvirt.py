"""What the room of a lab of virtual machines has of its own: libvirt, a fence device, and machines behind the switch.

Called by :mod:`vagrant.machines.room`. The machines are made by Vagrant, later; until then each is off.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from vagrant.lab.switch import Machine

HERE = Path(__file__).resolve().parent
#: Seconds for one word to libvirt; under emulation, on a busy machine, it waits for QEMU.
PATIENCE = 60.0


def virsh(*words: str) -> subprocess.CompletedProcess[str]:
    """virsh(1), with its answer. Raises ``subprocess.TimeoutExpired``."""
    return subprocess.run(
        ["virsh", "-q", "-c", "qemu:///system", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", timeout=PATIENCE, check=False,
    )  # fmt: skip


def prepare(directory: Path) -> None:
    """Start libvirt. Raises ``subprocess.CalledProcessError``."""
    run("hypervisor.sh", str(directory))


def machines(directory: Path, count: int) -> list[Machine]:
    """The machines, with the fence device started. Raises ``subprocess.CalledProcessError``."""
    names = [f"node{number}" for number in range(1, count + 1)]
    device = FenceDevice(directory, names)
    return [Domain(name, number, device) for number, name in enumerate(names, 1)]


class FenceDevice:
    """fence_virtd, which knows whom to obey about only from its beginning on: it is started anew each time."""

    def __init__(self, directory: Path, names: list[str]) -> None:
        self._directory, self._names = directory, names
        self._deaf: set[str] = set()
        self._start()

    def obey(self, name: str, whether: bool) -> None:
        """Obey about that machine, or not. Raises ``subprocess.CalledProcessError``."""
        if whether == (name in self._deaf):
            self._deaf ^= {name}
            self._start()

    def _start(self) -> None:
        run("fence.sh", str(self._directory), " ".join(self._names), " ".join(sorted(self._deaf)))


class Domain(Machine):
    """One virtual machine, known to libvirt by the node's name, with a card of a known address on each ring."""

    def __init__(self, name: str, number: int, device: FenceDevice) -> None:
        self.name, self._number, self._device = name, number, device
        self._turn = threading.Lock()

    def on(self) -> str:
        with self._turn:
            return "ok" if self.status() == "on" else self._said("start", self.name)

    def off(self) -> str:
        with self._turn:
            return "ok" if self.status() == "off" else self._said("destroy", self.name)

    def status(self) -> str:
        return "on" if self._state() in ("running", "paused", "idle", "in shutdown", "pmsuspended") else "off"

    def press(self) -> str:
        return self._said("reboot", self.name, "--mode", "acpi")

    def cut(self, rings: str) -> str:
        return self._link(rings, "down")

    def mend(self, rings: str) -> str:
        return self._link(rings, "up")

    def freeze(self) -> str:
        return self._said("suspend", self.name)

    def thaw(self) -> str:
        return self._said("resume", self.name) if self._state() == "paused" else "ok"

    def deaf(self, deaf: bool) -> None:
        self._device.obey(self.name, not deaf)

    def _state(self) -> str:
        done = virsh("domstate", self.name)
        return done.stdout.strip() if done.returncode == 0 else "unknown"

    def _link(self, rings: str, state: str) -> str:
        for ring in rings:
            card = f"02:77:00:00:0{'ab'.index(ring)}:{10 + self._number:02x}"
            # for this run of the machine, and for the next: virsh takes one of them at a time
            for way in ([], ["--config"]) if self.status() == "on" else (["--config"],):
                answer = self._said("domif-setlink", self.name, card, state, *way)
                if answer != "ok":
                    return answer
        return "ok"

    @staticmethod
    def _said(*words: str) -> str:
        done = virsh(*words)
        return "ok" if done.returncode == 0 else "error: " + " ".join(done.stdout.split())


def run(script: str, *words: str) -> None:
    """One of the scripts beside this file. Raises ``subprocess.CalledProcessError``; its words are the room's."""
    subprocess.run(["sh", str(HERE / script), *words], stdin=subprocess.DEVNULL, check=True)
