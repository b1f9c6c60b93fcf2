"""A control group per resource, where this machine lets us have one: the surest family there is.

Whatever a server forks stays in its group, and one write to ``cgroup.kill`` ends all of it (cgroup v2; kernel
documentation, admin-guide/cgroup-v2). No controller is needed. Where no group can be made, families are found by
session, process group and listening sockets instead (:mod:`resource_agents.families`).
"""

from __future__ import annotations

import select
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resource_agents.processes import children, look

#: Looks for members outside the group; each catches what was forked since the one before.
LOOKS = 20


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One control group, which may or may not exist."""

    path: Path

    def members(self) -> list[int]:
        """Pids of the living members, groups below included."""
        found: list[int] = []
        with suppress(OSError):
            for procs in [self.path / "cgroup.procs", *self.path.glob("*/**/cgroup.procs")]:
                with suppress(OSError):
                    found += [int(word) for word in procs.read_text(encoding="ascii").split()]
        return found

    def populated(self) -> bool:
        """Whether a living process is in it or below it."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text(encoding="ascii")
        except OSError:
            return False

    def make(self) -> bool:
        """Make the group; False when this machine does not let us."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return (self.path / "cgroup.kill").exists()

    def kill(self) -> bool:
        """SIGKILL to every member, those being forked included; False when that could not be ordered."""
        try:
            (self.path / "cgroup.kill").write_text("1", encoding="ascii")
        except OSError:
            return False
        return True

    def take_in(self, leader: int) -> bool:
        """Take a process and all that descends from it into the group; True once a look finds nobody outside.

        Each move may cost the caller some 10 ms (the kernel waits for an RCU grace period), but not who is moved.
        """
        for _ in range(LOOKS):
            inside = set(self.members())
            outside = [pid for pid in _family(leader) if pid not in inside]
            if not outside:
                return bool(inside)
            for pid in outside:
                with suppress(OSError):  # it ended meanwhile
                    (self.path / "cgroup.procs").write_text(str(pid), encoding="ascii")
        return False

    def wait_empty(self, timeout: float) -> bool:
        """Wait until no living member is left, at most ``timeout`` seconds; woken by the kernel."""
        deadline = time.monotonic() + timeout
        try:
            events = (self.path / "cgroup.events").open("rb", buffering=0)
        except OSError:
            return True
        with events:
            poller = select.poll()
            poller.register(events, select.POLLPRI)
            while True:
                events.seek(0)
                if b"populated 1" not in events.read():
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poller.poll(left * 1000)

    def remove(self) -> None:
        """Remove the group and the empty ones above it that we made; one with members stays."""
        with suppress(OSError):
            for below in sorted(self.path.glob("**/"), reverse=True):
                below.rmdir()
            self.path.parent.rmdir()


def _family(leader: int) -> list[int]:
    """The living among ``leader`` and its descendants."""
    found: list[int] = []
    waiting = [leader]
    while waiting:
        pid = waiting.pop()
        process = look(pid)
        if process is not None and not process.dead:
            found.append(pid)
            waiting += children(pid)
    return found


def tag_of(runtime: Path) -> str:
    """The folder of groups that belongs to the daemon (and the actions) of one runtime directory."""
    return f"koboshi-{zlib.crc32(str(runtime).encode()):08x}"


def place(tag: str, instance: str) -> Cgroup | None:
    """The group for ``instance``, in a folder named ``tag`` below our own group; None: no cgroup v2 here."""
    mount = _mount_point()
    if mount is None:
        return None
    own = ""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            if line.startswith("0::"):
                own = line[3:].strip("/")
    parts = own.split("/") if own else []
    if tag in parts:  # a process that we started asks: the same place as for us
        parts = parts[: parts.index(tag)]
    return Cgroup(mount.joinpath(*parts) / tag / instance)


def _mount_point() -> Path | None:
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return Path(before.split()[4])
    return None
