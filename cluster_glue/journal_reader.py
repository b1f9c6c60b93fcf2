"""Reading the journal of incidents; works while koboshi is down, and beside it while it writes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cluster_glue.messages import incident_id
from ocf.faults import unknown

#: ``PRAGMA user_version`` of this layout.
VERSION: Final = 1

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS incident (
    id INTEGER PRIMARY KEY, resource TEXT NOT NULL, number INTEGER NOT NULL,
    at REAL NOT NULL, clock REAL NOT NULL, boot TEXT NOT NULL,
    cause TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, proof TEXT NOT NULL, advice TEXT NOT NULL,
    ending TEXT NOT NULL DEFAULT '', ended REAL, outage REAL,
    UNIQUE (resource, number));
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, clock REAL NOT NULL, boot TEXT NOT NULL,
    resource TEXT NOT NULL, number INTEGER NOT NULL, message TEXT NOT NULL, detail TEXT NOT NULL,
    cause TEXT NOT NULL, proof TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entry_of_incident ON entry (resource, number);
CREATE INDEX IF NOT EXISTS outages ON incident (resource) WHERE outage IS NULL;
"""

#: Stands where no entry of an incident has told a fault yet.
NOTHING: Final = unknown("")

#: Entries that say what koboshi did about an incident.
ACTIONS: Final = ("restarting", "orphans-ended", "leftovers-removed", "escalated")

#: Entries of one incident that are read at most.
LONGEST_TIMELINE = 1000

_COLUMNS = "resource, number, cause, kind, reason, proof, advice, at, ended, outage, ending"
_FIELDS = _COLUMNS.replace(" at,", " fell,").split(", ")


class JournalUnreadable(Exception):
    """The journal cannot be read; the message names it and the remedy. ``denied``: for lack of permission."""

    def __init__(self, text: str, denied: bool = False) -> None:
        super().__init__(text)
        self.denied = denied


@dataclass(frozen=True, slots=True)
class Incident:
    """One fall of one resource. ``fell`` and ``ended`` are wall times, ``outage`` seconds; None: not over yet.

    ``ending`` is a message's name (``recovered``, ``stopped``, ``exhausted``, ``hopeless``, ``stop-failed``,
    ``released``), ``interrupted`` when koboshi lost sight of it (a reboot), or empty while it is open.
    ``actions`` are the names of the messages about what was done, in order.
    """

    resource: str
    number: int
    cause: str
    kind: str
    reason: str
    proof: str
    advice: str
    fell: float
    ended: float | None
    outage: float | None
    ending: str
    actions: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return incident_id(self.resource, self.number)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a timeline. ``at`` is wall time, ``offset`` seconds since the incident's first entry."""

    at: float
    offset: float
    message: str
    detail: str
    cause: str
    proof: str


class Reader:
    """The journal, read-only. Every method raises :class:`JournalUnreadable`; use it in a ``with`` statement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb"):
                pass
        except FileNotFoundError:
            raise JournalUnreadable(f"there is no journal at {path}: koboshi has not run with this state yet") from None
        except PermissionError:
            raise JournalUnreadable(f"{path} may not be read by this user: ask as its owner (sudo)", True) from None
        except OSError as error:
            raise JournalUnreadable(f"{path} cannot be read: {error.strerror}") from None
        self._connection = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def incidents(self, resource: str | None = None, limit: int = 20) -> list[Incident]:
        """The latest incidents, the latest first."""
        where, values = ("WHERE resource = ?", [resource]) if resource else ("", [])
        rows = self._rows(f"SELECT {_COLUMNS} FROM incident {where} ORDER BY id DESC LIMIT ?", [*values, limit])
        return [self._incident(row) for row in rows]

    def incident(self, name: str) -> tuple[Incident, list[Line]] | None:
        """The incident called ``web1-7`` with its timeline; None when there is none."""
        resource, _, number = name.rpartition("-")
        if not resource or not number.isascii() or not number.isdigit() or len(number) > 12:
            return None
        key = [resource, int(number)]
        rows = self._rows(f"SELECT {_COLUMNS} FROM incident WHERE resource = ? AND number = ?", key)
        if not rows:
            return None
        return self._incident(rows[0]), self._timeline(key)

    def last_numbers(self) -> dict[str, int]:
        """The highest incident number of each resource that has one."""
        return dict(self._rows("SELECT resource, max(number) FROM incident GROUP BY resource", []))

    def _incident(self, row: tuple[Any, ...]) -> Incident:
        marks = ", ".join("?" for _ in ACTIONS)
        done = self._rows(
            f"SELECT message FROM entry WHERE resource = ? AND number = ? AND message IN ({marks}) ORDER BY id LIMIT ?",
            [*row[:2], *ACTIONS, LONGEST_TIMELINE],
        )
        told = dict(zip(_FIELDS, row, strict=True))
        return Incident(**told, actions=tuple(message for (message,) in done))

    def _timeline(self, key: list[Any]) -> list[Line]:
        rows = self._rows(
            "SELECT at, clock, boot, message, detail, cause, proof FROM entry WHERE resource = ? AND number = ?"
            " ORDER BY id LIMIT ?",
            [*key, LONGEST_TIMELINE],
        )
        if not rows:
            return []
        first_at, first_clock, first_boot = rows[0][:3]
        return [
            Line(at, clock - first_clock if boot == first_boot else at - first_at, message, detail, cause, proof)
            for at, clock, boot, message, detail, cause, proof in rows
        ]

    def _open(self) -> sqlite3.Connection:
        """A write-ahead log needs a writable directory even to be read; without one the main file alone is read."""
        name = self._path.absolute().as_posix().replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        problem: Exception | None = None
        for options in ("mode=ro", "mode=ro&immutable=1"):
            connection = sqlite3.connect(f"file:{name}?{options}", uri=True, timeout=2.0)
            try:
                connection.execute("SELECT 1 FROM incident LIMIT 1").fetchall()
            except sqlite3.Error as error:
                connection.close()
                problem = problem or error
            else:
                return connection
        raise JournalUnreadable(f"{self._path} cannot be read: {problem}")

    def _rows(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise JournalUnreadable(f"{self._path} cannot be read: {error}") from None
