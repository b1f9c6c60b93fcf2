"""Server logs from a remembered place on: rotated, truncated, enormous or binary ones too.

A place is a file's device and inode and how much of it was read. The file is held open besides, so that its inode
cannot become another's, and so that its last lines are still to be had when it was renamed or deleted since. What was
emptied in place is read from its beginning, as is a new file of the same name.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

#: Bytes of news that are read at most, from the end backwards; and in a look that a probe waits for. Every line is
#: searched for every signature of its server.
NEWS: Final = 256 << 10
QUICK_NEWS: Final = 64 << 10

#: Bytes of one line that are kept: its beginning and its end.
LONGEST: Final = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading stopped."""

    device: int
    inode: int
    size: int


def place_of(path: str) -> Place | None:
    """The end of the log as it is now; None when there is none."""
    if not path.startswith("/"):
        return None
    with suppress(OSError):
        found = os.stat(path)
        if os.path.isfile(path):
            return Place(found.st_dev, found.st_ino, found.st_size)
    return None


def hold(path: str) -> int:
    """A descriptor of the log, to be closed by the caller; -1 when it cannot be read."""
    if not path.startswith("/") or not os.path.isfile(path):
        return -1
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return -1


def news(path: str, since: Place | None, held: int = -1, limit: int = NEWS) -> list[str]:
    """The lines written since ``since`` (None: the whole log's last part), no more than the last ``limit`` bytes.

    ``held`` is a descriptor of the file that ``since`` is a place in. Raises ``OSError`` when the log cannot be read.
    """
    if not path.startswith("/"):
        raise OSError(0, "the server has no log file of its own")
    if since is not None and held >= 0:
        old = _from(held, since.size, limit)
        with suppress(OSError):
            found = os.stat(path)
            if (found.st_dev, found.st_ino) == (since.device, since.inode):
                return split(old)
    else:
        old = b""
    if not os.path.isfile(path):
        if old:
            return split(old)
        raise OSError(0, f"{path} is not a regular file" if os.path.exists(path) else f"{path} does not exist")
    with open(path, "rb") as file:
        return split(old) + split(_from(file.fileno(), 0, limit))


def split(data: bytes, longest: int = LONGEST) -> list[str]:
    """Lines of a log, whatever is in it; long ones lose their middle, empty ones are left out."""
    lines = []
    for raw in data.replace(b"\0", b"").split(b"\n"):
        if len(raw) > longest:
            raw = raw[: longest // 2] + b" ... " + raw[-longest // 2 :]
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if line.strip():
            lines.append(line)
    return lines


def _from(fd: int, begin: int, limit: int) -> bytes:
    """What the file has from ``begin`` on; from its own beginning when it is shorter than that by now."""
    end = os.fstat(fd).st_size
    begin = max(begin if begin <= end else 0, end - limit)
    return os.pread(fd, end - begin, begin) if end > begin else b""
