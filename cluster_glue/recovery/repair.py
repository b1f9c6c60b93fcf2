"""What is done about a fault: may we, can a restart help, is there budget left, is it time yet.

Pure, as :mod:`machine`, which calls it. Each function takes the state as it is and gives the state as it shall be with
the orders that lead there.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery.model import Action, Ask, Cancel, Escalate, Order, Phase, Run, State, Step, Tell, Wanted
from cluster_glue.recovery.policy import GRACE, Policy
from ocf.faults import Fault, Kind, unknown

#: Seconds after which an observer looks again whether it may act by now; also the least time between two looks at a
#: broken configuration.
LOOK_AGAIN = 10.0


# ---- moving about ----------------------------------------------------------------------------------------------------


def enter(state: State, phase: Phase, now: float, reason: str, after: float | None = None) -> State:
    """The state in ``phase`` since ``now``, with a deadline ``after`` seconds ahead (None: no deadline)."""
    deadline = None if after is None else now + after
    return replace(state, phase=phase, since=now, reason=reason, deadline=deadline, cancelled=False)


def run(
    state: State, phase: Phase, action: Action, now: float, policy: Policy, reason: str, gentle: bool = False
) -> Step:
    """Put ``action`` in flight."""
    number = state.action + 1
    timeout = timeout_of(action, policy)
    changed = state.changed and action not in (Action.START, Action.CHECK)
    state = replace(enter(state, phase, now, reason, timeout + GRACE), action=number, gentle=gentle, changed=changed)
    return state, (Run(action, number, timeout, gentle, reason),)


def call_off(state: State, now: float) -> Step:
    """Cancel what is in flight, once, and wait for its end no longer than :data:`GRACE` seconds."""
    if state.cancelled:
        return state, ()
    soon = now + GRACE
    deadline = soon if state.deadline is None else min(state.deadline, soon)
    return replace(state, cancelled=True, deadline=deadline), (Cancel(state.action),)


def timeout_of(action: Action, policy: Policy) -> float:
    """Seconds that an action may take."""
    return {
        Action.START: policy.start_timeout,
        Action.STOP: policy.stop_timeout,
        Action.CHECK: policy.check_timeout,
        Action.RELOAD: policy.check_timeout,
    }[action]


def check_configuration(state: State, now: float, policy: Policy, reason: str) -> Step:
    """Let the server's own test look at its configuration."""
    return run(state, Phase.CHECKING, Action.CHECK, now, policy, reason)


def up(state: State, now: float, policy: Policy, reason: str) -> Step:
    """It serves again: close the incident, if one is open."""
    message = "recovered" if state.incident else "up"
    told = Tell(message, reason, state.incident, state.fault)
    state = keep_up(state, now, policy, reason)
    return replace(
        state, incident=0, fault=None, dead=False, failures=0, successes=0, slow=False, refusal="", owed=False
    ), (told,)


def keep_up(state: State, now: float, policy: Policy, reason: str) -> State:
    """It serves, as before; after a restart the waits begin small again once it has done so for ``stable_after``."""
    return replace(enter(state, Phase.UP, now, reason, policy.stable_after if state.tries else None), planned=False)


def opened(state: State) -> State:
    """With an incident: the open one, or a new one."""
    if state.incident:
        return state
    return replace(state, incident=state.incidents + 1, incidents=state.incidents + 1)


# ---- may we ----------------------------------------------------------------------------------------------------------


def refused(state: State, now: float, policy: Policy) -> str:
    """Why we may not act of our own accord now; empty when we may."""
    if state.wanted is not Wanted.UP:
        return f"wanted is {state.wanted.value}"
    if state.paused_until is not None and now < state.paused_until:
        return "paused"
    return lapsed(state, now, policy)


def lapsed(state: State, now: float, policy: Policy) -> str:
    """Why we have no authority at all; empty when we have it."""
    if policy.lease and (state.lease_until is None or now >= state.lease_until):
        return "the cluster has stopped asking for it"
    return ""


def observe(state: State, now: float, refusal: str) -> Step:
    """Only look on; say so once for each refusal."""
    told = () if refusal == state.refusal else (Tell("observing", refusal, state.incident, state.fault),)
    since = state.since if state.phase is Phase.OBSERVING else now
    state = enter(state, Phase.OBSERVING, now, refusal, LOOK_AGAIN)
    return replace(state, since=since, refusal=refusal, planned=False, owed=False), told


