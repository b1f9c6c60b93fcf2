"""One incident explained: evidence gathered beside the restart, a cause named, everything kept.

What the restart would wipe away (the old output, the place in the log) is held by the case since all was well. What
does not vanish is looked at when the server is on its feet again, so that the processors are the restart's own.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from cluster_glue.diagnosis import family, host, rules, tables
from cluster_glue.diagnosis.case import Case
from cluster_glue.diagnosis.evidence import (
    BYTES,
    DIED,
    SECONDS,
    STALLED,
    START_FAILED,
    Absent,
    Evidence,
    Item,
    Look,
    gather,
)
from cluster_glue.diagnosis.kernel import KernelLog
from cluster_glue.diagnosis.shelf import Shelf
from cluster_glue.diagnosis.signals import Signal
from cluster_glue.messages import incident_id, sanitise
from ocf.faults import Fault, Kind
from ocf.programs import run
from resource_agents.families import find_main, layout_of
from resource_agents.server import Server

#: Seconds that a look at a server may take that hangs by a hard fact, and what is looked at: all of it ends with the
#: processes. What else is asked of a server in doubt would not be answered.
QUICK: Final = 0.15
VANISHING: Final = frozenset({"processes", "sockets", "stacks"})

#: Seconds that we leave the machine to the restart before we look at what does not vanish.
AFTER: Final = 3.0


@dataclass(slots=True)
class Investigation:
    """``busy``: whether the restart is under way; ``testing``: the server whose configuration may be tested."""

    case: Case
    incident: int
    moment: str
    seen: Fault
    signals: tuple[Signal, ...]
    untraced: str
    kernel: KernelLog
    busy: Callable[[], bool]
    testing: Callable[[], Server]
    at: float = field(default_factory=time.time)
    evidence: Evidence | None = None
    looked: threading.Event = field(default_factory=threading.Event)  # what the kill would take away was looked at

    def look(self) -> None:
        """See what the kill of a server that hangs would take away, if no failed probe has shown it. Never raises."""
        try:
            if self.moment == STALLED and not self.case.stalled:
                looks = (each for each in self.case.looks_now(first=True) if each.name in VANISHING)
                self.case.stalled = gather(looks, QUICK)
        finally:
            self.looked.set()

    def carry_out(self, shelf: Shelf) -> tuple[Fault | None, str]:
        """Gather, name, keep: the fault (None: nothing better than what was seen) and what to say. Never raises."""
        try:
            items = self._items()
            self.evidence = Evidence(self.moment, items)
            fault = self._named(self.evidence)
            words = f"{sum(bool(item.lines) for item in items.values())} items"
            try:
                folder = shelf.keep(incident_id(self.case.name, self.incident), self.evidence, fault, self.at)
                words += f" in {folder}"
            except OSError as error:
                words += f", which could not be kept: {error}"
            shelf.tidy()
        except Exception as error:  # a defect of ours explains nothing and hinders nothing
            return None, sanitise(f"the diagnosis broke off: {type(error).__name__}: {error}")
        if fault == self.seen:
            return None, f"nothing proves more than what was seen; {words}"
        return fault, f"{fault.reason}; {words}"

    def explained(self, fault: Fault) -> Fault:
        """How it ended is known by now: what was seen, or the better name."""
        self.seen = replace(self.seen, proof=fault.proof) if self.seen.kind is Kind.HOST else fault
        if self.evidence is None:
            return self.seen
        self.evidence = self.evidence.with_items({"exit": self._exit()})
        return self._named(self.evidence)

    def _named(self, evidence: Evidence) -> Fault:
        if self.moment == DIED and self.seen.kind is Kind.HOST:
            # what keeps it down counts; who ended it is told as well
            how = rules.name(evidence, self.seen, self.case.server, self.case.subject)
            return self.seen if how is self.seen else replace(self.seen, reason=f"{self.seen.reason}; {how.reason}")
        if self.moment != START_FAILED or self.seen.cause == "unknown":
            return rules.name(evidence, self.seen, self.case.server, self.case.subject)
        holder = re.search(r"held by somebody else: (.*?); \d+ of", "\n".join(evidence.lines("listeners")))
        if holder is None or not self.seen.cause.endswith("port-taken") or "held by" in self.seen.reason:
            return self.seen  # the start knows its own server best
        return replace(self.seen, reason=f"{self.seen.reason}: held by {holder[1]}")

    def _items(self) -> dict[str, Item]:
        began = time.monotonic()
        items: dict[str, Item] = dict(self.case.stalled) if self.moment == STALLED else {}
        items |= {"exit": self._exit()} if self.moment == DIED else {}
        items["signals"] = self._told()
        if self.moment == STALLED and ("probe" not in items or self.seen.cause == "stopped"):
            items["probe"] = Item((f"{self.seen.cause}: {self.seen.reason}",))
        items |= gather(self._first(), SECONDS / 2, BYTES)
        while self.busy() and time.monotonic() - began < AFTER:
            time.sleep(0.02)
        size = BYTES - sum(len(line) for item in items.values() for line in item.lines)
        return dict(Evidence(self.moment, items).with_items(gather(self._then(), SECONDS / 2, size)).items)

    def _first(self) -> Iterator[Look]:
        """What the restart would change."""
        if self.moment == START_FAILED:
            yield Look("output", self.case.new_output)
            yield Look("listeners", self._listeners)
        else:
            yield Look("output", self.case.start_output)
        yield Look("log", self.case.dying_words if self.moment == DIED else self.case.news)

    def _then(self) -> Iterator[Look]:
        """What stays as it is."""
        layout = layout_of(self.case.server)
        since = self.case.good.clocks.monotonic if self.case.good else 0.0
        yield Look("kernel", lambda: self.kernel.since(since))
        groups = self.case.good.groups if self.case.good else host.Groups({})
        yield Look("groups", lambda: host.tell_groups(groups))
        if self.moment == STALLED:
            yield Look("omens", self.case.foretold)
            yield Look("threads", self.case.thread_dump)
            yield Look("log", self.case.last_words)
        if self.moment == DIED:
            yield Look("hs_err", self.case.crash_report)
        if self.moment == START_FAILED:
            yield Look("configuration-test", self._test, 1.0)
        paths = (layout.error_log, layout.pidfile, self.case.folder, "/tmp", "/var/tmp")
        yield Look("disks", lambda: host.tell_disks(path for path in paths if path.startswith("/")))
        yield Look("pressure", host.tell_pressure)
        if self.case.good is not None:
            good = self.case.good.clocks
            yield Look("clocks", lambda: host.tell_clocks(good))

    def _listeners(self) -> Iterator[str]:
        """Who holds its addresses after a failed start: it may be the server itself, which runs and is not well."""
        main = find_main(self.case.server, None)
        pids = family.family_of(main.pid) if main is not None else ()
        yield from tables.tell_listeners(layout_of(self.case.server).addresses, pids)

    def _test(self) -> Iterator[str]:
        server = self.testing()
        command = server.check_command()
        if command is None:
            raise Absent(f"{server.title} has none")
        done = run(command.argv, 0.9, command.env, user=command.user, cwd=command.cwd)
        yield f"exit status {done.status}" if done.status is not None else done.problem
        yield from done.output.splitlines()

    def _exit(self) -> Item:
        proof = self.seen.proof
        return Item((proof if proof.startswith("exit status") else "not known",))

    def _told(self) -> Item:
        main = self.case.main.pid if self.case.main else 0
        lines = [
            one.told(f"the main process (pid {one.pid})" if one.pid == main else f"its process {one.pid}")
            for one in self.signals
            if one.sender.pid != os.getpid()
        ]
        return Item(tuple(reversed(lines)), self.untraced if not lines else "")
