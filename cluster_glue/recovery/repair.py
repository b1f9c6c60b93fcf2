"""What is done about a fault: may we, can a restart help, is there budget left, is it time yet.

Pure, as :mod:`machine`, which calls it. Each function takes the state as it is and gives the state as it shall be with
the orders that lead there.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery.model import Action, Ask, Escalate, Order, Phase, Run, State, Step, Tell, Wanted
from cluster_glue.recovery.policy import GRACE, Policy
from ocf.faults import Fault, Kind, unknown

#: Seconds after which an observer looks again whether it may act by now.
LOOK_AGAIN = 10.0


def enter(state: State, phase: Phase, now: float, reason: str, after: float | None = None) -> State:
    """The state in ``phase`` since ``now``, with a deadline ``after`` seconds ahead (None: no deadline)."""
    return replace(state, phase=phase, since=now, reason=reason, deadline=None if after is None else now + after)


def run(
    state: State, phase: Phase, action: Action, now: float, policy: Policy, reason: str, gentle: bool = False
) -> Step:
    """Put ``action`` in flight."""
    number = state.action + 1
    timeout = timeout_of(action, policy)
    state = replace(enter(state, phase, now, reason, timeout + GRACE), action=number, gentle=gentle)
    return state, (Run(action, number, timeout, gentle, reason),)


def timeout_of(action: Action, policy: Policy) -> float:
    """Seconds that an action may take."""
    return {
        Action.START: policy.start_timeout,
        Action.STOP: policy.stop_timeout,
        Action.CHECK: policy.check_timeout,
        Action.RELOAD: policy.check_timeout,
    }[action]


def trouble(state: State, fault: Fault, now: float, policy: Policy, dead: bool) -> Step:
    """The server fell or stalled: open an incident, then repair."""
    told: tuple[Order, ...] = ()
    if not state.incident:
        number = state.incidents + 1
        state = replace(state, incident=number, incidents=number)
        told = (Tell("fell", fault.reason, number, fault),)
    state = replace(state, fault=fault, dead=dead, failures=0, successes=0, planned=False)
    state, orders = repair(state, now, policy)
    return state, told + orders


def repair(state: State, now: float, policy: Policy) -> Step:
    """Repair what ``state.fault`` says, if we may; ask the clusterware first where there is one."""
    refusal = refused(state, now, policy)
    if refusal:
        return observe(state, now, refusal)
    if policy.lease:
        number = state.action + 1
        state = replace(
            enter(state, Phase.ASKING, now, "asking whether we may act", policy.ask_timeout + GRACE), action=number
        )
        return state, (Ask(number, policy.ask_timeout),)
    return proceed(state, now, policy)


def refused(state: State, now: float, policy: Policy) -> str:
    """Why we may not act of our own accord now; empty when we may."""
    if state.wanted is not Wanted.UP:
        return f"wanted is {state.wanted.value}"
    if state.paused_until is not None and now < state.paused_until:
        return "paused"
    if policy.lease and (state.lease_until is None or now >= state.lease_until):
        return "the cluster has stopped asking for it"
    return ""


def observe(state: State, now: float, refusal: str) -> Step:
    """Only look on; say so once."""
    news = state.phase is not Phase.OBSERVING or state.reason != refusal
    told = (Tell("observing", refusal, state.incident, state.fault),) if news else ()
    return enter(state, Phase.OBSERVING, now, refusal, LOOK_AGAIN), told


def proceed(state: State, now: float, policy: Policy) -> Step:
    """Nobody forbids it: restart now, later, or hand over."""
    fault = state.fault or unknown("it does not run")
    if fault.kind is Kind.HOST:
        return escalate(state, fault, now, policy, f"a restart here cannot help: {fault.reason}")
    spent = len(state.restarts)
    if spent >= policy.restart_limit:
        words = f"{spent} of {policy.restart_limit} restarts in {policy.restart_window:g} s are spent: {fault.reason}"
        return escalate(state, fault, now, policy, words)
    due = (state.restarts[-1] if state.restarts else now) + policy.wait_before(state.tries)
    if now < due:
        reason = f"next try in {due - now:.3g} s ({spent} of {policy.restart_limit} restarts spent)"
        return enter(state, Phase.WAITING, now, reason, due - now), (Tell("waiting", reason, state.incident),)
    state = replace(state, restarts=(*state.restarts, now), tries=state.tries + 1)
    reason = f"restart {spent + 1} of {policy.restart_limit} in {policy.restart_window:g} s: {fault.reason}"
    state, orders = run(state, Phase.CLEARING, Action.STOP, now, policy, reason)
    return state, (*orders, Tell("restarting", reason, state.incident, fault))


def escalate(state: State, fault: Fault, now: float, policy: Policy, reason: str) -> Step:
    """Hand over, once; then silence until an operator clears it."""
    state = enter(replace(state, fault=fault), Phase.FAILED, now, reason)
    message = "hopeless" if fault.kind is Kind.HOST else "exhausted"
    return state, (Tell(message, reason, state.incident, fault), Escalate(policy.on_exhausted, fault, state.incident))


def give_up_stopping(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    """A stop failed: what is left of the server holds its place, so nothing may be started."""
    state = replace(state, fault=fault)
    if state.wanted is Wanted.UP and not refused(state, now, policy):
        return escalate(state, fault, now, policy, f"it could not be stopped: {fault.reason}")
    state = enter(state, Phase.FAILED, now, f"it could not be stopped: {fault.reason}")
    return state, (Tell("stop-failed", fault.reason, state.incident, fault),)


def up(state: State, now: float, policy: Policy, reason: str) -> Step:
    """It serves again: close the incident, if one is open."""
    message = "recovered" if state.incident else "up"
    told = Tell(message, reason, state.incident, state.fault)
    state = enter(state, Phase.UP, now, reason, policy.stable_after if state.tries else None)
    state = replace(state, incident=0, fault=None, dead=False, failures=0, successes=0, slow=False, planned=False)
    return state, (told,)