# ---- what is done ----------------------------------------------------------------------------------------------------


def trouble(state: State, fault: Fault, now: float, policy: Policy, dead: bool) -> Step:
    """The server fell or stalled: open an incident, then repair."""
    told: tuple[Order, ...] = ()
    if not state.incident:
        state = opened(state)
        told = (Tell("fell", fault.reason, state.incident, fault),)
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
        state = enter(state, Phase.ASKING, now, "asking whether we may act", policy.ask_timeout + GRACE)
        return replace(state, action=number), (Ask(number, policy.ask_timeout),)
    return proceed(state, now, policy)


def proceed(state: State, now: float, policy: Policy) -> Step:
    """Nobody forbids it: restart now, later, when its way is free, or hand over."""
    fault = state.fault or unknown("it does not run")
    if fault.kind is Kind.HOST and state.dead and policy.on_exhausted == "report":
        return blocked(state, fault, now, policy)
    if fault.kind is Kind.HOST:
        return escalate(state, fault, now, policy, f"a restart here cannot help: {fault.reason}")
    spent, limit = len(state.restarts), policy.restart_limit
    if spent >= limit:
        words = f"{spent} of {limit} restarts in {policy.restart_window:g} s are spent: {fault.reason}"
        return escalate(state, fault, now, policy, words)
    state = replace(state, refusal="")
    due = state.restarts[-1] + policy.wait_before(state.tries) if state.restarts else now
    if now < due:
        reason = f"next try in {due - now:.3g} s ({spent} of {limit} restarts spent): {fault.reason}"
        state = replace(enter(state, Phase.WAITING, now, reason), deadline=due)
        return state, (Tell("waiting", reason, state.incident),)
    state = replace(state, restarts=(*state.restarts, now), tries=state.tries + 1)
    reason = f"restart {spent + 1} of {limit} in {policy.restart_window:g} s: {fault.reason}"
    state, orders = run(state, Phase.CLEARING, Action.STOP, now, policy, reason)
    return state, (*orders, Tell("restarting", reason, state.incident, fault))


def misconfigured(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    """Down until its configuration is mended; a change that came meanwhile is looked at at once."""
    told: tuple[Order, ...] = ()
    if state.phase is Phase.STARTING or fault != state.fault:
        told = (Tell("misconfigured", fault.reason, state.incident, fault),)
    state = replace(state, fault=fault)
    if state.changed:
        reason = "the configuration changed meanwhile"
        state, orders = check_configuration(replace(state, tested=True), now, policy, reason)
        return state, told + orders
    return enter(state, Phase.MISCONFIGURED, now, fault.reason, max(policy.restart_wait_max, LOOK_AGAIN)), told


def blocked(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    """Down until what stands in its way is gone, as nothing else would help; looking costs no budget."""
    told: tuple[Order, ...] = ()
    if state.phase is not Phase.CHECKING or fault.cause != (state.fault.cause if state.fault else ""):
        told = (Tell("blocked", fault.reason, state.incident, fault),)
    state = replace(state, fault=fault)
    return enter(state, Phase.BLOCKED, now, fault.reason, max(policy.restart_wait, 1.0)), told


def escalate(state: State, fault: Fault, now: float, policy: Policy, reason: str) -> Step:
    """Hand over, once; then silence until somebody clears it."""
    state = opened(enter(replace(state, fault=fault, refusal="", planned=False, owed=True), Phase.FAILED, now, reason))
    message = "hopeless" if fault.kind in (Kind.HOST, Kind.CONFIGURATION) else "exhausted"
    return state, (Tell(message, reason, state.incident, fault), Escalate(policy.on_exhausted, fault, state.incident))


def give_up_stopping(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    """A stop failed: what is left of the server holds its place, so nothing may be started."""
    reason = f"it could not be stopped: {fault.reason}"
    state = replace(state, fault=fault, dead=False, planned=False)
    if state.wanted is Wanted.UP and not refused(state, now, policy):
        return escalate(state, fault, now, policy, reason)
    if state.wanted is not Wanted.UP:
        return enter(state, Phase.FAILED, now, reason), (Tell("stop-failed", fault.reason, state.incident, fault),)
    state = opened(state)
    told = Tell("stop-failed", fault.reason, state.incident, fault)
    state, orders = observe(state, now, refused(state, now, policy))
    return state, (told, *orders)
