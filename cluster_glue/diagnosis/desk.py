"""The diagnosis at work: it remembers while all is well, looks while a server stalls, and explains when it fell.

Nothing here decides what is done: a failed probe is given a better name before it counts (the machine acts on its
kind), and an incident gets its cause beside the restart, never before it. Overload is somebody else's until it has
lasted for ``overload_timeout``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster_glue.diagnosis import host, rules
from cluster_glue.diagnosis.case import Case
from cluster_glue.diagnosis.evidence import STALLED, Evidence, Item, Look, gather
from cluster_glue.diagnosis.investigation import Investigation
from cluster_glue.diagnosis.kernel import KernelLog
from cluster_glue.diagnosis.shelf import Shelf
from cluster_glue.diagnosis.signals import SignalTrace
from cluster_glue.recovery.model import Answered, Failed, Phase, Tell
from cluster_glue.recovery.sensors.probe import CAUSES
from ocf.faults import Fault, Kind

if TYPE_CHECKING:
    from cluster_glue.recovery.watch import Watch

#: Seconds that a look at a stalling server may take; three of them lie before a kill.
QUICK: Final = 0.15

#: Seconds for which a proven overload explains further failures that nothing else explains.
STICKY: Final = 15.0

#: Messages that begin an incident.
FALLS: Final = ("fell", "start-failed", "misconfigured")

#: Seconds that a kill waits for the look at what it would take away.
PATIENCE: Final = 0.2

#: Investigations at the same time; others wait for their turn, so that the next death is not noticed late.
AT_ONCE: Final = 2

#: Investigations whose evidence is kept in memory, should an exit status come late.
REMEMBERED: Final = 16

#: What a probe sees; any other name is a better one already.
SYMPTOMS: Final = frozenset(cause for cause, _ in CAUSES.values())


class Diagnosis:
    """One for the daemon; an observer of the engine, the examiner of its probes, and a listener to what is told."""

    def __init__(self, directory: Path, tell: Callable[[str, Tell], None]) -> None:
        self.shelf = Shelf(directory)
        self.kernel = KernelLog()
        self.signals = SignalTrace()
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._cases: dict[str, Case] = {}
        self._watches: dict[str, Watch] = {}
        self._investigations: dict[tuple[str, int], Investigation] = {}
        self._turns = threading.Semaphore(AT_ONCE)
        self._looking: dict[str, threading.Event] = {}  # done when a server that hangs was looked at

    # -- as the engine's observer --------------------------------------------------------------------------------------

    def attend(self, watch: Watch) -> None:
        """Remember what a death would take away, as soon as there is a main process."""
        case = self._cases.get(watch.name)
        if case is None:
            case = self._cases[watch.name] = Case(watch.name, watch.server, watch.executor.output)
        self._watches[watch.name] = watch
        watch.executor.witness = lambda: self._await_look(watch.name)
        case.server = watch.server
        main = watch.remembered.main if watch.remembered is not None else None
        if main is not None and main != case.main and not watch.state.dead:
            for cause in case.omens:
                self._tell(watch.name, Tell("eased", f"no longer: {cause}: it was restarted"))
            case.adopt(main)
            self._trace(case)
        elif watch.state.phase is Phase.IDLE:
            case.close()

    def leave(self, watch: Watch) -> None:
        """Forget it."""
        case = self._cases.pop(watch.name, None)
        self._watches.pop(watch.name, None)
        self.signals.watch(watch.name, ())
        if case is not None:
            case.close()

    def close(self) -> None:
        """Let everything go; nothing of the kernel's trace is left."""
        for case in self._cases.values():
            case.close()
        self.signals.close()
        self.kernel.close()

    # -- as the examiner of probes -------------------------------------------------------------------------------------

    async def examine(self, watch: Watch, event: Answered | Failed) -> Answered | Failed:
        """The event with the better name that a look at the server gives. Raises nothing."""
        case = self._cases.get(watch.name)
        if case is None:
            return event
        if isinstance(event, Answered):
            main, place = case.main, case.place()  # what the log says from now on was said after the answer
            if case.may_forebode(place):
                await self._listen(case)
            if case.main == main:
                case.mark(place)
            self._trace(case)
            return event
        if event.hard or event.fault.kind is Kind.OURS:
            return event
        with suppress(Exception):  # a diagnosis that breaks must never keep a failure from counting
            return await asyncio.to_thread(self._examined, case, event, watch.config.policy.overload_timeout)
        return event

    async def _listen(self, case: Case) -> None:
        """Tell what the server's log says that matters although it answers."""
        with suppress(Exception):  # whatever is wrong with the log, the server answers
            for fault in await asyncio.to_thread(case.new_omens):
                words = f"{fault.reason}; {fault.advice}" if fault.advice else fault.reason
                self._tell(case.name, Tell("sighting", words, 0, fault))

    def _examined(self, case: Case, event: Failed, patience: float) -> Failed:
        items = gather(chain(self._around(case), case.looks_now(first=not case.stalled)), QUICK)
        items["probe"] = probe_item(event.fault)
        case.stalled = Evidence(STALLED, case.stalled).with_items(items).items  # type: ignore[assignment]
        if event.fault.cause not in SYMPTOMS:
            return event
        fault = rules.name(Evidence(STALLED, items), event.fault, case.server, case.subject)
        now = time.monotonic()
        if fault.cause == "overload":
            case.overloaded_since = case.overloaded_since or now
            case.overloaded_last = now
        elif fault is event.fault and case.overloaded_since and now - case.overloaded_last < STICKY:
            fault = overloaded(event.fault)
        else:
            case.overloaded_since = None
        if fault.cause == "overload" and now - (case.overloaded_since or now) >= patience:
            words = f"{fault.reason}, for {patience:g} s by now"
            fault = replace(fault, kind=Kind.RESOURCE, reason=words)
        return Failed(fault, event.hard)

    def _around(self, case: Case) -> Iterator[Look]:
        """What of the machine explains that a server cannot be reached, and that no restart mends."""
        yield Look("tables", host.tell_tables, 0.02)
        since = case.good.clocks.monotonic if case.good else 0.0
        yield Look("kernel", lambda: self.kernel.since(since), 0.02)

    # -- as a listener -------------------------------------------------------------------------------------------------

    def tell(self, resource: str, told: Tell) -> None:
        """Pass on what is said, with what is known better; begin to investigate a fall."""
        key = (resource, told.incident)
        if told.message == "explained" and key in self._investigations and told.fault is not None:
            told = replace(told, fault=self._investigations[key].explained(told.fault))
        self._tell(resource, told)
        if told.message in FALLS and told.incident and told.fault is not None:
            with suppress(Exception):  # whatever breaks here, the restart goes on
                self._begin(resource, told, told.fault)

    def _begin(self, resource: str, told: Tell, fault: Fault) -> None:
        case, watch = self._cases.get(resource), self._watches.get(resource)
        if case is None or watch is None:
            return
        self.signals.drain()
        moment = {"fell": "died" if watch.state.dead else STALLED}.get(told.message, "start-failed")
        since = (case.good.clocks.monotonic if case.good else 0.0) - 60.0
        investigation = Investigation(
            case=case.held(),
            incident=told.incident,
            moment=moment,
            seen=fault,
            signals=tuple(self.signals.to((case.subject.main, *case.family), since)),
            untraced=self.signals.problem,
            kernel=self.kernel,
            busy=lambda: watch.state.phase.value in ("clearing", "starting"),
            testing=lambda: watch.server,
        )
        self._investigations[(resource, told.incident)] = investigation
        while len(self._investigations) > REMEMBERED:
            del self._investigations[next(iter(self._investigations))]
        if moment == STALLED:
            self._looking[resource] = investigation.looked
        threading.Thread(target=self._work, args=(resource, investigation), name="diagnosis", daemon=True).start()

    def _await_look(self, resource: str) -> None:
        """Before a kill, in the thread that kills: what hangs is looked at first, within :data:`PATIENCE` seconds."""
        looked = self._looking.pop(resource, None)
        if looked is not None:
            looked.wait(PATIENCE)

    def _work(self, resource: str, investigation: Investigation) -> None:
        with suppress(Exception):  # what cannot be seen is missing among the evidence
            investigation.look()
        with self._turns:
            try:
                fault, detail = investigation.carry_out(self.shelf)
            finally:
                investigation.case.close()
        told = Tell("evidence-kept", detail, investigation.incident, fault)
        with suppress(RuntimeError):  # the loop is closed: we are going
            self._loop.call_soon_threadsafe(self._tell, resource, told)

    def _trace(self, case: Case) -> None:
        pids = () if case.main is None else dict.fromkeys((case.main.pid, *case.family))
        self.signals.watch(case.name, pids)


def probe_item(fault: Fault) -> Item:
    """What a probe saw, in the form that rules read."""
    return Item((" ".join(word for word in (f"{fault.cause}:", fault.reason, fault.proof) if word),))


def overloaded(seen: Fault) -> Fault:
    """A failure that goes on soon after an overload was proved."""
    reason = f"more was asked of it than it could do a moment ago, and still: {seen.reason}"
    return Fault("overload", Kind.DEPENDENCY, reason, seen.proof, "give it more workers or less load")
