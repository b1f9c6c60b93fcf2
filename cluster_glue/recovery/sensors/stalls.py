"""A stalled acceptor, proven by kernel facts before any number of probes has timed out.

A mute server may be hung or busy, and only the first may be restarted. It is hung for certain when, for a whole span of
time that koboshi itself was awake in,

* connections wait in the accept queue, and not one of them was accepted (they are first in, first out: when the ones of
  the span's begin still wait, none was); one that was accepted waits as long as nothing that its client sent was read;
* nobody is connected to it besides: no connection is open of which anything was read, or which has sent nothing, so no
  slow request, no slow back end, no client that is slow to ask or to hang up can be what keeps a worker;
* the server did not compute: next to no processor time, and no thread runnable, in uninterruptible sleep, or traced;
* and a probe was asked and has no answer either.

Whatever breaks one of these begins the span anew. What cannot be proven is left to the probes and their threshold.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster_glue.recovery.sensors.socket_dump import queued
from ocf.faults import Fault, Kind
from resource_agents.processes import children

#: Connections of a server beyond which nothing is proven: looking at them all would cost too much.
MOST_CONNECTIONS = 1024

#: Threads and processes beyond which nothing is proven.
MOST_TASKS = 512

#: Looks that a proof needs at least, its first one included.
LOOKS = 3

#: Seconds that the probe must have been without an answer.
ASKED_FOR = 0.3

#: Share of the span that may be spent computing (timers, signal handlers), or may have been lost to ourselves.
IDLE, ABSENT = 0.05, 0.25

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a server: who waits to be heard, and the processor time of each of its processes in seconds."""

    waiting: frozenset[bytes]
    processors: dict[int, float]

    @property
    def used(self) -> float:
        """Processor time of all processes."""
        return sum(self.processors.values())


@dataclass(slots=True)
class _Span:
    since: float
    first: Sample
    waiting: frozenset[bytes]  # at the latest look
    looks: int = 1


class Stalls:
    """Proofs for many resources. ``lost``: seconds between two times that koboshi itself was not scheduled."""

    def __init__(self, lost: Callable[[float, float], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._lost, self._clock = lost, clock
        self._spans: dict[str, _Span] = {}

    @property
    def names(self) -> set[str]:
        """Who is under proof."""
        return set(self._spans)

    def forget(self, name: str) -> None:
        """Nothing waits there now, or it is not looked at."""
        self._spans.pop(name, None)

    def look(self, name: str, ports: frozenset[int], main: int, after: float, asked: float | None) -> Fault | None:
        """One look at a server in whose queue somebody waits; the fault as soon as it is proven.

        ``main`` is its main process, ``after`` the seconds that are proof, ``asked`` when the probe that has no answer
        yet was asked (None: none is under way).
        """
        now = self._clock()
        sample = take(ports, main)
        if sample is None:
            self.forget(name)
            return None
        span = self._spans.get(name)
        if span is None or not self._holds(span, sample, now):
            self._spans[name] = _Span(now, sample, sample.waiting)
            return None
        span.waiting, span.looks = sample.waiting, span.looks + 1
        took = now - span.since
        if took < after or span.looks < LOOKS or asked is None or now - asked < ASKED_FOR:
            return None
        words = f"{len(sample.waiting)} connections wait, none was heard for {took:.2g} s, nobody else is connected,"
        words += " and no thread of it does anything: the acceptor hangs"
        used = sample.used - span.first.used
        proof = f"{used:.2g} s of processor time in {took:.2g} s, a probe without an answer for {now - asked:.2g} s"
        return Fault("acceptor-stalled", Kind.RESOURCE, words, proof)

    def _holds(self, span: _Span, sample: Sample, now: float) -> bool:
        took = now - span.since
        return (
            span.waiting <= sample.waiting
            and span.first.processors.keys() == sample.processors.keys()
            and sample.used - span.first.used <= IDLE * took + _TICK
            and self._lost(span.since, now) <= ABSENT * took
        )


def take(ports: frozenset[int], main: int) -> Sample | None:
    """A look at a server that may be stalled; None when it is not, or nothing can be proven."""
    try:
        processors = _processors(main)  # first, for a busy server is known by it, and it costs less
        found = queued(ports, MOST_CONNECTIONS) if processors is not None else None
    except (OSError, ValueError):
        return None
    if found is None or processors is None:
        return None
    waiting, heard = found
    return Sample(frozenset(waiting), processors) if waiting and not heard else None


def _processors(main: int) -> dict[int, float] | None:
    """Processor time of the main process and all below it; None when a thread is at work, or there are too many."""
    found: dict[int, float] = {}
    waiting, tasks = [main], 0
    while waiting:
        pid = waiting.pop()
        for name in os.listdir(f"/proc/{pid}/task"):
            tasks += 1
            if tasks > MOST_TASKS or _stat(f"/proc/{pid}/task/{name}/stat")[0] in (b"R", b"D", b"t"):
                return None
        fields = _stat(f"/proc/{pid}/stat")
        if fields[0] != b"Z":
            found[pid] = (int(fields[11]) + int(fields[12])) * _TICK
        waiting += children(pid)
    return found


def _stat(path: str) -> list[bytes]:
    """The fields of a ``stat`` from the state letter on. Raises ``OSError`` when it is gone."""
    with open(path, "rb", buffering=0) as file:
        data = file.read(1024)
    return data[data.rindex(b")") + 2 :].split()
