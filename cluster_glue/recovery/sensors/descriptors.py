"""Open files, processes and threads of a server against the limits that the kernel holds it to.

A count is one stat(2): since Linux 6.2 the size of ``/proc/PID/fd`` is the number of open files, on older kernels the
names are counted; the links of ``/proc/PID/task`` are the threads.
"""

from __future__ import annotations

import math
import os
import resource
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

#: Seconds between two samples of a trend, and the samples kept.
SAMPLE_EVERY, SAMPLES = 5.0, 24

#: A fall by this share of the highest sample is no leak.
FALL = 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process uses: open files of its limit (0: not known or none), threads; ``uid`` is its user's number."""

    pid: int
    files: int
    files_limit: int
    tasks: int
    tasks_limit: int
    uid: int


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """A limit on processes and threads: ``used`` of ``most``; ``name`` says which one and what to set."""

    name: str
    used: int
    most: int


@dataclass(slots=True)
class Trend:
    """Whether a number only ever grows."""

    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def add(self, now: float, value: int) -> None:
        """A new value; kept only now and then."""
        if not self.samples or now - self.samples[-1][0] >= SAMPLE_EVERY:
            self.samples.append((now, value))

    def growth(self, value: int) -> tuple[int, float]:
        """By how much it grew to ``value``, and since when (seconds on the clock of :meth:`add`)."""
        if not self.samples:
            return 0, 0.0
        since, first = self.samples[0]
        return value - first, since

    def grows(self, value: int) -> bool:
        """Whether it grew to ``value`` without a fall between."""
        highest = 0
        for _, sample in self.samples:
            if sample < highest * (1 - FALL):
                return False
            highest = max(highest, sample)
        return value >= highest * (1 - FALL) and self.growth(value)[0] > 0


def usage(pid: int) -> Usage | None:
    """What a process uses now; None when it is gone or may not be looked at."""
    try:
        files = os.stat(f"/proc/{pid}/fd").st_size or len(os.listdir(f"/proc/{pid}/fd"))
        found = os.stat(f"/proc/{pid}/task")
        limit, tasks = _limit(pid, resource.RLIMIT_NOFILE), _limit(pid, resource.RLIMIT_NPROC)
    except OSError:
        return None
    return Usage(pid, files, limit, max(1, found.st_nlink - 2), tasks, found.st_uid)


def task_limits(pid: int, usages: Iterable[Usage], worth: float = 0.0) -> list[TaskLimit]:
    """The limits on tasks that bind this process: of its control groups, and of the users of its family.

    A user's tasks are counted only where all tasks of the machine together make this share of his limit.
    """
    found = _cgroup_limits(pid)
    most = _all_tasks() / worth if worth else math.inf
    bound = {each.uid: each.tasks_limit for each in usages if each.uid and 0 < each.tasks_limit <= most}
    for uid, tasks in _tasks_of(bound.keys()).items():
        found.append(TaskLimit(f"the limit of user {uid} (ulimit -u, LimitNPROC of the unit)", tasks, bound[uid]))
    return found


def _limit(pid: int, which: int) -> int:
    """The soft limit of a process; 0 when it has none."""
    try:
        soft = resource.prlimit(pid, which)[0]
    except PermissionError:
        word = b"Max open files" if which == resource.RLIMIT_NOFILE else b"Max processes"
        for line in Path(f"/proc/{pid}/limits").read_bytes().splitlines():
            if line.startswith(word):
                text = line[len(word) :].split()[0]
                return int(text) if text.isdigit() else 0
        return 0
    return 0 if soft == resource.RLIM_INFINITY else soft


def _all_tasks() -> float:
    """Processes and threads of the machine; infinite when it is not known."""
    with suppress(OSError, IndexError, ValueError):
        return float(Path("/proc/loadavg").read_bytes().split()[3].split(b"/")[1])
    return math.inf


def _tasks_of(uids: Iterable[int]) -> dict[int, int]:
    """Tasks of each of these users, all their processes counted."""
    found = dict.fromkeys(uids, 0)
    if found:
        for name in os.listdir("/proc"):
            if name.isdigit():
                with suppress(OSError):
                    seen = os.stat(f"/proc/{name}/task")
                    if seen.st_uid in found:
                        found[seen.st_uid] += max(1, seen.st_nlink - 2)
    return found


def _cgroup_limits(pid: int) -> list[TaskLimit]:
    """Limits of the pids controller, version 1 or 2, of the group of a process and of all above it."""
    found: list[TaskLimit] = []
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            mount = _mount(controllers) if controllers in ("", "pids") else None
            group = mount / path.strip("/") if mount is not None else None
            while mount is not None and group is not None:
                with suppress(OSError, ValueError):
                    most = int((group / "pids.max").read_text(encoding="ascii"))
                    used = int((group / "pids.current").read_text(encoding="ascii"))
                    found.append(TaskLimit(f"pids.max of {group} (TasksMax of the unit)", used, most))
                if group == mount:
                    break
                group = group.parent
    return found


@cache
def _mount(controllers: str) -> Path | None:
    """Where the version 2 hierarchy, or the one of these controllers, is mounted."""
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            before, _, after = line.partition(" - ")
            words = after.split()
            if (words[0] == "cgroup2") if not controllers else (words[0] == "cgroup" and "pids" in words[2].split(",")):
                return Path(before.split()[4])
    return None
