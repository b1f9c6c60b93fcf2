"""The machine room: PID 1 of the lab's outer namespaces, with the wires, the nodes and the power switch.

Whatever the lab starts is below this process and inside its namespaces, so that ``kill -9`` of this one process ends
every process, mount and interface of the lab (:mod:`vagrant.lab.room`).

The power switch is :mod:`vagrant.lab.switch`, with its socket ``room.sock`` in the lab's directory.

Run as ``room.py DIRECTORY NODES CHECKOUT`` by :mod:`vagrant.namespaces.lab`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # python -I looks nowhere

from vagrant.lab.room import BRIDGES, first_process, ip, lay
from vagrant.lab.switch import Machine, Switch

#: Seconds that a machine which reboots itself is away. Shorter than the cluster's own patience would be no failover.
FIRMWARE = 5.0
#: How unshare(1) ends when reboot(2) was called below it: by the signal that man 2 reboot names.
ENDS = {-signal.SIGHUP: "reboot", -signal.SIGINT: "poweroff"}
HERE = Path(__file__).resolve().parent


class Node(Machine):
    """One machine: a process tree in namespaces of its own, and two cables."""

    def __init__(self, name: str, number: int, room: Path, settings: dict[str, str]) -> None:
        self.name, self.number, self._place = name, number, room / "nodes" / name
        self._settings = settings
        self._turn = threading.RLock()
        self._unshare: subprocess.Popen[str] | None = None
        self._firmware: threading.Timer | None = None
        self.pid, self.end = 0, "-"
        self._pulled: set[str] = set()
        for part in ("upper", "work", "root"):
            (self._place / part).mkdir(parents=True)

    def on(self) -> str:
        """Power: the machine is there after a while, as machines are, but at once when it is new."""
        with self._turn:
            if self.status() == "on":
                return "ok"
            if self._unshare is None:
                return self._boot()
            self._firmware = threading.Timer(FIRMWARE, self._boot)
            self._firmware.daemon = True
            self._firmware.start()
            return "ok"

    def _boot(self) -> str:
        with self._turn:
            if self._unshare is not None and self._unshare.poll() is None:
                return "ok"
            words = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"]
            words += ["--propagation", "private", "--", sys.executable, "-I", str(HERE / "node.py")]
            log = (self._place / "console").open("ab")
            self._unshare = unshare = subprocess.Popen(
                [*words, self.name, str(self.number), str(self._place)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=self._settings, start_new_session=True,
            )  # fmt: skip
            log.close()
            assert unshare.stdout is not None and unshare.stdin is not None
            if unshare.stdout.readline() != "ready\n":
                return f"{self.name} did not start"
            self.pid = int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()[0])
            for ring, (bridge, _, _) in BRIDGES.items():
                port, card = self._port(ring), "eth0" if ring == "a" else "eth1"
                mac = f"02:77:00:00:0{'ab'.index(ring)}:{10 + self.number:02x}"
                ip("link", "add", port, "type", "veth", "peer", "name", card, "address", mac, "netns", str(self.pid))
                ip("link", "set", port, "master", bridge, *(() if ring in self._pulled else ("up",)))
            unshare.stdin.write("go\n")
            unshare.stdin.close()
            threading.Thread(target=self._attend, args=(unshare,), daemon=True).start()
            return "ok"

    def off(self) -> str:
        with self._turn:
            unshare = self._unshare
            if self._firmware is not None:
                self._firmware.cancel()
                self._firmware = None  # a cancelled timer may be alive for a moment, and is no machine that comes
            if unshare is None or unshare.poll() is not None:
                return "ok"
            for ring in BRIDGES:
                self._plug(ring, "down")
            unshare.kill()  # and with it, by --kill-child, the node's PID 1
            try:
                unshare.wait(10)
            except subprocess.TimeoutExpired:
                return f"{self.name} does not die"
            self._unplug()
            return "ok"

    def reboot(self) -> str:
        with self._turn:
            return super().reboot()

    def press(self) -> str:
        if not self.pid:
            return f"error: {self.name} is off"
        os.kill(self.pid, signal.SIGTERM)
        return "ok"

    def status(self) -> str:
        if self._firmware is not None and self._firmware.is_alive():
            return "on"
        return "on" if self._unshare is not None and self._unshare.poll() is None else "off"

    def cut(self, rings: str) -> str:
        for ring in rings:
            self._pulled.add(ring)
            self._plug(ring, "down")
        return "ok"

    def mend(self, rings: str) -> str:
        for ring in rings:
            self._pulled.discard(ring)
            self._plug(ring, "up")
        return "ok"

    def _port(self, ring: str) -> str:
        return f"v-{self.name}-{ring}"

    def _plug(self, ring: str, state: str) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # a node that is off has no cable
            ip("link", "set", self._port(ring), state)

    def _unplug(self) -> None:
        """Take the cables away. What a dead machine's sockets still had to say keeps its network namespace for minutes,
        and that would go on answering for its addresses."""
        for ring in BRIDGES:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("link", "delete", self._port(ring))

    def _attend(self, unshare: subprocess.Popen[str]) -> None:
        """Wait for its end; a machine that rebooted itself comes back."""
        self.end = ENDS.get(unshare.wait(), "power")
        with self._turn:
            if self._unshare is not unshare:
                return
            self.pid = 0
            self._unplug()
            if self.end == "reboot":
                self.on()


def nodes(directory: Path, count: int, checkout: str) -> list[Node]:
    """All of them, off as yet."""
    names = [f"node{number}" for number in range(1, count + 1)]
    settings = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "LAB_NODES": " ".join(names),
        "LAB_CHECKOUT": checkout,
    }
    return [Node(name, number, directory, settings) for number, name in enumerate(names, 1)]


def serve(directory: Path, count: int, checkout: str) -> None:
    """Lay the wires, switch the nodes on, answer for ever."""
    # what nodes write lives here, in this room's own mount namespace, and vanishes with it
    store = directory / "nodes"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60%,mode=755", "koboshi-lab", str(store)], check=True)
    lay()
    machines = nodes(directory, count, checkout)
    switch = Switch(machines)
    switch.listen()
    for node in machines:
        threading.Thread(target=node.on, daemon=True).start()
    switch.serve(directory / "room.sock")


if __name__ == "__main__":
    place, number, source = sys.argv[1:]
    sys.exit(first_process(lambda: serve(Path(place), int(number), source)))
