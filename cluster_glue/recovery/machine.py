"""The recovery machine: ``step(state, event, now, policy) -> (state, orders)``.

Pure: it reads no clock, starts nothing, logs nothing. The same state, event, time and policy give the same orders, so a
year is simulated in a minute and every promise of the design is a test (``tests/unit/test_machine_promises.py``).

The rules, in short:

* only a start or a stop that was asked for changes what is wanted; nothing is done while that is unknown;
* at most one action is in flight, and its end is awaited (or its deadline) before the next one begins;
* every phase is final, in flight, or has a deadline;
* a failed stop is never followed by a start.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery.model import (
    IN_FLIGHT,
    Action,
    Answered,
    Ask,
    Cancel,
    Cleared,
    ConfigurationChanged,
    Died,
    Done,
    Event,
    Failed,
    Found,
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
)  # fmt: skip
from cluster_glue.recovery.policy import GRACE, Policy
from cluster_glue.recovery.repair import (
    enter,
    give_up_stopping,
    observe,
    proceed,
    refused,
    repair,
    run,
    timeout_of,
    trouble,
    up,
)  # fmt: skip
from ocf.faults import Fault, Kind, unknown


def step(state: State, event: Event, now: float, policy: Policy) -> Step:
    """The state after ``event`` at ``now``, and the orders that lead there, to be carried out in their order."""
    state, told = _pass_time(state, now, policy)
    match event:
        case StartAsked(by):
            state, orders = _start_asked(state, by, now, policy)
        case StopAsked(by):
            state, orders = _stop_asked(state, by, now, policy)
        case RestartAsked(by):
            state, orders = _restart_asked(state, by, now, policy)
        case ReloadAsked(by):
            state, orders = _reload_asked(state, by, now, policy)
        case Cleared(by):
            state, orders = _cleared(state, by, now, policy)
        case Paused(until, reason, by):
            words = f"by {by}" + (f": {reason}" if reason else "")
            state, orders = replace(state, paused_until=until), (Tell("paused", words, state.incident),)
        case Resumed(by):
            told += (Tell("resumed", f"by {by}", state.incident),) if state.paused_until is not None else ()
            state, orders = _look_again(replace(state, paused_until=None), now, policy)
        case Renewed():
            state, orders = _look_again(replace(state, lease_until=now + policy.lease), now, policy)
        case Died(fault):
            state, orders = _died(state, fault, now, policy)
        case Failed(fault, hard):
            state, orders = _failed(state, fault, hard, now, policy)
        case Answered(took):
            state, orders = _answered(state, took, now, policy)
        case Done(number, fault) if number == state.action and state.phase in IN_FLIGHT:
            state, orders = _done(state, fault, now, policy)
        case Permitted(number, refusal) if number == state.action and state.phase is Phase.ASKING:
            state, orders = _permitted(state, refusal, now, policy)
        case ConfigurationChanged() if state.phase is Phase.MISCONFIGURED:
            state, orders = run(state, Phase.CHECKING, Action.CHECK, now, policy, "the configuration changed")
        case Found(running, fault):
            state, orders = _found(state, running, fault, now, policy)
        case Ticked() if state.deadline is not None and now >= state.deadline:
            state, orders = _due(state, now, policy)
        case _:
            orders = ()
    return state, told + orders


def resume(state: State, now: float, policy: Policy) -> Step:
    """The orders that a machine which was interrupted in ``state`` must give again; actions are idempotent."""
    action = IN_FLIGHT.get(state.phase)
    if action is not None:
        timeout = timeout_of(action, policy)
        return replace(state, deadline=now + timeout + GRACE), (
            Run(action, state.action, timeout, state.gentle, state.reason),
        )
    if state.phase is Phase.ASKING:
        return replace(state, deadline=now + policy.ask_timeout + GRACE), (Ask(state.action, policy.ask_timeout),)
    return state, ()


def next_deadline(state: State) -> float | None:
    """When the machine wants to be asked next even if nothing happens; None: never."""
    times = [time for time in (state.deadline, state.paused_until) if time is not None]
    return min(times, default=None)


def _pass_time(state: State, now: float, policy: Policy) -> Step:
    """What time alone changes: restarts leave the window, a pause ends."""
    state = replace(state, restarts=tuple(time for time in state.restarts if now - time < policy.restart_window))
    if state.paused_until is not None and now >= state.paused_until:
        state = replace(state, paused_until=None)
        if state.phase is Phase.OBSERVING:
            state = replace(state, deadline=now)
        return state, (Tell("resumed", "the pause ended by itself", state.incident),)
    return state, ()


def _start_asked(state: State, by: str, now: float, policy: Policy) -> Step:
    lease = now + policy.lease if policy.lease else None
    state = replace(state, wanted=Wanted.UP, lease_until=lease)
    if state.phase in IN_FLIGHT or state.phase is Phase.UP:
        return state, ()
    if state.phase is Phase.FAILED:
        state = replace(state, restarts=(), tries=0, incident=0, fault=None)
    state, orders = run(replace(state, planned=True), Phase.STARTING, Action.START, now, policy, f"start asked by {by}")
    return state, (*orders, Tell("starting", state.reason, state.incident))


def _stop_asked(state: State, by: str, now: float, policy: Policy) -> Step:
    state = replace(state, wanted=Wanted.DOWN, planned=False)
    reason = f"stop asked by {by}"
    if state.phase is Phase.STOPPING:
        return replace(state, reason=reason), ()
    if state.phase is Phase.CLEARING:
        return replace(state, phase=Phase.STOPPING, reason=reason), (Tell("stopping", reason, state.incident),)
    if state.phase in IN_FLIGHT:
        return replace(state, reason=reason, deadline=now + GRACE), (
            Cancel(state.action),
            Tell("stopping", reason, state.incident),
        )
    return _stop(state, reason, now, policy)


def _stop(state: State, reason: str, now: float, policy: Policy) -> Step:
    state, orders = run(state, Phase.STOPPING, Action.STOP, now, policy, reason, gentle=True)
    return state, (*orders, Tell("stopping", reason, state.incident))


def _restart_asked(state: State, by: str, now: float, policy: Policy) -> Step:
    if state.phase is not Phase.UP:
        return _start_asked(state, by, now, policy)
    state = replace(state, wanted=Wanted.UP, planned=True)
    return run(state, Phase.CHECKING, Action.CHECK, now, policy, f"restart asked by {by}")


def _reload_asked(state: State, by: str, now: float, policy: Policy) -> Step:
    if state.phase is not Phase.UP:
        return state, (Tell("reload-refused", f"it is {state.phase.value}", state.incident),)
    return run(state, Phase.RELOADING, Action.RELOAD, now, policy, f"reload asked by {by}")


def _cleared(state: State, by: str, now: float, policy: Policy) -> Step:
    failed = state.phase is Phase.FAILED
    state = replace(state, restarts=(), tries=0)
    told = (Tell("cleared", f"by {by}", state.incident),)
    if not failed:
        return state, told
    state = replace(enter(state, Phase.IDLE, now, f"cleared by {by}"), incident=0, fault=None)
    if state.wanted is not Wanted.UP or refused(state, now, policy):
        return state, told
    state, orders = run(replace(state, planned=True), Phase.STARTING, Action.START, now, policy, f"cleared by {by}")
    return state, told + orders


def _look_again(state: State, now: float, policy: Policy) -> Step:
    if state.phase is not Phase.OBSERVING or refused(state, now, policy):
        return state, ()
    return repair(state, now, policy)


def _died(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    match state.phase:
        case Phase.UP if state.wanted is Wanted.UP:
            return trouble(state, fault, now, policy, dead=True)
        case Phase.UP:
            return enter(state, Phase.IDLE, now, fault.reason), (Tell("gone", fault.reason, 0, fault),)
        case Phase.CHECKING | Phase.RELOADING | Phase.OBSERVING:
            return replace(state, fault=fault, dead=True), ()
        case Phase.ASKING:
            return replace(state, fault=state.fault or fault, dead=True), ()
    return state, ()


def _failed(state: State, fault: Fault, hard: bool, now: float, policy: Policy) -> Step:
    if fault.kind is Kind.OURS or state.phase is not Phase.UP or state.wanted is not Wanted.UP:
        return state, ()
    if fault.kind in (Kind.DEPENDENCY, Kind.CONFIGURATION):
        news = state.fault is None or state.fault.cause != fault.cause
        return replace(state, fault=fault), (Tell("degraded", fault.reason, 0, fault),) if news else ()
    failures = state.failures + 1
    if hard or failures >= policy.failure_threshold:
        return trouble(state, fault, now, policy, dead=False)
    told = (Tell("suspect", fault.reason, 0, fault),) if failures == 1 else ()
    return replace(state, failures=failures, successes=0), told


def _answered(state: State, took: float, now: float, policy: Policy) -> Step:
    if state.phase is Phase.OBSERVING and not state.dead and state.wanted is Wanted.UP:
        successes = state.successes + 1
        if successes < policy.success_threshold:
            return replace(state, successes=successes), ()
        return up(state, now, policy, "it answers again by itself")
    if state.phase is not Phase.UP:
        return state, ()
    orders: tuple[Order, ...] = ()
    slow = took > policy.slow_after
    if slow != state.slow:
        orders += (Tell("slow" if slow else "normal", f"answered after {took:.3g} s", 0),)
    if state.failures or state.fault:
        successes = state.successes + 1
        if successes < policy.success_threshold:
            return replace(state, slow=slow, successes=successes), orders
        orders += (Tell("normal", f"answers well again after {state.failures} failed probes", 0),)
    return replace(state, slow=slow, failures=0, successes=0, fault=None), orders


def _done(state: State, fault: Fault | None, now: float, policy: Policy) -> Step:
    wanted_up = state.wanted is Wanted.UP
    match state.phase:
        case Phase.STOPPING | Phase.CLEARING if fault is not None:
            return give_up_stopping(state, fault, now, policy)
        case Phase.STOPPING | Phase.CLEARING if wanted_up:
            return run(state, Phase.STARTING, Action.START, now, policy, state.reason)
        case Phase.STOPPING | Phase.CLEARING:
            told = Tell("stopped", state.reason, state.incident)
            state = enter(state, Phase.IDLE, now, state.reason)
            return replace(state, incident=0, fault=None, dead=False, failures=0, tries=0), (told,)
        case _ if not wanted_up:
            return _stop(state, state.reason, now, policy)
        case Phase.STARTING if fault is None:
            return up(state, now, policy, "it answers")
        case Phase.STARTING:
            return _start_failed(state, fault or unknown("start failed"), now, policy)
        case Phase.RELOADING:
            told = Tell(
                "reloaded" if fault is None else "reload-failed", fault.reason if fault else state.reason, 0, fault
            )
        case _:  # CHECKING
            return _checked(state, fault, now, policy)
    state = enter(state, Phase.UP, now, state.reason)
    return (state, (told,)) if not state.dead else _fall(state, (told,), now, policy)


def _checked(state: State, fault: Fault | None, now: float, policy: Policy) -> Step:
    """The configuration test ended: for a planned restart of what runs, or for a new try of what is down."""
    if state.dead and state.planned:
        return _fall(enter(state, Phase.UP, now, state.reason), (), now, policy)
    if state.planned and fault is None:
        return run(state, Phase.STOPPING, Action.STOP, now, policy, state.reason, gentle=True)
    if state.planned:
        told = Tell("restart-refused", fault.reason if fault else "", 0, fault)
        return replace(enter(state, Phase.UP, now, "kept running: its new configuration is broken"), planned=False), (
            told,
        )
    if fault is None:
        return repair(state, now, policy)
    return enter(replace(state, fault=fault), Phase.MISCONFIGURED, now, fault.reason, policy.restart_wait_max), ()


def _fall(state: State, told: tuple[Order, ...], now: float, policy: Policy) -> Step:
    state, orders = trouble(state, state.fault or unknown("the main process is gone"), now, policy, dead=True)
    return state, told + orders


def _start_failed(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    told: tuple[Order, ...] = ()
    if not state.incident:
        number = state.incidents + 1
        state = replace(state, incident=number, incidents=number)
    told = (Tell("start-failed", fault.reason, state.incident, fault),)
    state = replace(state, fault=fault, dead=True, planned=False)
    if fault.kind is Kind.CONFIGURATION:
        told += (Tell("misconfigured", fault.reason, state.incident, fault),)
        return enter(state, Phase.MISCONFIGURED, now, fault.reason, policy.restart_wait_max), told
    state, orders = repair(state, now, policy)
    return state, told + orders


def _permitted(state: State, refusal: str, now: float, policy: Policy) -> Step:
    refusal = refusal or refused(state, now, policy)
    return observe(state, now, refusal) if refusal else proceed(state, now, policy)


def _found(state: State, running: bool, fault: Fault | None, now: float, policy: Policy) -> Step:
    if state.phase is Phase.UP and not running:
        return _died(state, fault or unknown("the main process is gone"), now, policy)
    waiting = state.phase in (Phase.WAITING, Phase.OBSERVING, Phase.MISCONFIGURED, Phase.IDLE)
    if not waiting or state.wanted is not Wanted.UP:
        return state, ()
    if running and (state.dead or state.phase is Phase.IDLE):
        return up(state, now, policy, "it was found running")
    if not running and state.phase is Phase.IDLE:
        return trouble(state, fault or unknown("it does not run"), now, policy, dead=True)
    return state, ()


def _due(state: State, now: float, policy: Policy) -> Step:
    match state.phase:
        case Phase.UP:
            return replace(state, tries=0, deadline=None), ()
        case Phase.WAITING:
            return repair(state, now, policy)
        case Phase.OBSERVING:
            refusal = refused(state, now, policy)
            return observe(state, now, refusal) if refusal else repair(state, now, policy)
        case Phase.MISCONFIGURED:
            return run(state, Phase.CHECKING, Action.CHECK, now, policy, "looking again at the configuration")
        case Phase.ASKING:
            return observe(state, now, "the clusterware did not answer in time")
    lost = unknown(f"{IN_FLIGHT[state.phase].value} did not end in time", Kind.RESOURCE)
    return _done(state, lost, now, policy)


__all__ = ["next_deadline", "resume", "step"]
