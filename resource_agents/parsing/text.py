"""Opening a configuration file that nobody vouches for: regular, of sane size, text.

Bytes outside UTF-8 survive as surrogates, so that a path in any encoding still names its file.
"""

from __future__ import annotations

import os
import stat

from resource_agents.parsing.faults import unreadable

#: Largest file that is taken for a configuration, and largest sum of all files of one server, in bytes.
FILE_LIMIT, TOTAL_LIMIT = 8 << 20, 32 << 20


def read(path: str, named_in: str = "", line: int = 0) -> str:
    """The text of a file, which the configuration names in ``named_in`` at ``line`` unless it is the first one.

    Raises :class:`ConfigurationUnreadable` with that place.
    """
    try:
        data = _bytes(path)
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else "") or str(error)
        if named_in:
            raise unreadable(named_in, line, f"{path!r} cannot be read: {problem}") from None
        raise unreadable(path, 0, problem, missing=isinstance(error, FileNotFoundError)) from None
    if b"\0" in data:
        at = data.index(b"\0")
        raise unreadable(path, data.count(b"\n", 0, at) + 1, "a NUL byte: this is no text file")
    return data.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")


def _bytes(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if path == "/dev/null":
            return b""
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        data = file.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT or found.st_size > FILE_LIMIT:
        raise ValueError(f"it has {max(found.st_size, len(data))} bytes, too many for a configuration file")
    return data
