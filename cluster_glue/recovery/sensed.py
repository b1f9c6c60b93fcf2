"""What sensors saw: it died, it failed, it answered, it was found, its configuration changed.

Pure, as :mod:`machine`, which calls it. A hard fact acts at once, soft signs need a row; slow is not dead; what we
could not measure proves nothing; after a death only a look at the process is believed, for orphans go on answering.
"""

from __future__ import annotations

from dataclasses import replace

from cluster_glue.recovery.model import Order, Phase, State, Step, Tell, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.repair import call_off, check_configuration, enter, trouble, up
from ocf.faults import Fault, Kind, unknown

#: It is faulty, and nothing of ours is in flight.
_RESTING = (Phase.WAITING, Phase.OBSERVING, Phase.ASKING, Phase.MISCONFIGURED, Phase.BLOCKED)


def died(state: State, fault: Fault, now: float, policy: Policy) -> Step:
    """The main process is gone."""
    match state.phase:
        case Phase.UP if state.wanted is not Wanted.UP:
            return enter(state, Phase.IDLE, now, fault.reason), (Tell("gone", fault.reason, 0, fault),)
        case Phase.UP:
            return trouble(state, fault, now, policy, dead=True)
        case Phase.RELOADING | Phase.CHECKING if not state.dead and not state.cancelled:
            return call_off(replace(state, fault=fault, dead=True, planned=False), now)
        case Phase.WAITING | Phase.OBSERVING | Phase.ASKING if not state.dead:
            # a fault of the host stays what it is: a restart cannot help, whatever died meanwhile
            worse = state.fault is not None and state.fault.kind is Kind.HOST
            return replace(state, fault=state.fault if worse else fault, dead=True), ()
    return state, ()


def failed(state: State, fault: Fault, hard: bool, now: float, policy: Policy) -> Step:
    """A sensor saw a fault."""
    if fault.kind is Kind.OURS or state.wanted is not Wanted.UP:
        return state, ()
    if state.phase is not Phase.UP:
        return (replace(state, successes=0) if state.successes else state), ()
    if fault.kind in (Kind.DEPENDENCY, Kind.CONFIGURATION):
        if state.fault == fault:
            return state, ()
        news = state.fault is None or state.fault.cause != fault.cause
        return replace(state, fault=fault), (Tell("degraded", fault.reason, 0, fault),) if news else ()
    failures = state.failures + 1
    if hard or failures >= policy.failure_threshold:
        return trouble(state, fault, now, policy, dead=False)
    told = (Tell("suspect", fault.reason, 0, fault),) if failures == 1 else ()
    return replace(state, failures=failures, successes=0), told


def answered(state: State, took: float, now: float, policy: Policy) -> Step:
    """A probe got a good answer."""
    match state.phase:
        case Phase.UP:
            return _answered_up(state, took, policy)
        case Phase.WAITING | Phase.OBSERVING | Phase.ASKING if not state.dead and state.wanted is Wanted.UP:
            successes = state.successes + 1
            if successes < policy.success_threshold:
                return replace(state, successes=successes), ()
            return up(state, now, policy, "it answers again by itself")
    return state, ()


def _answered_up(state: State, took: float, policy: Policy) -> Step:
    slow = took > policy.slow_after
    # a broken configuration is not mended by an answer: the server runs with the old one
    cured = state.fault is not None and state.fault.kind is not Kind.CONFIGURATION
    in_doubt = state.failures > 0 or cured
    if not in_doubt and slow == state.slow:
        return state, ()
    if in_doubt and state.successes + 1 < policy.success_threshold:
        return replace(state, successes=state.successes + 1), ()
    words = f"answered after {took:.3g} s"
    if state.failures:
        words += f", after {state.failures} failed in a row"
    told: tuple[Order, ...] = (Tell("slow" if slow else "normal", words),)
    return replace(state, slow=slow, failures=0, successes=0, fault=None if cured else state.fault), told


def found(state: State, running: bool, fault: Fault | None, now: float, policy: Policy) -> Step:
    """Somebody looked whether the main process is there."""
    if not running and state.phase is not Phase.IDLE:
        return died(state, fault or unknown("the main process is gone"), now, policy)
    if state.wanted is not Wanted.UP:
        return state, ()
    if not running:
        return trouble(state, fault or unknown("it does not run"), now, policy, dead=True)
    if state.phase is Phase.IDLE or (state.dead and state.phase in _RESTING):
        return up(state, now, policy, "it was found running")
    if state.dead and state.phase is Phase.CHECKING and not state.cancelled:
        return replace(state, dead=False), ()
    return state, ()


def configuration_changed(state: State, now: float, policy: Policy) -> Step:
    """Its configuration files are not what they were: what was wrong with them may be mended."""
    if state.phase is Phase.MISCONFIGURED:
        return check_configuration(replace(state, tested=True), now, policy, "the configuration changed")
    if state.phase is Phase.UP and state.fault is not None and state.fault.kind is Kind.CONFIGURATION:
        words = "the configuration changed, so that what was wrong with it may be mended"
        return replace(state, fault=None), (Tell("normal", words),)
    return (state if state.changed else replace(state, changed=True)), ()
