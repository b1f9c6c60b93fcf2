"""A world without time: the machine, its clock, an executor, a clusterware, a server and its faults.

:class:`Bench` drives the machine alone: whoever holds it sends events, time passes only when told, and each deadline is
kept as the engine keeps it. :class:`World` puts a server, a prober and an executor with manners of its own around it.
Both watch every promise in every turn.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cluster_glue.recovery.machine import next_deadline, resume, step
from cluster_glue.recovery.model import (
    Action,
    Answered,
    Ask,
    Cancel,
    Died,
    Done,
    Escalate,
    Event,
    Failed,
    Found,
    HandedOver,
    Order,
    Permitted,
    Phase,
    Renewed,
    Run,
    StartAsked,
    State,
    Ticked,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE, Policy
from ocf.faults import Fault, Kind
from tests.promises import Promises

KILLED = Fault("killed", Kind.RESOURCE, "its main process was killed by SIGKILL")
SILENT = Fault("no-answer", Kind.RESOURCE, "it accepts but never answers")
BROKEN = Fault("syntax-error", Kind.CONFIGURATION, "syntax error on line 7")
NO_START = Fault("start-failed", Kind.RESOURCE, "it ended at once")
STUCK = Fault("unkillable", Kind.RESOURCE, "a process in state D is left")
DISK = Fault("disk-failing", Kind.HOST, "the file system is read-only")


class Bench:
    """The machine on a bench. ``orders`` are those since they were last taken."""

    def __init__(self, policy: Policy | None = None, state: State | None = None, now: float = 0.0) -> None:
        self.policy = policy or Policy()
        self.state = state or State()
        self.now = now
        self.orders: list[Order] = []
        asked = {Wanted.UP: "start", Wanted.DOWN: "stop", Wanted.UNKNOWN: ""}[self.state.wanted]
        self.promises = Promises(self.policy, asked=asked)

    def phase(self) -> Phase:
        """Where it is now."""
        return self.state.phase

    def send(self, event: Event) -> tuple[Order, ...]:
        """One event, now."""
        before = self.state
        self.state, orders = step(before, event, self.now, self.policy)
        self.promises.watch(before, event, self.now, self.state, orders)
        self.orders += orders
        return orders

    def until(self, time: float) -> None:
        """Let time pass, keeping every deadline on the way."""
        while (due := next_deadline(self.state)) is not None and due <= time:
            self.now = max(self.now, due)
            self.send(Ticked())
        self.now = max(self.now, time)

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.until(self.now + seconds)

    def done(self, fault: Fault | None = None) -> tuple[Order, ...]:
        """The action in flight ends."""
        return self.send(Done(self.state.action, fault))

    def permit(self, refusal: str = "") -> tuple[Order, ...]:
        """The clusterware answers the question in flight."""
        return self.send(Permitted(self.state.action, refusal))

    def reborn(self) -> tuple[Order, ...]:
        """The daemon is killed and started again."""
        self.promises.reborn(self.state)
        self.state, orders = resume(self.state, self.now, self.policy)
        self.promises.watch(self.state, Found(True), self.now, self.state, orders)
        self.orders += orders
        return orders

    def take(self) -> list[Order]:
        """The orders since the last call."""
        orders, self.orders = self.orders, []
        return orders


def serving(policy: Policy | None = None) -> Bench:
    """A bench with a server that is up since time 0."""
    bench = Bench(policy)
    bench.send(StartAsked("the test"))
    bench.done()
    assert bench.phase() is Phase.UP
    bench.take()
    return bench


@dataclass
class Server:
    """A server with its faults. ``takes``: seconds per answer, None when it hangs. ``starts``: how each start ends."""

    running: bool = False
    takes: float | None = 0.01
    starts: Iterator[Fault | None] = field(default_factory=lambda: itertools.repeat(None))
    hangs_again: bool = False
    broken: bool = False
    stuck: bool = False


class Killed(Exception):
    """The daemon is killed here."""


class World:
    """The machine with a server. ``manners`` say how each action is answered: ok, late, wrong, never."""

    def __init__(
        self,
        policy: Policy,
        server: Server | None = None,
        manners: Iterator[str] | None = None,
        duration: float = 0.5,
        kill_after: int | None = None,
        refusal: Callable[[float], str | None] = lambda now: "",
    ) -> None:
        self.bench = Bench(policy)
        self.policy, self.server, self.duration, self.refusal = policy, server or Server(), duration, refusal
        self.manners = manners or itertools.repeat("ok")
        self.orders_left = kill_after
        self.handed_over: list[tuple[float, int]] = []
        self.history: list[tuple[float, Order]] = []
        self._agenda: list[tuple[float, int, Event | Callable[[], None]]] = []
        self._order = itertools.count()
        self._life = 0
        if policy.probe_interval:
            self.at(0.0, self._probe)
        if policy.lease:
            self.at(0.0, self._monitor)

    @property
    def state(self) -> State:
        return self.bench.state

    def at(self, time: float, what: Event | Callable[[], None]) -> None:
        """Let this happen at ``time``."""
        heapq.heappush(self._agenda, (time, next(self._order), what))

    def run(self, until: float) -> None:
        """Let the world turn until then."""
        while True:
            soon = self._agenda[0][0] if self._agenda else until
            due = next_deadline(self.state)
            if due is not None and due <= min(soon, until):
                self.bench.now = max(self.bench.now, due)
                self._turn(Ticked())
            elif not self._agenda or soon > until:
                break
            else:
                time, _, what = heapq.heappop(self._agenda)
                self.bench.now = max(self.bench.now, time)
                what() if callable(what) else self._turn(what)
        self.bench.now = max(self.bench.now, until)

    def kill(self) -> None:
        """The server's main process is killed now."""
        if self.server.running:
            self.server.running = False
            self._turn(Died(KILLED))

    def _turn(self, event: Event) -> None:
        try:
            self._obey(self.bench.send(event))
        except Killed:
            self._life += 1  # what its threads and timers had to say is not heard any more
            orders = self.bench.reborn()
            self._obey(orders)
            self._turn(Found(self.server.running))

    def _obey(self, orders: tuple[Order, ...]) -> None:
        for order in orders:
            if self.orders_left == 0:
                self.orders_left = None
                raise Killed
            if self.orders_left is not None:
                self.orders_left -= 1
            self.history.append((self.bench.now, order))
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        now = self.bench.now
        match order:
            case Run():
                self._act(order)
            case Cancel(number):
                self._later(now + 0.05, Done(number, Fault("unknown", Kind.OURS, "called off")))
            case Ask(number):
                answer = self.refusal(now)
                if answer is not None:
                    self._later(now + self.policy.ask_timeout, Permitted(number, answer))
            case Escalate(_, _, incident):
                if not any(incident == known for _, known in self.handed_over):
                    self.handed_over.append((now, incident))
                self._later(now, HandedOver(incident))

    def _act(self, order: Run) -> None:
        now, manner = self.bench.now, next(self.manners)
        fault = self._do(order.action)
        if manner == "ok":
            self._later(now + min(self.duration, order.timeout), Done(order.number, fault))
        elif manner == "late":
            self._later(now + order.timeout + GRACE + 1, Done(order.number, fault))
        elif manner == "wrong":
            self._later(now + self.duration, Done(order.number - 1, fault))
            self._later(now + self.duration, Done(order.number + 1, fault))

    def _do(self, action: Action) -> Fault | None:
        server = self.server
        if action is Action.STOP:
            server.running = server.running and server.stuck
            return STUCK if server.stuck else None
        if server.broken:
            return BROKEN
        if action is Action.START and not server.running:
            fault = next(server.starts)
            server.running = fault is None
            server.takes = None if server.hangs_again else 0.01
            return fault
        return None

    def _later(self, time: float, event: Event) -> None:
        life = self._life
        self.at(time, lambda: self._turn(event) if life == self._life else None)

    def _probe(self) -> None:
        """Ask the server as the prober does; look at the process where only that counts."""
        now, state, policy = self.bench.now, self.state, self.policy
        spent = 0.0
        if state.phase in (Phase.UP, Phase.OBSERVING, Phase.WAITING):
            if not self.server.running or state.dead:
                self._later(now, Found(self.server.running))
            elif self.server.takes is None:
                spent = policy.probe_timeout
                self._later(now + spent, Failed(SILENT))
            else:
                self._later(now + self.server.takes, Answered(self.server.takes))
        doubt = state.failures or (spent and state.phase is Phase.UP)
        self.at(now + spent + (policy.retry_interval if doubt else policy.probe_interval), self._probe)

    def _monitor(self) -> None:
        self._turn(Renewed())
        self.at(self.bench.now + self.policy.lease / 3, self._monitor)
