"""Reading logs for reasons: only the last part, however large the file is, and only what is new."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

#: Bytes that are read at the most.
TAIL = 65536


def tail(path: Path) -> list[str]:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        text = file.read(TAIL).decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]
    return []


class Log:
    """What an error log says from now on; only its last part is read, however large it is."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path.startswith("/") else None
        self._from = self._size()

    def news(self) -> list[str]:
        if self._path is None:
            return []
        size = self._size()
        begin = self._from if self._from <= size else 0
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(max(begin, size - TAIL))
            return [line for line in file.read(TAIL).decode(errors="replace").splitlines() if line.strip()]
        return []

    def _size(self) -> int:
        with suppress(OSError):
            return self._path.stat().st_size if self._path else 0
        return 0
