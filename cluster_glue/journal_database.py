"""The journal's database: what is kept of each entry, and how an incident's row follows from its entries.

Text from outside is sanitised on its way in, so that nothing that reads the journal has to.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cluster_glue.journal_reader import NOTHING, SCHEMA, VERSION
from cluster_glue.messages import EXPLANATIONS, sanitise
from cluster_glue.recovery.model import Tell
from ocf.faults import Fault

#: Messages after which koboshi has no more to do about an incident.
ENDINGS = frozenset({"recovered", "stopped", "exhausted", "hopeless", "stop-failed", "released"})

#: Messages after which a resource is not out: it serves, or nobody wants it to.
OUTAGE_ENDINGS = frozenset({"recovered", "stopped", "up"})

#: Entries kept for each incident kept, on the average.
ENTRIES = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. ``at`` is wall time (seconds since 1970), ``clock`` seconds on CLOCK_BOOTTIME."""

    at: float
    clock: float
    resource: str
    message: str
    detail: str
    incident: int = 0
    fault: Fault | None = None

    @classmethod
    def of(cls, resource: str, tell: Tell, at: float | None = None, clock: float | None = None) -> Self:
        """What was told, now unless said otherwise. ``resource`` is empty when koboshi speaks of itself."""
        return cls(
            time.time() if at is None else at,
            time.clock_gettime(time.CLOCK_BOOTTIME) if clock is None else clock,
            *(resource, tell.message, tell.detail, tell.incident, tell.fault),
        )


class Foreign(Exception):
    """The file is a database, but none of ours."""


class Database:
    """The open database; its methods raise ``sqlite3.Error`` or ``OSError``, and :class:`Foreign` at first."""

    def __init__(self, path: Path, keep: int) -> None:
        self._path, self._keep = path, keep
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        self._inode = found.st_ino
        self._connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA cache_size = -256")
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if version > VERSION or (tables and not version):
            raise Foreign(f"it has format {version}, and this koboshi writes {VERSION}")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA wal_autocheckpoint = 250")
        self._connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    def gone(self) -> bool:
        """Whether the file that is open is no longer the one at the path."""
        try:
            return os.stat(self._path).st_ino != self._inode
        except OSError:
            return True

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def add(self, entries: list[Entry]) -> None:
        """Write all entries or none. How an incident ended is on disk when this returns; the rest soon after."""
        run = self._connection.execute
        ending = any(entry.message in ENDINGS for entry in entries)
        run(f"PRAGMA synchronous = {'FULL' if ending else 'NORMAL'}")
        run("BEGIN IMMEDIATE")
        try:
            for entry in entries:
                self._add(entry)
            run("DELETE FROM entry WHERE id <= (SELECT max(id) FROM entry) - ?", (self._keep * ENTRIES,))
            run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                run("ROLLBACK")
            raise

    def _add(self, entry: Entry) -> None:
        fault = entry.fault
        proved = (sanitise(fault.cause, 64), sanitise(fault.proof)) if fault else ("", "")
        self._connection.execute(
            "INSERT INTO entry (at, clock, boot, resource, number, message, detail, cause, proof)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(entry.at, entry.clock, self._boot, entry.resource, entry.incident, entry.message),
                *(sanitise(entry.detail), *proved),
            ),
        )
        if entry.incident:
            self._update_incident(entry)
        if entry.message in OUTAGE_ENDINGS:
            self._end_outages(entry)

    def _update_incident(self, entry: Entry) -> None:
        run, key = self._connection.execute, (entry.resource, entry.incident)
        fault = entry.fault or NOTHING
        told = (sanitise(fault.cause, 64), fault.kind.value, *map(sanitise, (fault.reason, fault.proof, fault.advice)))
        new = run(
            "INSERT OR IGNORE INTO incident (resource, number, at, clock, boot, cause, kind, reason, proof, advice)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, entry.at, entry.clock, self._boot, *told),
        ).rowcount
        if new:
            run(
                "UPDATE incident SET ending = 'interrupted' WHERE resource = ? AND number <> ? AND ending = ''",
                key,
            )
            run("DELETE FROM incident WHERE id <= (SELECT max(id) FROM incident) - ?", (self._keep,))
        elif entry.fault is not None:
            # A diagnosis knows better than what was seen at once, but never replaces a name with "unknown".
            named = entry.message in EXPLANATIONS and fault.cause != NOTHING.cause
            vague = f"cause = '{NOTHING.cause}'" if entry.message in EXPLANATIONS else "reason = ''"
            run(
                "UPDATE incident SET cause = ?, kind = ?, reason = ?, proof = ?, advice = ?"
                f" WHERE resource = ? AND number = ? AND {'1' if named else vague}",
                (*told, *key),
            )
        if entry.message in ENDINGS:
            first = "1" if entry.message == "recovered" else "ending = ''"
            run(
                f"UPDATE incident SET ending = ?, ended = ? WHERE resource = ? AND number = ? AND {first}",
                (entry.message, entry.at, *key),
            )

    def _end_outages(self, entry: Entry) -> None:
        """It serves again, or nobody wants it to: no incident of it still counts as an outage."""
        self._connection.execute(
            "UPDATE incident SET outage = max(0, CASE WHEN boot = ? THEN ? - clock ELSE ? - at END),"
            " ended = coalesce(ended, ?), ending = CASE WHEN ending = '' THEN 'interrupted' ELSE ending END"
            " WHERE resource = ? AND outage IS NULL",
            (self._boot, entry.clock, entry.at, entry.at, entry.resource),
        )


def set_aside(path: Path) -> Path:
    """Move a damaged database out of the way; only the latest such is kept."""
    aside = path.with_name(path.name + ".damaged")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
