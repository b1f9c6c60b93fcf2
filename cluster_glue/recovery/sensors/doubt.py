"""Self-doubt: were we there to see it?

A probe that failed while koboshi itself was not scheduled (a blocked loop, a starved machine, SIGSTOP, a paused or
suspended machine) proves nothing about the server. Two things tell: how late the engine's one recurring timer fires
(``beat``), and how much later than its own deadline a probe ended. What is lost is also no part of the time that a good
answer took.

All times are seconds of the loop's clock (``CLOCK_MONOTONIC``). It stands still while the machine is suspended, so
``CLOCK_BOOTTIME`` is compared with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from cluster_glue.recovery.model import Answered, Failed
from ocf.faults import Fault, Kind

#: Part of a probe's timeout that may be lost to ourselves before its failure is void.
TOLERANCE = 0.25

#: Seconds of lateness that are ordinary and not remembered.
ORDINARY = 0.02

#: Spans of absence that are remembered; more than a probe can meet.
MEMORY = 256


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Asked:
    """When a probe was due, when it really began and ended, and the time it was given."""

    due: float
    began: float
    ended: float
    timeout: float


class Doubt:
    """Remembers when we were absent. ``beat`` must go on for as long as probes are judged: silence counts as absence.

    ``clock`` and ``boot_clock`` are read, never set.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, boot_clock: Callable[[], float] = _boottime
    ) -> None:
        self._clock = clock
        self._boot_clock = boot_clock
        self._absent: deque[tuple[float, float, float]] = deque(maxlen=MEMORY)  # from, to, seconds lost
        self._due = clock()
        self._offset = boot_clock() - clock()

    def beat(self, next_due: float) -> float:
        """Call at every tick of the recurring timer; ``next_due`` is the next one's time. How late this one was."""
        now = self._clock()
        late = self._late(now)
        if late > ORDINARY:
            self._absent.append((min(self._due, now), now, late))
        self._offset = self._boot_clock() - now
        self._due = next_due
        return late

    def lost(self, since: float, until: float) -> float:
        """Seconds between ``since`` and ``until`` in which we were absent, the present absence included."""
        spans = list(self._absent)
        now = self._clock()
        late = self._late(now)
        if late > ORDINARY:
            spans.append((min(self._due, now), now, late))
        seconds = 0.0
        for begin, end, late in spans:
            met = min(until, end) - max(since, begin)
            if met < 0:
                continue
            suspended = max(0.0, late - (end - begin))  # time that the monotonic clock did not count
            seconds += met + suspended
        return seconds

    def judge(self, event: Answered | Failed, asked: Asked) -> Answered | Failed:
        """The event as it counts: a failure that we may have caused is void, a good answer's time is its own."""
        lost = self.lost(asked.began, asked.ended)
        if isinstance(event, Answered):
            return replace(event, took=max(0.0, event.took - lost)) if lost else event
        lost = max(lost, asked.ended - asked.began - asked.timeout, asked.began - asked.due)
        if event.fault.kind is Kind.OURS or lost <= TOLERANCE * asked.timeout:
            return event
        reason = f"void: koboshi itself was not scheduled for {lost:.3g} s of this probe ({event.fault.reason})"
        return Failed(Fault("probe-void", Kind.OURS, reason, f"lost {lost:.3g} s of {asked.timeout:g} s"))

    def _late(self, now: float) -> float:
        suspended = self._boot_clock() - now - self._offset
        return max(0.0, now - self._due) + max(0.0, suspended)
