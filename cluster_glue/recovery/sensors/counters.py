"""The machine's own tables and counters of this network namespace: a few small files of /proc, kept open.

What is full here is nobody's leak that a restart of one server would end, so it is the host's fault (proc(5), tcp(7),
the kernel's documentation of networking/nf_conntrack-sysctl and admin-guide/sysctl).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cluster_glue.recovery.sensors.conditions import Reading
from cluster_glue.recovery.thresholds import Thresholds
from ocf.faults import Fault, Kind

#: Fields of TcpExt in /proc/net/netstat that are kept: why connections did not reach a listener.
KEPT = ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPReqQFullDoCookies", "TCPAbortOnMemory")

#: Causes that explain why a server does not answer, whatever it does itself.
BLAMED = frozenset({"conntrack-full", "file-table-full", "tcp-memory-full"})


class Counters:
    """Reads below ``root`` (``/proc``). What is not there is left out; ``problem`` says why nothing could be read."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root
        self._open: dict[str, int] = {}
        self.sockets: dict[str, int] = {}
        self.listen: dict[str, int] = {}
        self.problem = ""

    def close(self) -> None:
        """Close the files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def look(self) -> None:
        """Take ``sockets`` (of sockstat) and ``listen`` (of netstat) anew."""
        self.sockets = self._sockstat()
        self.listen = self._netstat()

    def readings(self, limits: Thresholds) -> list[Reading]:
        """What the machine has left of everything that runs out. :meth:`look` comes first."""
        found = [self._conntrack(limits), self._files(limits), self._memory(limits), self._tasks(limits)]
        return [reading for reading in found if reading is not None]

    def port_range(self) -> tuple[int, int]:
        """The lowest and the highest ephemeral port."""
        low, high = self._numbers("sys/net/ipv4/ip_local_port_range") or (32768, 60999)
        return low, high

    def number(self, path: str) -> int:
        """The one number of a file below ``root``; 0 when it is not there."""
        return (self._numbers(path) or [0])[0]

    # -- tables ------------------------------------------------------------------------------------------------------

    def _conntrack(self, limits: Thresholds) -> Reading | None:
        used, most = (self.number(f"sys/net/netfilter/nf_conntrack_{which}") for which in ("count", "max"))
        words = f"the connection tracking table has {used} of {most} entries; when it is full, the kernel drops packets"
        advice = f"set net.netfilter.nf_conntrack_max to {2 * most}, or exempt the service's ports from tracking"
        return _reading("conntrack-full", used, most, limits, words, advice)

    def _files(self, limits: Thresholds) -> Reading | None:
        numbers = self._numbers("sys/fs/file-nr")
        used, most = (numbers[0], numbers[2]) if len(numbers) == 3 else (0, 0)
        words = f"{used} of the machine's {most} open files are in use"
        return _reading("file-table-full", used, most, limits, words, f"set fs.file-max to {2 * most}")

    def _memory(self, limits: Thresholds) -> Reading | None:
        numbers = self._numbers("sys/net/ipv4/tcp_mem")
        used, most = self.sockets.get("mem", 0), numbers[2] if len(numbers) == 3 else 0
        words = f"TCP uses {used} of {most} pages of memory"
        advice = "see which sockets hold it: ss -tmo; raise the three values of net.ipv4.tcp_mem if memory is free"
        return _reading("tcp-memory-full", used, most, limits, words, advice)

    def _tasks(self, limits: Thresholds) -> Reading | None:
        used = 0
        with suppress(IndexError, ValueError):
            used = int(self._read("loadavg").split()[3].split(b"/")[1])
        limits_of = {self.number(f"sys/kernel/{name}"): f"kernel.{name}" for name in ("threads-max", "pid_max")}
        most = min(filter(None, limits_of), default=0)
        name = limits_of.get(most, "")
        words = f"the machine runs {used} processes and threads, {name} is {most}"
        return _reading("tasks-exhausted", used, most, limits, words, f"set {name} to {2 * most}")

    # -- files -------------------------------------------------------------------------------------------------------

    def _sockstat(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path, key in (("net/sockstat", b"TCP:"), ("net/sockstat6", b"TCP6:")):
            for line in self._read(path).splitlines():
                if line.startswith(key):
                    words = line.split()[1:]
                    for name, value in zip(words[::2], words[1::2], strict=False):
                        found[name.decode()] = found.get(name.decode(), 0) + int(value)
        return found

    def _netstat(self) -> dict[str, int]:
        lines = [line.split() for line in self._read("net/netstat").splitlines() if line.startswith(b"TcpExt:")]
        if len(lines) != 2:
            return {}
        at = {name.decode(): number for number, name in enumerate(lines[0])}
        return {name: int(lines[1][at[name]]) for name in KEPT if name in at}

    def _numbers(self, path: str) -> list[int]:
        return [int(word) for word in self._read(path).split() if word.isdigit()]

    def _read(self, path: str) -> bytes:
        """A whole small file; empty when it cannot be read. The open file stays this network namespace's."""
        try:
            fd = self._open.get(path)
            if fd is None:
                fd = self._open[path] = os.open(self._root / path, os.O_RDONLY | os.O_CLOEXEC)
            data = os.pread(fd, 65536, 0)
        except FileNotFoundError:
            return b""
        except OSError as error:
            self.problem = f"{self._root / path} cannot be read: {error.strerror}"
            return b""
        return data


def _reading(cause: str, used: int, most: int, limits: Thresholds, words: str, advice: str) -> Reading | None:
    if most <= 0:
        return None
    fault = Fault(cause, Kind.HOST, words, f"{used} of {most} ({100 * used / most:.0f} %)", advice)
    return Reading(cause, 100 * used / most, limits.machine_warning, limits.machine_error, fault)
