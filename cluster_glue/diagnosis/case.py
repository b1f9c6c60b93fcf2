"""What is remembered of one resource, so that an incident can be explained: what would vanish with its processes.

``good`` is the last moment at which a probe was answered well; ``seen`` the latest look at a server that stalls.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cluster_glue.diagnosis import family, heap, omens, pages, reading, tables, threads
from cluster_glue.diagnosis.evidence import Absent, Item, Look, read_text
from cluster_glue.diagnosis.host import Clocks, Groups, groups_of
from cluster_glue.diagnosis.rules import Subject
from ocf.faults import Fault
from resource_agents.families import layout_of
from resource_agents.processes import Identity, look
from resource_agents.server import Server

#: Bytes of a server's stdout and stderr that are kept.
OUTPUT: Final = 65536

#: Lines about threads that ended which are remembered.
MOST_ENDS: Final = 20

#: Seconds, at the least, for which a kill or a refused fork that its control groups counted can explain what comes.
COUNTS_FOR: Final = 300.0

#: Lines of a report of a JVM's crash that are kept.
REPORT: Final = 60


@dataclass(frozen=True, slots=True)
class Good:
    """The last good moment: where the log ended, all clocks; and the counters of its control groups some minutes ago.

    ``before``: where the log ended at the good moment before.
    """

    clocks: Clocks
    place: reading.Place | None
    groups: Groups
    before: reading.Place | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a stalling server; ``at`` is CLOCK_MONOTONIC."""

    at: float
    processes: dict[int, family.Seen]
    table: tables.Table | None


