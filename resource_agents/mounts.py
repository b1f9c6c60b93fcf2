"""Whether what a server writes when it starts lies on a file system that is mounted read-only: then no start succeeds.

The kernel's table of mounts is asked first (proc(5), ``mountinfo``), which no dead file server can delay; only what the
table calls read-only is looked at itself. Devices, pipes and sockets can be written to wherever they are.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from ocf.faults import Fault, Kind

#: Characters that the table writes as a backslash and three octal digits.
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the table; ``read_only`` by its own options or those of its file system."""

    point: str
    read_only: bool
    kind: str
    source: str


def read_only(paths: Iterable[str], table: str = "/proc/self/mountinfo") -> Fault | None:
    """The fault of the first of these files that cannot be opened for writing for that reason; None when all can be.

    ``paths`` are absolute and without symbolic links. Raises nothing: what cannot be looked at proves nothing.
    """
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:
            mounts = [mount for line in file if (mount := _mount(line)) is not None]
    except OSError:
        return None
    if not any(mount.read_only for mount in mounts):
        return None
    for path in paths:
        mount = _below(path, mounts)
        if mount is not None and mount.read_only and _confirmed(path):
            words = f"{mount.point} is mounted read-only, where it has to write {path}"
            proof = f"{mount.kind} of {mount.source} on {mount.point}"
            return Fault("disk-read-only", Kind.HOST, words, proof, "has the disk failed? mount it for writing again")
    return None


def real(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths without symbolic links. To be asked while all is well, since a dead file server would keep it."""
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths if path.startswith("/")))


def _mount(line: str) -> Mount | None:
    before, _, after = line.partition(" - ")
    words, system = before.split(), after.split()
    if len(words) < 6 or len(system) < 3:
        return None
    own, whole = words[5].split(","), system[2].split(",")
    return Mount(_plain(words[4]), "ro" in own or "ro" in whole, system[0], _plain(system[1]))


def _plain(word: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), word)


def _below(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that a path lies in: the nearest one, and of several at one place the latest."""
    found: Mount | None = None
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _confirmed(path: str) -> bool:
    """Whether the file itself, or the place where it would be made, is on a read-only file system."""
    try:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            path = os.path.dirname(path)
            mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return False
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
