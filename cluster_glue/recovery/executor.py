"""Carrying out ``Run`` orders: one thread per action, one action at a time per resource, an answer in any case."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster_glue.recovery.model import Action, Run
from ocf.faults import Fault, Kind, unknown
from resource_agents.cgroups import Cgroup
from resource_agents.checking import check, reload
from resource_agents.families import Remembered, members
from resource_agents.patience import Cancelled, Patience
from resource_agents.processes import Identity, send
from resource_agents.server import Server
from resource_agents.starting import obstacle, start
from resource_agents.stopping import stop

#: Seconds after a stop in which a start need not look for what runs already.
JUST_NOW = 1.0

#: No stop.
NEVER = (-1, 0.0)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an action ended: ``remembered`` is what runs now, ``server`` has its configuration as read last."""

    number: int
    action: Action
    fault: Fault | None
    remembered: Remembered | None
    server: Server
    adopted: bool = False
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Flight:
    number: int
    patience: Patience
    thread: threading.Thread


class Executor:
    """The hands of one resource. From another thread, ``report`` gets an :class:`Ended`, exactly once a run, and
    ``launched`` what a start has spawned, at once.
    """

    def __init__(
        self,
        make: Callable[[], Server],
        group: Cgroup | None,
        output: Path,
        report: Callable[[Ended], None],
        launched: Callable[[Remembered], None] = lambda _: None,
    ) -> None:
        self.make = make
        self._group = group
        self.output = output
        self._report = report
        self._launched = launched
        self.mandate = ""  # a file without which nothing may be done
        self.witness: Callable[[], None] = lambda: None  # lets somebody look at what a kill would take away
        self.drain_wait = 0.0  # seconds that a load balancer gets to notice, before a stop that was asked for
        self._flight: _Flight | None = None
        self._swept = NEVER  # the latest stop that left nothing: its number, and when
        self._spared: Identity | None = None

    def run(self, order: Run, server: Server, remembered: Remembered | None) -> None:
        """Begin an action; one that is still in flight is called off, and awaited first.

        Raises ``OSError`` or ``RuntimeError`` where no descriptor or no thread is left: nothing has begun then.
        """
        patience = Patience(order.timeout, self.mandate)
        before = self._flight
        if before is not None:
            before.patience.cancel()
        thread = threading.Thread(
            target=self._fly, args=(order, server, remembered, patience, before), name=order.action.value, daemon=True
        )
        thread.start()
        self._flight = _Flight(order.number, patience, thread)

    def cancel(self, number: int) -> None:
        """Call action ``number`` off; its end is still reported."""
        if self._flight is not None and self._flight.number == number:
            self._flight.patience.cancel()

    def _fly(
        self, order: Run, server: Server, remembered: Remembered | None, patience: Patience, before: _Flight | None
    ) -> None:
        try:
            if before is not None:
                before.thread.join(patience.left() / 2)  # the other half is for the action itself
            ended = self._do(order, server, remembered, patience)
        except Cancelled:
            fault = unknown(f"{order.action.value} was called off", Kind.OURS)
            ended = Ended(order.number, order.action, fault, remembered, server)
        except Exception as error:  # whatever it is, the machine waits for an answer
            fault = unknown(f"{order.action.value} broke off: {type(error).__name__}: {error}")
            ended = Ended(order.number, order.action, fault, remembered, server)
        self._report(ended)

    def _cured(self, server: Server, remembered: Remembered | None) -> bool:
        """Try the server's cheaper cure of a stall, once for each main process: the start that follows adopts it."""
        if type(server).cheaper_cure is Server.cheaper_cure:
            return False
        family = members(server, remembered, self._group)
        main = next((process for process in family if server.is_main(process)), None)
        if main is None or main.identity == self._spared:
            return False
        self._spared = main.identity
        reached = [send(process.identity, signal.SIGKILL) for process in server.cheaper_cure(family)]
        return any(reached)

    def _do(self, order: Run, server: Server, remembered: Remembered | None, patience: Patience) -> Ended:
        if order.action is Action.STOP and not order.gentle:
            with suppress(Exception):  # whoever looks on must never keep a repair from being made
                self.witness()
        if order.action is Action.STOP and not order.gentle and self._cured(server, remembered):
            return Ended(order.number, order.action, None, remembered, server, notes=("worker replaced",))
        if order.action is Action.STOP:
            if order.gentle and remembered is not None:
                patience.pause(self.drain_wait)
            fault, notes = stop(server, remembered, self._group, patience, order.gentle)
            self._swept = (order.number, time.monotonic()) if fault is None else NEVER
            return Ended(order.number, order.action, fault, None if fault is None else remembered, server, notes=notes)
        if order.action is Action.START:
            (number, at), self._swept = self._swept, NEVER
            swept = number == order.number - 1 and time.monotonic() - at < JUST_NOW
            started = start(self.make, server, remembered, self._group, self.output, patience, swept, self._launched)
            now = started.server or server
            self._spared = None if started.fault is None else self._spared
            return Ended(
                order.number, order.action, started.fault, started.remembered, now, started.adopted, started.notes
            )
        fresh = self.make()
        if order.action is Action.CHECK:
            fault = obstacle(fresh, remembered, self._group) or check(fresh, patience)
        else:
            fault = reload(fresh, remembered, patience)
        return Ended(order.number, order.action, fault, remembered, fresh if fault is None else server)
