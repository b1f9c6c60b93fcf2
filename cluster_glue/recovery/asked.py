"""What people and clusters ask of the machine: start, stop, restart, reload, clear, pause, resume, renew.

Pure, as :mod:`machine`, which calls it. Only what is here changes what is wanted, and what was asked for is done at
once: it costs no budget, and no pause holds it back.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery.model import IN_FLIGHT, Action, Phase, State, Step, Tell, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.repair import call_off, check_configuration, observe, refused, repair, run


def start(state: State, by: str, now: float, policy: Policy) -> Step:
    """Wanted is up from now on; out of FAILED this forgets what was spent."""
    turned = state.wanted is Wanted.DOWN
    state = replace(state, wanted=Wanted.UP, lease_until=now + policy.lease if policy.lease else None)
    reason = f"start asked by {by}"
    if state.phase is Phase.UP:
        return state, ()
    if state.phase in IN_FLIGHT:
        return _join(state, reason, turned, now)
    if state.phase is Phase.FAILED:
        state = _forgive(state)
    return _begin(state, reason, now, policy)


def stop(state: State, by: str, now: float, policy: Policy) -> Step:
    """Wanted is down from now on, before anything is signalled; what is in flight is called off."""
    reason = f"stop asked by {by}"
    again = state.wanted is Wanted.DOWN
    state = replace(state, wanted=Wanted.DOWN, planned=False)
    told = (Tell("stopping", reason, state.incident),)
    if state.phase not in IN_FLIGHT:
        state, orders = run(state, Phase.STOPPING, Action.STOP, now, policy, reason, gentle=True)
        return replace(state, refusal="", owed=False), orders + told
    if state.phase in (Phase.CLEARING, Phase.STOPPING):
        return replace(state, phase=Phase.STOPPING, reason=reason), () if again else told
    state, orders = call_off(replace(state, reason=reason), now)
    return state, orders if again else orders + told


def restart(state: State, by: str, now: float, policy: Policy) -> Step:
    """Stop and start what serves, but only with a configuration that passes its test; start what does not serve."""
    reason = f"restart asked by {by}"
    if state.phase is Phase.RELOADING and not state.cancelled:
        return replace(state, wanted=Wanted.UP, planned=True, reason=reason), ()
    if state.phase is not Phase.UP:
        return start(state, by, now, policy)
    state = replace(state, wanted=Wanted.UP, planned=True)
    return check_configuration(state, now, policy, reason)


def reload(state: State, by: str, now: float, policy: Policy) -> Step:
    """Let it read its configuration anew; only what serves can. The action itself tests the configuration first."""
    if state.phase is not Phase.UP:
        return state, (Tell("reload-refused", f"it is {state.phase.value}", state.incident),)
    return run(state, Phase.RELOADING, Action.RELOAD, now, policy, f"reload asked by {by}")


def clear(state: State, by: str, now: float, policy: Policy) -> Step:
    """Budget and hand-over are forgotten; out of FAILED what is wanted is tried again."""
    reason = f"cleared by {by}"
    told = (Tell("cleared", f"by {by}", state.incident),)
    if state.phase is not Phase.FAILED:
        return replace(state, restarts=(), tries=0), told
    state = _forgive(state)
    if state.wanted is Wanted.DOWN:
        state, orders = run(state, Phase.STOPPING, Action.STOP, now, policy, reason)
        return state, told + orders
    refusal = refused(state, now, policy)
    state, orders = observe(state, now, refusal) if refusal else _begin(state, reason, now, policy)
    return state, told + orders


def pause(state: State, until: float, reason: str, by: str) -> Step:
    """No action of our own accord until then. What is in flight is ended, what follows from it is not begun."""
    words = f"by {by}" + (f": {reason}" if reason else "")
    return replace(state, paused_until=until), (Tell("paused", words, state.incident),)


def resume(state: State, by: str, now: float, policy: Policy) -> Step:
    """The pause ends now."""
    told = (Tell("resumed", f"by {by}", state.incident),) if state.paused_until is not None else ()
    state, orders = _look_again(replace(state, paused_until=None), now, policy)
    return state, told + orders


def renew(state: State, now: float, policy: Policy) -> Step:
    """The cluster asked after it: the lease runs anew."""
    if not policy.lease:
        return state, ()
    return _look_again(replace(state, lease_until=now + policy.lease), now, policy)


def _look_again(state: State, now: float, policy: Policy) -> Step:
    if state.phase is not Phase.OBSERVING or refused(state, now, policy):
        return state, ()
    return repair(state, now, policy)


def _forgive(state: State) -> State:
    return replace(state, restarts=(), tries=0, fault=None, refusal="", owed=False)


def _join(state: State, reason: str, turned: bool, now: float) -> Step:
    """A start that was asked for while something is in flight: what leads there anyway becomes what was asked for."""
    serves = state.phase in (Phase.CHECKING, Phase.RELOADING) and not state.dead and not state.cancelled
    if serves or (state.planned and not turned):
        return state, ()
    if state.phase in (Phase.CLEARING, Phase.STARTING) and not turned:
        return replace(state, planned=True), ()
    state = replace(state, planned=True, reason=reason)
    state, orders = call_off(state, now) if state.phase is Phase.CHECKING else (state, ())
    return state, (*orders, Tell("starting", reason, state.incident))


def _begin(state: State, reason: str, now: float, policy: Policy) -> Step:
    """A start that was asked for. What may still be there, stalled or half stopped, is stopped first."""
    state = replace(state, planned=True, refusal="")
    if state.dead or state.phase is Phase.IDLE:
        state, orders = run(state, Phase.STARTING, Action.START, now, policy, reason)
    else:
        state, orders = run(state, Phase.STOPPING, Action.STOP, now, policy, reason)
    return state, (*orders, Tell("starting", reason, state.incident))
