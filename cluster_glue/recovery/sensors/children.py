"""Deaths of the children of watched servers: evidence one by one, a fault when they crash in a row.

The process connector tells each death by a signal. Where there is none, or when it had to drop events, the children
that a look finds are compared with those of the look before: a child that vanished is then only "gone".
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from cluster_glue.recovery.model import Failed
from cluster_glue.recovery.sensors.connector import Exit
from cluster_glue.recovery.sensors.status import signal_name
from ocf.faults import Fault, Kind

#: Deaths that are kept as evidence for each server.
MEMORY = 32

#: Signals by which a parent ends children in good order; they are evidence, but count for no crash loop.
POLITE = frozenset(
    {
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)


@dataclass(frozen=True, slots=True)
class ChildDeath:
    """A child ended: by signal number ``signal`` (0: how is not known), at ``when`` on CLOCK_MONOTONIC, seconds."""

    name: str
    pid: int
    signal: int
    when: float

    def __str__(self) -> str:
        return (
            f"child {self.pid} was killed by {signal_name(self.signal)}" if self.signal else f"child {self.pid} is gone"
        )


@dataclass(slots=True)
class _Parent:
    name: str
    limit: int
    window: float
    crashes: deque[float] = field(default_factory=deque)
    deaths: deque[ChildDeath] = field(default_factory=lambda: deque(maxlen=MEMORY))
    children: Set[int] | None = None
    compare: bool = True


class ChildDeaths:
    """Counts deaths of children. ``emit`` gets faults, ``note`` each single death.

    ``connected``: the process connector will tell of deaths (``seen``); else only looks do (``found``).
    """

    def __init__(
        self, emit: Callable[[str, Failed], None], note: Callable[[ChildDeath], None], connected: bool
    ) -> None:
        self._emit = emit
        self._note = note
        self._connected = connected
        self._parents: dict[int, _Parent] = {}
        self._pids: dict[str, int] = {}

    def watch(self, name: str, pid: int, limit: int, window: float) -> None:
        """Count the deaths of children of main process ``pid``: ``limit`` in ``window`` seconds are a fault (0: never).

        Asked again with the same process, it goes on counting.
        """
        if self._pids.get(name) == pid:
            self._parents[pid].limit, self._parents[pid].window = limit, window
            return
        self.forget(name)
        self._pids[name] = pid
        self._parents[pid] = _Parent(name, limit, window, compare=not self._connected)

    def forget(self, name: str) -> None:
        """Watch its children no more, and drop the evidence."""
        pid = self._pids.pop(name, None)
        if pid is not None:
            del self._parents[pid]

    def evidence(self, name: str) -> tuple[ChildDeath, ...]:
        """The latest deaths, oldest first."""
        pid = self._pids.get(name)
        return tuple(self._parents[pid].deaths) if pid is not None else ()

    def seen(self, end: Exit) -> None:
        """The connector tells of a death."""
        parent = self._parents.get(end.parent)
        if parent is None or end.status >= 0:
            return
        death = ChildDeath(parent.name, end.pid, -end.status, end.when)
        parent.deaths.append(death)
        self._note(death)
        if parent.limit and death.signal not in POLITE:
            self._count(parent, death)

    def lost(self) -> None:
        """The connector had to drop events: compare the next look's children with those of the last."""
        for parent in self._parents.values():
            parent.compare = True

    def found(self, name: str, children: Set[int]) -> None:
        """A look found these children; who is missing and was not told of by the connector is gone."""
        pid = self._pids.get(name)
        if pid is None:
            return
        parent = self._parents[pid]
        before, parent.children = parent.children, children
        if not parent.compare or before is None:
            return
        parent.compare = not self._connected
        known = {death.pid for death in parent.deaths}
        for child in sorted(before - children - known):
            death = ChildDeath(name, child, 0, time.monotonic())
            parent.deaths.append(death)
            self._note(death)

    def _count(self, parent: _Parent, death: ChildDeath) -> None:
        parent.crashes.append(death.when)
        while death.when - parent.crashes[0] > parent.window:
            parent.crashes.popleft()
        if len(parent.crashes) < parent.limit:
            return
        parent.crashes.clear()
        words = f"{parent.limit} children were killed by signals within {parent.window:g} s, the last by"
        words += f" {signal_name(death.signal)}"
        self._emit(parent.name, Failed(Fault("child-crash-loop", Kind.RESOURCE, words, str(death)), hard=True))
