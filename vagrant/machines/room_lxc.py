"""What the room of a lab of containers does: gives lxc folders of its own, and switches the containers.

Everything that containers write is in memory, in the room's own mount namespace (``store``), and vanishes with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

from vagrant.lab.switch import Machine

#: Where lxc keeps containers, and below which it makes a folder for its logs, which no package brings.
LXC, LOGS = Path("/var/lib/lxc"), Path("/var/log")
CGROUPS = Path("/sys/fs/cgroup")
#: Seconds that a machine which was switched on takes before it does anything. See ``power.sh``.
FIRMWARE = 5.0
#: Seconds that lxc gets to end a container.
PATIENCE = 8.0


def prepare(directory: Path) -> None:
    """Lay the folders out. Raises ``subprocess.CalledProcessError``."""
    store = directory / "store"
    store.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=60%,mode=755", "koboshi-lab", str(store))
    for name, place in (("lxc", LXC), ("log", LOGS)):
        (store / name).mkdir()
        _run("mount", "--bind", str(store / name), str(place))


def machines(_directory: Path, count: int) -> list[Machine]:
    """The nodes; the client is not switched."""
    return [Container(f"node{number}") for number in range(1, count + 1)]


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class Container(Machine):
    """One container, as lxc knows it by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._turn = threading.RLock()
        self._firmware: threading.Timer | None = None

    @property
    def pid(self) -> int:  # type: ignore[override]
        text = self._lxc("info", "-pH").stdout.strip()
        return int(text) if text.isdigit() else 0

    def status(self) -> str:
        if self._firmware is not None and self._firmware.is_alive():
            return "on"
        return "on" if self._lxc("info", "-sH").stdout.strip() not in ("", "STOPPED") else "off"

    def on(self) -> str:
        """Power: the machine is there after a while, as machines are."""
        with self._turn:
            if self.status() == "on":
                return "ok"
            if not (LXC / self.name).exists():
                return f"error: {self.name} is not made yet"
            self._firmware = threading.Timer(FIRMWARE, self._boot)
            self._firmware.daemon = True
            self._firmware.start()
            return "ok"

    def _boot(self) -> None:
        with self._turn:
            (LXC / self.name / "rebooting").unlink(missing_ok=True)
            self._lxc("start", "-d")

    def off(self) -> str:
        """Wires first, so that a dying machine says nothing more."""
        with self._turn:
            if self._firmware is not None:
                self._firmware.cancel()
                self._firmware = None
            if self.status() == "off":
                return "ok"
            for ring in "ab":
                self._port(ring, "set", "down")
            self.thaw()  # who stands still does not even die
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._lxc("stop", "-k", timeout=PATIENCE)
            if self.status() == "on":
                self._end_monitor()
            for ring in "ab":  # what its sockets still had to say would keep its network, and its addresses
                self._port(ring, "delete")
            return "ok" if self.status() == "off" else f"error: {self.name} does not die"

    def _end_monitor(self) -> None:
        """End the process that keeps a container which reboots itself, and the container with it."""
        title = f"[lxc monitor] {LXC} {self.name}"
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if path.read_bytes().rstrip(b"\0").decode(errors="replace") == title:
                    os.kill(int(path.parent.name), signal.SIGKILL)

    def reboot(self) -> str:
        with self._turn:
            return super().reboot()

    def press(self) -> str:
        """The power button: systemd's orderly reboot (systemd(1), SIGRTMIN+5)."""
        pid = self.pid
        if not pid:
            return f"error: {self.name} is off"
        os.kill(pid, signal.SIGRTMIN + 5)
        return "ok"

    def cut(self, rings: str) -> str:
        for ring in rings:
            (LXC / self.name / f"pulled-{ring}").touch()
            self._port(ring, "set", "down")
        return "ok"

    def mend(self, rings: str) -> str:
        for ring in rings:
            (LXC / self.name / f"pulled-{ring}").unlink(missing_ok=True)
            self._port(ring, "set", "up")
        return "ok"

    def freeze(self) -> str:
        return "ok" if self._stand_still(True) else f"error: {self.name} is off, or has no freezer (cgroups(7))"

    def thaw(self) -> str:
        self._stand_still(False)
        return "ok"

    def _stand_still(self, still: bool) -> bool:
        """Write to its freezer, of either version of control groups; whether it has one, and is on."""
        try:
            groups = Path(f"/proc/{self.pid}/cgroup").read_text().splitlines()
        except OSError:
            return False
        for number, controllers, path in (line.split(":", 2) for line in groups):
            top = path.removesuffix("/init.scope").lstrip("/")
            if controllers == "freezer":
                return _written(CGROUPS / "freezer" / top / "freezer.state", "FROZEN" if still else "THAWED")
            if number == "0" and not (CGROUPS / "freezer").is_dir():
                return _written(CGROUPS / top / "cgroup.freeze", "1" if still else "0")
        return False

    def _port(self, ring: str, *words: str) -> None:
        verb, *state = words
        subprocess.run(
            ["ip", "link", verb, f"v-{self.name}-{ring}", *state],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _lxc(self, word: str, *words: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"lxc-{word}", "-n", self.name, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip


def _written(path: Path, word: str) -> bool:
    try:
        path.write_text(word)
    except OSError:
        return False
    return True
