"""The recovery machine: ``step(state, event, now, policy) -> (state, orders)``.

Pure: it reads no clock, starts nothing, logs nothing. The same state, event, time and policy give the same orders, so a
year is simulated in seconds and every promise of the design is a test (``tests/unit/test_machine_promises.py``).

The rules, in short:

* only a start or a stop that was asked for changes what is wanted; nothing is done while that is unknown;
* at most one action is in flight, and its end is awaited (or its deadline) before the next one begins;
* every phase is final, in flight, or has a deadline;
* a failed stop is never followed by a start.

Here are the clock and the switch. What each event means is said where it belongs: :mod:`asked` (by people and
clusters), :mod:`sensed` (by sensors), :mod:`ended` (by actions), and what is done about a fault in :mod:`repair`.
An event that changes nothing gives back the very same state, so that nothing needs to be saved.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery import asked, ended, sensed
from cluster_glue.recovery.model import (
    IN_FLIGHT,
    Action,
    Answered,
    Ask,
    Cleared,
    ConfigurationChanged,
    Died,
    Done,
    Escalate,
    Event,
    Failed,
    Found,
    HandedOver,
    Order,
    Paused,
    Permitted,
    Phase,
    ReloadAsked,
    Renewed,
    RestartAsked,
    Resumed,
    Run,
    StartAsked,
    State,
    Step,
    StopAsked,
    Tell,
    Ticked,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE, Policy
from cluster_glue.recovery.repair import check_configuration, lapsed, observe, refused, repair, timeout_of
from ocf.faults import unknown


def step(state: State, event: Event, now: float, policy: Policy) -> Step:
    """The state after ``event`` at ``now``, and the orders that lead there, to be carried out in their order."""
    state, told = _pass_time(state, now, policy)
    state, orders = _take(state, event, now, policy)
    if told or len(orders) > 1:
        return state, tuple(sorted(told + orders, key=_turn))
    return state, orders


def resume(state: State, now: float, policy: Policy) -> Step:
    """The orders that a machine which was interrupted in ``state`` must give again; actions are idempotent.

    What may have become forbidden while nobody was there is not taken up again. A look at the machine
    (:class:`Found`) shall follow in any case.
    """
    if state.cancelled:
        return ended.done(state, unknown("it was interrupted"), now, policy)
    action = IN_FLIGHT.get(state.phase)
    owed = state.phase is Phase.FAILED and state.owed
    acts = action in (Action.START, Action.STOP) and state.wanted is not Wanted.DOWN
    if owed or acts or state.phase is Phase.ASKING:
        refusal = lapsed(state, now, policy) if state.planned else refused(state, now, policy)
        if refusal:
            return observe(state, now, refusal)
    if state.phase is Phase.ASKING:
        return replace(state, deadline=now + policy.ask_timeout + GRACE), (Ask(state.action, policy.ask_timeout),)
    if owed:
        fault = state.fault or unknown(state.reason)
        return state, (Escalate(policy.on_exhausted, fault, state.incident),)
    if action is None:
        return state, ()
    timeout = timeout_of(action, policy)
    return replace(state, deadline=now + timeout + GRACE), (
        Run(action, state.action, timeout, state.gentle, state.reason),
    )


def next_deadline(state: State) -> float | None:
    """When the machine wants to be asked next even if nothing happens; None: never."""
    times = [time for time in (state.deadline, state.paused_until) if time is not None]
    return min(times, default=None)


def _turn(order: Order) -> int:
    """Hands before words, so that nothing is said while a server is down; but a hand-over is announced first."""
    return {Tell: 1, Escalate: 2}.get(type(order), 0)


def _pass_time(state: State, now: float, policy: Policy) -> Step:
    """What time alone changes: restarts leave the window, a run becomes stable, a pause ends."""
    if state.restarts and now - state.restarts[0] >= policy.restart_window:
        state = replace(state, restarts=tuple(time for time in state.restarts if now - time < policy.restart_window))
    if state.phase is Phase.UP and state.deadline is not None and now >= state.deadline:
        state = replace(state, tries=0, deadline=None)
    if state.paused_until is not None and now >= state.paused_until:
        deadline = now if state.phase is Phase.OBSERVING else state.deadline
        told = Tell("resumed", "the pause ended by itself", state.incident)
        return replace(state, paused_until=None, deadline=deadline), (told,)
    return state, ()


def _take(state: State, event: Event, now: float, policy: Policy) -> Step:
    match event:
        case Answered(took):
            return sensed.answered(state, took, now, policy)
        case Failed(fault, hard):
            return sensed.failed(state, fault, hard, now, policy)
        case Died(fault):
            return sensed.died(state, fault, now, policy)
        case Found(running, fault):
            return sensed.found(state, running, fault, now, policy)
        case ConfigurationChanged():
            return sensed.configuration_changed(state, now, policy)
        case Done(number, fault) if number == state.action and state.phase in IN_FLIGHT:
            return ended.done(state, fault, now, policy)
        case Permitted(number, refusal) if number == state.action and state.phase is Phase.ASKING:
            return ended.permitted(state, refusal, now, policy)
        case HandedOver(incident) if state.owed and incident == state.incident:
            return replace(state, owed=False), ()
        case StartAsked(by):
            return asked.start(state, by, now, policy)
        case StopAsked(by):
            return asked.stop(state, by, now, policy)
        case RestartAsked(by):
            return asked.restart(state, by, now, policy)
        case ReloadAsked(by):
            return asked.reload(state, by, now, policy)
        case Cleared(by):
            return asked.clear(state, by, now, policy)
        case Paused(until, reason, by):
            return asked.pause(state, until, reason, by)
        case Resumed(by):
            return asked.resume(state, by, now, policy)
        case Renewed():
            return asked.renew(state, now, policy)
        case Ticked() if state.deadline is not None and now >= state.deadline:
            return _due(state, now, policy)
    return state, ()


def _due(state: State, now: float, policy: Policy) -> Step:
    """The deadline of this phase is reached. (UP's is taken by :func:`_pass_time`.)

    When it is long over, everybody slept (a suspended machine, a stopped daemon): what is in flight gets a little more.
    """
    slept = state.deadline is not None and now - state.deadline > GRACE
    if slept and (state.phase in IN_FLIGHT or state.phase is Phase.ASKING):
        return replace(state, deadline=now + GRACE), ()
    match state.phase:
        case Phase.WAITING | Phase.OBSERVING:
            return repair(state, now, policy)
        case Phase.MISCONFIGURED:
            return check_configuration(state, now, policy, "looking again at the configuration")
        case Phase.BLOCKED:
            return check_configuration(state, now, policy, "looking whether its way is free")
        case Phase.ASKING:
            return observe(state, now, "the clusterware did not answer in time")
    return ended.lost(state, now, policy)


__all__ = ["next_deadline", "resume", "step"]
