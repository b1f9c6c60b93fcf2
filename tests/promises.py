"""The promises of the design, watched from outside: given each turn of the machine, none may be broken.

Knows events and orders only (and of the state what anybody can see in ``koboshi status``), so that a mistake inside the
machine does not hide itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster_glue.recovery.machine import next_deadline
from cluster_glue.recovery.model import (
    IN_FLIGHT,
    Action,
    Answered,
    Ask,
    Cancel,
    Cleared,
    Done,
    Escalate,
    Event,
    Failed,
    Order,
    Paused,
    Permitted,
    Phase,
    RestartAsked,
    Resumed,
    Run,
    StartAsked,
    State,
    StopAsked,
    Tell,
    Ticked,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE, Policy
from ocf.faults import Kind

#: Transitions; saying the same again without a word between would be a repetition. (Who asks twice is answered twice.)
TRANSITIONS = {"fell", "suspect", "slow", "degraded", "observing", "waiting", "misconfigured", "exhausted", "hopeless"}


@dataclass
class Promises:
    """Watches one resource. Raises ``AssertionError`` in the turn that breaks a promise."""

    policy: Policy
    flight: Run | None = None
    void: float = 0.0  # when the action in flight stops to count
    asked: str = ""
    stop_due: float | None = None
    stop_failed: bool = False
    handed_over: bool = False
    paused: float | None = None
    restarts: list[float] = field(default_factory=list)
    known: set[int] = field(default_factory=set)  # numbers of orders, which an interruption may repeat
    own_starts: int = 0
    own_restarts: int = 0
    last_told: Tell | None = None

    def watch(self, before: State, event: Event, now: float, after: State, orders: tuple[Order, ...]) -> None:
        """One turn: all promises that can be seen in it."""
        self._hear(before, event, now, after)
        self._never_wedged(before, event, now, after)
        self._stop_in_time(now, orders)
        for order in orders:
            match order:
                case Run():
                    self._one_in_flight(order, now)
                    self._not_after_a_hand_over(order)
                    if order.action is not Action.CHECK:
                        self._allowed(event, now, before, after, order)
                case Cancel(number):
                    assert self.flight is not None and self.flight.number == number, "cancelled what is not in flight"
                    self.void = min(self.void, now + GRACE)
                case Ask():
                    self._not_after_a_hand_over(order)
                    assert not self._held(now), "asked while paused"
                case Escalate():
                    self._not_after_a_hand_over(order)
                    assert not self._held(now), "handed over while paused"
                    assert self.asked == "start", "handed over what nobody wants up"
                    assert order.incident, "handed over without an incident"
                    self.handed_over = True
                case Tell():
                    repeated = self.last_told == order and order.message in TRANSITIONS
                    assert not repeated, f"said twice: {order}"
                    self.last_told = order
        self._harmless(event, orders)

    def reborn(self, state: State) -> None:
        """The daemon was killed and started again: its executor, and what was in flight, is gone."""
        self.flight = None
        self.handed_over = self.handed_over and not state.owed

    def _hear(self, before: State, event: Event, now: float, after: State) -> None:
        lost = before.phase in (Phase.CLEARING, Phase.STOPPING) and isinstance(event, Ticked)
        if lost and after.phase not in (Phase.CLEARING, Phase.STOPPING):
            self.stop_failed = True
        match event:
            case Done(number, fault) if self.flight is not None and self.flight.number == number:
                if self.flight.action is Action.STOP:
                    self.stop_failed = fault is not None
                self.flight = None
            case StartAsked() | RestartAsked():
                self.asked, self.stop_due, self.stop_failed, self.handed_over = "start", None, False, False
                if before.phase is Phase.FAILED:
                    self.restarts.clear()
            case Cleared():
                self.restarts.clear()
                self.stop_failed = self.handed_over = False
            case StopAsked():
                in_time = self.flight is not None and self.flight.action is Action.STOP
                if self.asked != "stop":
                    self.stop_due = None if in_time else now + GRACE
                self.asked, self.handed_over = "stop", False
            case Paused(until):
                self.paused = until
            case Resumed():
                self.paused = None

    def _never_wedged(self, before: State, event: Event, now: float, after: State) -> None:
        final = {
            Phase.UP: True,
            Phase.FAILED: True,
            Phase.IDLE: after.wanted is not Wanted.UP or before.phase is Phase.IDLE,
        }
        if not final.get(after.phase, False):
            assert after.deadline is not None, f"wedged in {after.phase}"
        due = next_deadline(after)
        if isinstance(event, Ticked) and due is not None:
            assert due > now, f"a tick at {now} leaves the deadline {due}: it would spin"
        if after.phase in IN_FLIGHT:
            assert after.deadline is not None

    def _stop_in_time(self, now: float, orders: tuple[Order, ...]) -> None:
        if any(isinstance(order, Run) and order.action is Action.STOP for order in orders):
            self.stop_due = None
        assert self.stop_due is None or now <= self.stop_due, "a stop was delayed"

    def _one_in_flight(self, order: Run, now: float) -> None:
        free = self.flight is None or now >= self.void
        assert free, f"{order} while {self.flight} is in flight"
        self.flight, self.void = order, now + order.timeout + GRACE

    def _allowed(self, event: Event, now: float, before: State, after: State, order: Run) -> None:
        assert self.asked or order.action is Action.RELOAD, "acted although nobody said what is wanted"
        if order.action is Action.START:
            assert self.asked == "start", "started after a stop was asked"
            assert not self.stop_failed, "started after a failed stop"
        if after.planned or self.asked == "stop" or order.action is Action.RELOAD:
            return
        assert not self._held(now), "acted while paused"
        if self.policy.lease:
            assert after.lease_until is not None and now < after.lease_until, "acted without a lease"
        if order.number in self.known:
            return
        self.known.add(order.number)
        if after.phase is Phase.CLEARING:
            if self.policy.lease:
                assert isinstance(event, Permitted) and not event.refusal, "acted without permission"
            self.own_restarts += 1
            self.restarts = [time for time in self.restarts if now - time < self.policy.restart_window] + [now]
            assert len(self.restarts) <= self.policy.restart_limit, f"over budget: {self.restarts}"
        if order.action is Action.START:
            self.own_starts += 1
            assert self.own_starts <= self.own_restarts, "a start that was not counted"

    def _not_after_a_hand_over(self, order: Order) -> None:
        assert not self.handed_over, f"{order} after a hand-over"

    def _held(self, now: float) -> bool:
        return self.paused is not None and now < self.paused

    def _harmless(self, event: Event, orders: tuple[Order, ...]) -> None:
        said = all(isinstance(order, Tell) for order in orders)
        match event:
            case Answered():
                assert said, "an answer, slow or not, led to an action"
            case Failed(fault) if fault.kind in (Kind.OURS, Kind.DEPENDENCY, Kind.CONFIGURATION):
                assert said, f"{fault.kind} led to an action"
            case Failed(fault) if fault.kind is Kind.HOST:
                assert not any(isinstance(order, Run) for order in orders), "a host fault was restarted"
