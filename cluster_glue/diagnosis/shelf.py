"""Where evidence is kept: one directory (0700) for each incident, with ``index.json`` and a file for each item.

Old ones go by age, and the oldest go when all together take too much room.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cluster_glue.diagnosis.evidence import Evidence
from ocf.faults import Fault

#: Days that an incident's evidence is kept, and bytes for all of it together.
DAYS: Final = 90.0
ROOM: Final = 200 << 20

INDEX: Final = "index.json"


class Shelf:
    """The evidence of all incidents below ``directory``."""

    def __init__(self, directory: Path, days: float = DAYS, room: int = ROOM) -> None:
        self.directory = directory
        self._days, self._room = days, room

    def path(self, incident: str) -> Path:
        """The directory of an incident called ``web1-7``."""
        return self.directory / incident

    def keep(self, incident: str, evidence: Evidence, fault: Fault, at: float) -> Path:
        """Write it all; what was kept of the same incident before stays beside it. Raises ``OSError``."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.path(incident)
        folder.mkdir(mode=0o700, exist_ok=True)
        items: dict[str, Any] = {}
        for name, item in evidence.items.items():
            items[name] = {"lines": len(item.lines), "absent": item.absent, "took": round(item.took, 4)}
            if item.lines:
                _write(folder / f"{name}.txt", "".join(f"{line}\n" for line in item.lines))
                items[name]["file"] = f"{name}.txt"
        index = {
            "incident": incident,
            "at": at,
            "moment": evidence.moment,
            "cause": fault.cause,
            "kind": fault.kind.value,
            "reason": fault.reason,
            "proof": fault.proof,
            "advice": fault.advice,
            "items": items,
        }
        _write(folder / INDEX, json.dumps(index, indent=2, ensure_ascii=True) + "\n")
        return folder

    def tidy(self, now: float | None = None) -> None:
        """Remove what is too old or too much; never raises."""
        now = time.time() if now is None else now
        found: list[tuple[float, int, Path]] = []
        with suppress(OSError):
            for folder in self.directory.iterdir():
                with suppress(OSError):
                    if folder.is_dir() and not folder.is_symlink():
                        found.append((folder.stat().st_mtime, _size(folder), folder))
        total = sum(size for _, size, _ in found)
        for at, size, folder in sorted(found):
            if now - at > self._days * 86400 or total > self._room:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole: two investigations of one incident, or a reader, may be here at the same time."""
    part = path.with_name(f".{path.name}.{threading.get_native_id()}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.iterdir())
