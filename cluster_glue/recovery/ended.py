"""How actions and questions end, and what follows.

Pure, as :mod:`machine`, which calls it. What was asked for meanwhile goes first, then what the end itself says. An end
that never comes counts as a failure at the action's deadline.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery.model import IN_FLIGHT, Action, Cancel, Order, Phase, State, Step, Tell, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.repair import (
    blocked,
    check_configuration,
    enter,
    escalate,
    give_up_stopping,
    keep_up,
    misconfigured,
    observe,
    opened,
    proceed,
    refused,
    repair,
    run,
    trouble,
    up,
)
from ocf.faults import Fault, Kind, unknown


def done(state: State, fault: Fault | None, now: float, policy: Policy) -> Step:
    """The action in flight ended; ``fault`` None says that it did what it was told."""
    match state.phase:
        case Phase.STOPPING | Phase.CLEARING if fault is not None:
            return give_up_stopping(state, fault, now, policy)
        case Phase.STOPPING | Phase.CLEARING:
            return _stopped(state, now, policy)
        case _ if state.wanted is Wanted.DOWN:
            return run(state, Phase.STOPPING, Action.STOP, now, policy, state.reason, gentle=True)
        case Phase.STARTING if fault is None:
            return up(state, now, policy, "it answers")
        case _ if state.cancelled and state.planned:  # stop asked, then start asked: both are done, in that order
            return run(state, Phase.STOPPING, Action.STOP, now, policy, state.reason)
        case _ if state.cancelled:  # it died meanwhile
            return trouble(state, state.fault or unknown("the main process is gone"), now, policy, dead=True)
        case Phase.STARTING:
            return _start_failed(state, fault or unknown("the start failed"), now, policy)
        case Phase.RELOADING:
            return _reloaded(state, fault, now, policy)
    return _tested_for_restart(state, fault, now, policy) if state.planned else _tested(state, fault, now, policy)


def lost(state: State, now: float, policy: Policy) -> Step:
    """The action in flight did not end in time: call it off, and go on without it."""
    called_off = () if state.cancelled else (Cancel(state.action),)
    fault = unknown(f"the {IN_FLIGHT[state.phase].value} did not end in time")
    state, orders = done(state, fault, now, policy)
    return state, called_off + orders


def permitted(state: State, refusal: str, now: float, policy: Policy) -> Step:
    """The clusterware answered. What became forbidden meanwhile stays forbidden."""
    refusal = refusal or refused(state, now, policy)
    return observe(state, now, refusal) if refusal else proceed(state, now, policy)


def _stopped(state: State, now: float, policy: Policy) -> Step:
    if state.wanted is not Wanted.UP:
        told = Tell("stopped", state.reason, state.incident)
        state = enter(state, Phase.IDLE, now, state.reason)
        return replace(state, incident=0, fault=None, dead=False, failures=0, slow=False, tries=0), (told,)
    state = replace(state, dead=True)
    refusal = "" if state.planned else refused(state, now, policy)
    if refusal:
        return observe(state, now, refusal)
    return run(state, Phase.STARTING, Action.START, now, policy, state.reason)


def _start_failed(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    state = opened(state)
    told: tuple[Order, ...] = (Tell("start-failed", fault.reason, state.incident, fault),)
    # whoever asked for the start hears how it ended; a server of ours that fell may go where it can run
    elsewhere = policy.on_exhausted == "failover" and not state.planned and not refused(state, now, policy)
    state = replace(state, dead=True, planned=False, tested=False)
    if fault.kind is Kind.CONFIGURATION and elsewhere:
        state, orders = escalate(state, fault, now, policy, f"a restart here cannot help: {fault.reason}")
    elif fault.kind is Kind.CONFIGURATION:
        state, orders = misconfigured(state, fault, now, policy)
    elif _waits(fault, policy) and not refused(state, now, policy):
        state, orders = blocked(state, fault, now, policy)
    else:
        state, orders = repair(replace(state, fault=fault), now, policy)
    return state, told + orders


def _reloaded(state: State, fault: Fault | None, now: float, policy: Policy) -> Step:
    told: tuple[Order, ...]
    if fault is None:
        told = (Tell("reloaded", state.reason),)
        mended = state.fault is not None and state.fault.kind is Kind.CONFIGURATION
        state = replace(state, fault=None if mended else state.fault)
    else:
        told = (Tell("reload-failed", fault.reason, 0, fault),)
        state = _blame_configuration(state, fault)
    if state.planned:
        state, orders = check_configuration(state, now, policy, state.reason)
        return state, told + orders
    words = "it took its configuration anew" if fault is None else f"kept running, the reload failed: {fault.reason}"
    return keep_up(state, now, policy, words), told


def _tested_for_restart(state: State, fault: Fault | None, now: float, policy: Policy) -> Step:
    """The test before a planned restart: what runs is kept when its new configuration would not start."""
    if fault is None:
        state, orders = run(state, Phase.STOPPING, Action.STOP, now, policy, state.reason, gentle=True)
        return state, (*orders, Tell("restarting", state.reason))
    state = keep_up(_blame_configuration(state, fault), now, policy, f"kept running: {fault.reason}")
    return state, (Tell("restart-refused", fault.reason, 0, fault),)


def _blame_configuration(state: State, fault: Fault) -> State:
    return replace(state, fault=fault) if fault.kind is Kind.CONFIGURATION else state


def _tested(state: State, fault: Fault | None, now: float, policy: Policy) -> Step:
    """The test of what could not start: try again only when passing it is news."""
    if not state.dead:
        return up(state, now, policy, "it was found running")
    if state.fault is not None and state.fault.kind in (Kind.HOST, Kind.DEPENDENCY):
        return _looked_at_its_way(state, state.fault, fault, now, policy)
    if fault is None and state.tested:
        return repair(state, now, policy)
    if fault is None or fault.kind is not Kind.CONFIGURATION:  # the test does not see it, or could not look
        return misconfigured(state, state.fault or unknown(state.reason), now, policy)
    return misconfigured(replace(state, tested=True), fault, now, policy)


def _looked_at_its_way(state: State, known: Fault, fault: Fault | None, now: float, policy: Policy) -> Step:
    """The look at what blocked the start: once the way is free, a restart can help again."""
    if fault is None:
        free = replace(known, kind=Kind.RESOURCE, reason=f"its way is free again ({known.reason})")
        return repair(replace(state, fault=free), now, policy)
    if fault.kind is Kind.CONFIGURATION:
        return misconfigured(replace(state, tested=True), fault, now, policy)
    return blocked(state, fault if fault.kind is known.kind else known, now, policy)


def _waits(fault: Fault, policy: Policy) -> bool:
    """Whether a failed start is tried again when its way is free, and not before: no restart and no move would help."""
    return fault.kind is Kind.DEPENDENCY or (fault.kind is Kind.HOST and policy.on_exhausted == "report")
