"""The journal of incidents: what fell, when, why, what was done, how long it took, how it ended.

SQLite in the state directory, mode 0600. One thread of its own writes; :meth:`Journal.put` only appends to a bounded
list in memory, so a slow or full disk delays nothing. While nothing can be written the newest entries wait in memory;
what does not fit is lost, counted and reported. A damaged database is set aside and a new one begun.

Both clocks are kept: the wall clock tells people when, ``CLOCK_BOOTTIME`` tells how long, since it never jumps. An
incident's row is brought up to date by each of its entries, whichever comes first, so that one that was open when
koboshi was killed goes on under the same number.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cluster_glue.journal_database import Database, Entry, Foreign, set_aside
from cluster_glue.journal_reader import Incident, JournalUnreadable, Line, Reader
from cluster_glue.messages import sanitise
from cluster_glue.recovery.model import Tell

#: Seconds until a failed write is tried again.
AGAIN = 1.0

#: Seconds between an entry and its writing: a restart that is under way comes first.
LEISURE = 0.15

#: Entries written in one transaction.
BATCH = 500

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Journal:
    """The writing side. ``on_loss(text)`` and ``on_back(lost)`` are called on the writer's thread, once each in turn.

    Making it reads the disk; nothing else that its callers do has them wait for one. ``keep`` is how many incidents
    stay, ``backlog`` how many entries wait in memory while nothing can be written.
    """

    def __init__(
        self,
        path: Path,
        on_loss: Callable[[str], None],
        on_back: Callable[[int], None],
        *,
        keep: int = 10_000,
        backlog: int = 1_000,
    ) -> None:
        self.path = path
        self.lost = 0
        self._on_loss, self._on_back = on_loss, on_back
        self._keep = keep
        self._waiting: deque[Entry] = deque()
        self._backlog = backlog
        self._changed = threading.Condition()
        self._closing = self._hurried = False
        self._written = self._accepted = 0
        self._reported = 0
        self._failing = False
        self._database: Database | None = None
        self._numbers: dict[str, int] = {}  # read once: whoever needs one later must not wait for a disk
        with suppress(JournalUnreadable), Reader(path) as reader:
            self._numbers = reader.last_numbers()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def tell(self, resource: str, tell: Tell) -> None:
        """Keep what was said just now. Returns at once and never raises."""
        self.put(Entry.of(resource, tell))

    def put(self, entry: Entry) -> None:
        """Keep ``entry``. Returns at once and never raises; the oldest waiting entry makes room where there is none."""
        with self._changed:
            self._waiting.append(entry)
            self._accepted += 1
            self._numbers[entry.resource] = max(entry.incident, self._numbers.get(entry.resource, 0))
            self._drop_surplus()
            self._changed.notify_all()

    def last_incident(self, resource: str) -> int:
        """The number of the latest incident of ``resource``; 0 when there is none, or none could be read."""
        with self._changed:
            return self._numbers.get(resource, 0)

    @property
    def behind(self) -> bool:
        """Whether entries wait that can be written."""
        return self._accepted != self._written and not self._failing

    def flush(self, within: float) -> bool:
        """Whether all that was put so far was written (or lost) within ``within`` seconds."""
        with self._changed:
            goal = self._accepted
            self._hurried = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._written >= goal, within)

    def close(self, within: float = 2.0) -> None:
        """Write what waits, if it can be written within ``within`` seconds, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(within)

    def _drop_surplus(self) -> None:
        while len(self._waiting) > self._backlog:
            self._waiting.popleft()
            self.lost += 1
            self._written += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting)
                self._changed.wait_for(lambda: self._closing or self._hurried, LEISURE)
                self._hurried = False
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not batch:
                break
            done = self._write(batch)
            with self._changed:
                if done:
                    self._written += len(batch)
                    self._changed.notify_all()
                    continue
                self._waiting.extendleft(reversed(batch))
                self._drop_surplus()
                if self._changed.wait_for(lambda: self._closing, AGAIN):
                    break
        if self._database is not None:
            self._database.close()

    def _write(self, batch: list[Entry]) -> bool:
        try:
            if self._database is None or self._database.gone():
                self._database = Database(self.path, self._keep)
            self._database.add(batch)
        except (sqlite3.Error, OSError, Foreign) as error:
            self._failed(error)
            return False
        if self._failing:
            self._failing = False
            with suppress(Exception):  # whoever listens may be ending; the journal goes on
                self._on_back(self.lost - self._reported)
            self._reported = self.lost
        return True

    def _failed(self, error: Exception) -> None:
        text = f"{self.path} cannot be written: {error}"
        if self._database is not None:
            self._database.close()
            self._database = None
        if isinstance(error, Foreign) or (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED:
            with suppress(OSError):
                text = f"{self.path} is unusable ({error}) and was set aside as {set_aside(self.path).name}"
        if not self._failing:
            self._failing = True
            with suppress(Exception):
                self._on_loss(sanitise(text))


__all__ = ["Entry", "Incident", "Journal", "JournalUnreadable", "Line", "Reader"]
