"""The machine around the server: pressure, load, memory, disks, clocks, control groups.

Only what a restart of the server cannot change is here; each look is a few small files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cluster_glue.diagnosis.evidence import Absent, read_text, try_text

#: A disk with less than this is full: bytes for anybody but root.
FULL: Final = 64 << 10

#: Seconds of difference between the clocks that make a jump or a pause.
JUMP: Final = 2.0


def tell_pressure() -> Iterator[str]:
    """Load, memory, and the kernel's pressure stall information."""
    load = read_text("/proc/loadavg").split()
    yield f"load {' '.join(load[:3])} on {os.cpu_count()} processors"
    memory = dict(line.split(":", 1) for line in read_text("/proc/meminfo").splitlines() if ":" in line)
    sizes = {name: int(text.split()[0]) >> 10 for name, text in memory.items() if text.split()}
    available, total = sizes.get("MemAvailable", 0), sizes.get("MemTotal", 0)
    yield f"memory: {available} of {total} MiB available, {sizes.get('SwapFree', 0)} MiB of swap free"
    for name in ("cpu", "memory", "io"):
        for line in try_text(f"/proc/pressure/{name}").splitlines():
            yield f"pressure {name} {line}"
    files = try_text("/proc/sys/fs/file-nr").split()
    if len(files) == 3:
        yield f"files open in the whole system: {files[0]} of {files[2]}"


def tell_tables(root: str = "/proc/sys") -> Iterator[str]:
    """Whether the table of tracked connections of this network namespace is full; nothing where nothing is tracked."""
    used, most = (try_text(f"{root}/net/netfilter/nf_conntrack_{which}", 32).strip() for which in ("count", "max"))
    if used.isdigit() and most.isdigit() and int(most) > 0:
        full = ": full" if int(used) >= 0.99 * int(most) else ""
        yield f"connection tracking table: {used} of {most} entries{full}"


def tell_disks(paths: Iterable[str]) -> Iterator[str]:
    """Room, inodes and mounts below these files or directories; each file system once."""
    seen: set[int] = set()
    for path in paths:
        while path not in ("", "/") and not os.path.exists(path):
            path = os.path.dirname(path)
        if not path:
            continue
        try:
            device, room = os.stat(path).st_dev, os.statvfs(path)
        except OSError as error:
            yield f"{path} cannot be looked at: {error.strerror}"
            continue
        if device in seen:
            continue
        seen.add(device)
        free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
        yield f"disk of {path}: {free >> 20} of {total >> 20} MiB free, {room.f_favail} of {room.f_files} inodes free"
        if total and free < FULL:
            yield f"the disk of {path} is full: {free >> 10} KiB free of {total >> 10} KiB"
        if room.f_files and not room.f_favail:
            yield f"the disk of {path} has no inode left of {room.f_files}"
        if room.f_flag & os.ST_RDONLY:
            yield f"the disk of {path} is mounted read-only"


@dataclass(frozen=True, slots=True)
class Clocks:
    """All clocks at one moment."""

    wall: float
    boot: float
    monotonic: float

    @classmethod
    def now(cls) -> Clocks:
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())


def tell_clocks(before: Clocks) -> Iterator[str]:
    """What the clocks did since ``before``."""
    now = Clocks.now()
    passed = now.boot - before.boot
    yield f"{passed:.1f} s since the last good moment"
    jump = (now.wall - before.wall) - passed
    if abs(jump) > JUMP:
        yield f"the wall clock jumped by {jump:+.1f} s"
    slept = passed - (now.monotonic - before.monotonic)
    if slept > JUMP:
        yield f"the machine was suspended for {slept:.1f} s"


@dataclass(frozen=True, slots=True)
class Groups:
    """Where a process's control groups count memory kills and refused forks, and the counts at one moment."""

    counts: dict[str, int]


#: File, key in it, and what it counts.
_COUNTERS: Final = (
    ("memory.events", "oom_kill", "processes killed for lack of memory"),
    ("memory.oom_control", "oom_kill", "processes killed for lack of memory"),
    ("pids.events", "max", "forks refused by the limit of processes"),
)


def groups_of(pid: int) -> Groups:
    """The counters of the control groups of a process; empty when it is gone."""
    counts: dict[str, int] = {}
    for folder in _folders(try_text(f"/proc/{pid}/cgroup")):
        for file, key, _ in _COUNTERS:
            count = _count(os.path.join(folder, file), key)
            if count is not None:
                counts[os.path.join(folder, file)] = count
    return Groups(counts)


def tell_groups(before: Groups) -> Iterator[str]:
    """Which counters rose, with the memory's numbers."""
    if not before.counts:
        raise Absent("the control groups of the process have no such counters")
    meaning = {(file, key): words for file, key, words in _COUNTERS}
    for path, count in before.counts.items():
        folder, file = os.path.split(path)
        key = next(key for name, key, _ in _COUNTERS if name == file)
        now = _count(path, key)
        if now is None:
            continue
        if now > count:
            limits = ", ".join(_memory(folder))
            yield f"{now - count} {meaning[file, key]} in {folder}" + (f" ({limits})" if limits else "")
        else:
            yield f"no {meaning[file, key]} in {folder}"


def _memory(folder: str) -> Iterator[str]:
    for file, words in (
        ("memory.max", "limit"),
        ("memory.limit_in_bytes", "limit"),
        ("memory.peak", "peak"),
        ("memory.max_usage_in_bytes", "peak"),
        ("pids.max", "limit"),
    ):
        text = try_text(os.path.join(folder, file), 64).strip()
        if text.isdigit():
            yield f"{words} {int(text) >> 20} MiB" if file.startswith("memory") else f"{words} {text}"


def _folders(text: str) -> Iterator[str]:
    mounts: list[tuple[str, str]] = []
    for line in try_text("/proc/self/mountinfo", 1 << 20).splitlines():
        before, _, after = line.partition(" - ")
        words = after.split()
        if len(words) >= 3 and words[0] in ("cgroup", "cgroup2"):
            mounts.append((before.split()[4], "" if words[0] == "cgroup2" else words[2]))
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for mount, options in mounts:
            fits = set(controllers.split(",")) & set(options.split(",")) if controllers else not options
            if fits and (not controllers or {"memory", "pids"} & set(controllers.split(","))):
                yield mount.rstrip("/") + path


def _count(path: str, key: str) -> int | None:
    with suppress(ValueError, IndexError):
        for line in try_text(path, 4096).splitlines():
            words = line.split()
            if words and words[0] == key:
                return int(words[1])
    return None
