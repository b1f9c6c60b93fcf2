"""Files that the daemon looks at between events: configurations that may be mended, outputs that may grow."""

from __future__ import annotations

import os
from pathlib import Path

from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.server import Server

#: Bytes that a server's standard output may grow to, and what is kept of it then.
OUTPUT_LIMIT, OUTPUT_KEPT = 1 << 20, 1 << 16


class Files:
    """The configuration files of one server, as they were when this was made."""

    def __init__(self, server: Server) -> None:
        self._paths = _read(server) or tuple(value for value in server.values.values() if value.startswith("/"))
        self._before = self._stamps()

    def changed(self) -> bool:
        """Whether one of them was written, replaced, made or removed since."""
        return self._stamps() != self._before

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _read(server: Server) -> tuple[str, ...]:
    """The files that were read, up to the one that cannot be read, if there is one."""
    try:
        return server.layout.files
    except ConfigurationUnreadable as unreadable:
        return unreadable.files


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def trim(output: Path) -> None:
    """Keep the end of an output file that has grown too large. Raises ``OSError``.

    The server appends to it (O_APPEND), so that what it writes next comes after what is kept.
    """
    if not output.exists() or output.stat().st_size <= OUTPUT_LIMIT:
        return
    with output.open("r+b") as file:
        file.seek(-OUTPUT_KEPT, os.SEEK_END)
        kept = file.read()
        file.seek(0)
        file.write(kept)
        file.truncate(len(kept))