@dataclass(slots=True)
class Case:
    """One resource. All but :meth:`looks_now` and what it calls runs in the loop's thread."""

    name: str
    server: Server
    output: Path
    main: Identity | None = None
    argv: tuple[str, ...] = ()
    family: tuple[int, ...] = ()
    folder: str = ""
    output_fd: int = -1
    log_fd: int = -1
    good: Good | None = None
    goods: int = 0
    counted: tuple[tuple[float, Groups], ...] = ()  # the latest two counts of its control groups, each with its time
    seen: Seen | None = None
    stalled: dict[str, Item] = field(default_factory=dict)
    omens: dict[str, Fault] = field(default_factory=dict)  # told of this main process, by cause
    ends: list[str] = field(default_factory=list)  # what its log said of threads that it cannot do without
    overloaded_since: float | None = None
    overloaded_last: float = 0.0

    def adopt(self, main: Identity) -> None:
        """Remember what a death would take away."""
        self.main, self.family = main, family.family_of(main.pid)
        process = look(main.pid)
        self.argv = process.argv if process is not None else ()
        self.omens, self.ends = {}, []
        self.close()
        with suppress(OSError):
            self.output_fd = os.open(self.output, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.folder = ""
        with suppress(OSError):
            self.folder = os.readlink(f"/proc/{main.pid}/cwd")
        self.goods = 0
        self.mark(self.place())

    def place(self) -> reading.Place | None:
        """Where its log ends now."""
        return reading.place_of(self.log)

    def mark(self, place: reading.Place | None) -> None:
        """This moment is good, or was so when its log ended at ``place``."""
        if self.main is None:
            return
        if self.goods % 4 == 0:  # children come and go, but not between any two probes
            self.family = family.family_of(self.main.pid)
        self.goods += 1
        self._hold_log()
        before = self.good.place if self.good is not None and self.goods > 1 else None
        self.good = Good(Clocks.now(), place, self._counted(self.main.pid), before)
        self.seen, self.overloaded_since = None, None
        self.stalled = {}

    def _counted(self, pid: int) -> Groups:
        """The counters as they were some minutes ago, and no longer: what came before has nothing to do with today."""
        now = time.monotonic()
        if self.goods == 1:
            self.counted = ((now, groups_of(pid)),) * 2
        elif now - self.counted[1][0] > COUNTS_FOR:
            self.counted = (self.counted[1], (now, groups_of(pid)))
        return self.counted[0][1]

    def close(self) -> None:
        """Hold nothing open."""
        for fd in (self.output_fd, self.log_fd):
            if fd >= 0:
                os.close(fd)
        self.output_fd = self.log_fd = -1

    def held(self) -> Case:
        """A copy with descriptors of its own."""
        return replace(self, output_fd=_another(self.output_fd), log_fd=_another(self.log_fd))

    def _hold_log(self) -> None:
        """Hold the file that has the log's name now."""
        if self.log_fd >= 0:
            with suppress(OSError):
                if os.path.samestat(os.fstat(self.log_fd), os.stat(self.log)):
                    return
            os.close(self.log_fd)
        self.log_fd = reading.hold(self.log)

    @property
    def log(self) -> str:
        return layout_of(self.server).error_log

    @property
    def subject(self) -> Subject:
        ports = tuple(address.port for address in layout_of(self.server).addresses)
        return Subject(self.main.pid if self.main else 0, self.family, ports)

    def news(self, limit: int = reading.NEWS) -> list[str]:
        """The server's log since the last good moment. Raises :class:`Absent`."""
        try:
            return reading.news(self.log, self.good.place if self.good else None, self.log_fd, limit)
        except OSError as error:
            raise Absent(error.strerror or str(error)) from None

    def looks_now(self, first: bool) -> Iterator[Look]:
        """What a stalling server looks like now; cheap, since its next probe waits for it."""
        before, now = self.seen, Seen(time.monotonic(), {}, None)
        self.seen = now
        self.family = family.family_of(self.main.pid) if self.main else ()
        pids = self.family

        def processes() -> Iterator[str]:
            now.processes.update(family.look(pids))
            past = before.processes if before else {}
            yield from family.tell(now.processes, past, now.at - before.at if before else 0.0)

        def sockets() -> Iterator[str]:
            table = tables.dump(layout_of(self.server).addresses, pids)
            self.seen = Seen(now.at, now.processes, table)
            yield from tables.tell(table, before.table if before else None, now.at - before.at if before else 0.0)

        yield Look("log", lambda: self.news(reading.QUICK_NEWS), 0.1)
        yield Look("processes", processes, 0.1)
        yield Look("sockets", sockets, 0.1)
        yield Look("listeners", lambda: tables.tell_listeners(layout_of(self.server).addresses, pids), 0.1)
        if first:
            yield Look("stacks", lambda: family.stacks(pids), 0.05)
            yield Look("status-page", self._page, 0.1)

    def start_output(self) -> Iterator[str]:
        """What the server wrote to its stdout and stderr, though the file may be gone."""
        if self.output_fd < 0:
            raise Absent("its output was not written for koboshi")
        size = os.fstat(self.output_fd).st_size
        yield from reading.split(os.pread(self.output_fd, OUTPUT, max(0, size - OUTPUT)))

    def new_output(self) -> Iterator[str]:
        """The same of the latest start."""
        with self.output.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - OUTPUT))
            yield from reading.split(file.read(OUTPUT))

    def crash_report(self) -> Iterator[str]:
        """The beginning of a JVM's ``hs_err`` file of the main process."""
        if self.main is None:
            raise Absent("no main process is known")
        name = f"hs_err_pid{self.main.pid}.log"
        folders = (self.folder, os.path.dirname(self.log), os.path.dirname(os.path.dirname(self.log)), "/tmp")
        for folder in dict.fromkeys(folders):
            for path in glob.glob(f"{glob.escape(folder)}/{name}") if folder else ():
                yield from read_text(path).splitlines()[:REPORT]
                return
        raise Absent("there is none")

    def dying_words(self) -> list[str]:
        """The log of a server that died since the last good moment.

        What it said while its last good answer was on its way to us is found too, where it said nothing after that.
        """
        news = self.news()
        if news or self.good is None or self.good.before is None:
            return news
        return replace(self, good=replace(self.good, place=self.good.before)).news()

    def may_forebode(self, place: reading.Place | None) -> bool:
        """Whether the log, which ends at ``place``, is worth reading although the server answers."""
        past = self.good.place if self.good is not None else None
        return past is not None and place != past and any(signature.omen for signature in self.server.signatures)

    def new_omens(self) -> list[Fault]:
        """What the log has said since the last good moment that matters although the server answers; each once."""
        news = self.news()
        ends = (line for line in news if threads.ENDED.match(line))
        self.ends = list(dict.fromkeys((*self.ends, *ends)))[:MOST_ENDS]
        found = {one.cause: one for one in omens.heard(self.server, news) if one.cause not in self.omens}
        self.omens |= found
        return list(found.values())

    def foretold(self) -> list[str]:
        """What the log said while it answered, before the last good moment."""
        return [f"{cause}: {fault.proof}" for cause, fault in self.omens.items()]

    def thread_dump(self) -> Iterator[str]:
        """The thread dump that was asked for before it was told to stop, in a few lines."""
        dump = threads.dump_in(self.news())
        if not dump:
            raise Absent("there is none in the log")
        yield from threads.tell(dump)
        yield from heap.tell(dump, self.argv)

    def last_words(self) -> list[str]:
        """The log up to that dump, as all of it was said before anything was done to the server.

        A thread that ended before the last good moment is as dead as one that ended since, so it is told first.
        """
        lines = self.news()
        begin = threads.begin_of_dump(lines)
        if begin is None and not self.ends:
            raise Absent("there is no thread dump in the log, by which to tell its last words from those of its end")
        return [*self.ends, *lines[: begin or 0]]

    def _page(self) -> Iterator[str]:
        request = layout_of(self.server).request
        if request is None or not any(word in request.url for word in ("auto", "status")):
            raise Absent("no status page is known")
        yield from pages.tell(pages.fetch(request, 0.08))


def _another(fd: int) -> int:
    return os.dup(fd) if fd >= 0 else -1
