"""The machine: the budget, the hand-over, and whether it may act at all."""

from __future__ import annotations

import pytest

from cluster_glue.recovery.model import (
    Action,
    Answered,
    Ask,
    Cancel,
    Cleared,
    ConfigurationChanged,
    Died,
    Escalate,
    Failed,
    Found,
    Paused,
    Permitted,
    Phase,
    ReloadAsked,
    Renewed,
    RestartAsked,
    Resumed,
    StartAsked,
    State,
    StopAsked,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE, Policy
from cluster_glue.recovery.repair import LOOK_AGAIN
from tests.cases import OURS, exhausted, fallen, misconfigured, runs, told
from tests.simulation import DISK, KILLED, SILENT, STUCK, Bench, serving

# ---- budget and hand-over --------------------------------------------------------------------------------------------


def test_waits_grow_and_shrink_again_after_a_stable_run() -> None:
    bench = serving(Policy(restart_limit=6))
    waits = []
    for _ in range(4):
        bench.send(Died(KILLED))
        begin = bench.now
        if bench.phase() is Phase.WAITING:
            bench.until(bench.state.deadline or 0.0)
        waits.append(bench.now - begin)
        bench.done()
        bench.done()
    assert waits == [0.0, 1.0, 2.0, 4.0]
    bench.wait(bench.policy.stable_after)
    assert bench.state.tries == 0
    bench.send(Died(KILLED))
    assert bench.phase() is Phase.CLEARING


def test_a_reload_does_not_keep_the_waits_long_for_ever() -> None:
    bench = fallen()
    bench.done()
    bench.done()
    bench.send(ReloadAsked())
    bench.done()
    bench.wait(bench.policy.stable_after)
    assert bench.state.tries == 0


def test_restarts_that_left_the_window_leave_no_wait_without_end() -> None:
    """A row of tries may be older than the window: then nothing is left to wait for."""
    state = State(wanted=Wanted.UP, phase=Phase.WAITING, deadline=5.0, tries=3, dead=True, incident=1, incidents=1)
    bench = Bench(state=state)
    bench.wait(5.0)
    assert bench.phase() is Phase.CLEARING


def test_the_fourth_fall_is_handed_over_once_and_then_there_is_silence() -> None:
    bench = serving()
    for _ in range(3):
        bench.wait(100.0)
        bench.send(Died(KILLED))
        bench.done()
        bench.done()
    bench.wait(100.0)
    orders = bench.send(Died(KILLED))
    assert told(orders) == ["fell", "exhausted"]
    assert orders[-1] == Escalate("report", KILLED, 4)
    bench.take()
    for event in (Died(KILLED), Failed(SILENT, True), Answered(0.1), Found(True), Found(False), ConfigurationChanged()):
        bench.send(event)
    bench.wait(10 * 86400.0)
    assert (bench.take(), bench.phase()) == ([], Phase.FAILED)


def test_a_host_fault_is_handed_over_at_once_and_burns_no_budget() -> None:
    bench = serving()
    orders = bench.send(Failed(DISK, hard=True))
    assert told(orders) == ["fell", "hopeless"]
    assert isinstance(orders[-1], Escalate)
    assert bench.state.restarts == ()


@pytest.mark.parametrize("event", [StartAsked(), RestartAsked(), Cleared()])
def test_start_restart_and_clear_bring_it_out_of_failed_with_a_full_budget(
    event: StartAsked | RestartAsked | Cleared,
) -> None:
    bench = exhausted()
    assert runs(bench.send(event)) == [Action.START]
    assert (bench.state.restarts, bench.state.fault) == ((), None)
    assert told(bench.done()) == ["recovered"]


def test_clearing_while_it_may_not_act_waits_until_it_may() -> None:
    bench = exhausted()
    bench.send(Paused(100.0))
    assert told(bench.send(Cleared())) == ["cleared", "observing"]
    bench.wait(100.0)
    assert told(bench.take()) == ["paused", "cleared", "observing", "resumed", "exhausted"]


def test_clearing_outside_of_failed_only_fills_the_budget() -> None:
    bench = fallen()
    bench.done()
    bench.done()
    assert told(bench.send(Cleared())) == ["cleared"]
    assert (bench.state.restarts, bench.phase()) == ((), Phase.UP)


def test_a_stop_settles_a_hand_over_that_was_never_confirmed() -> None:
    bench = exhausted()
    bench.send(StopAsked())
    bench.done(STUCK)
    assert (bench.phase(), bench.reborn()) == (Phase.FAILED, ())


# ---- may we ----------------------------------------------------------------------------------------------------------


def test_a_pause_holds_back_what_would_follow_but_not_what_was_asked_for() -> None:
    bench = fallen()
    bench.send(Paused(100.0, "I work on it"))
    assert told(bench.done()) == ["observing"]
    assert runs(bench.send(StartAsked())) == [Action.START]


def test_a_start_that_is_asked_for_during_a_restart_is_not_held_back_by_a_pause() -> None:
    bench = fallen()
    bench.send(Paused(100.0))
    assert bench.send(StartAsked()) == ()
    assert runs(bench.done()) == [Action.START]


def test_a_start_that_is_asked_for_does_not_wait_for_a_test_of_what_is_down() -> None:
    bench = misconfigured()
    bench.send(ConfigurationChanged())
    orders = bench.send(StartAsked())
    assert (orders[0], told(orders)) == (Cancel(bench.state.action), ["starting"])
    bench.done(OURS)
    bench.done()
    assert (bench.phase(), len(bench.state.restarts)) == (Phase.STARTING, 1)


def test_a_start_asked_of_what_serves_changes_nothing() -> None:
    bench = serving()
    bench.send(ReloadAsked())
    assert bench.send(StartAsked()) == ()
    assert told(bench.done()) == ["reloaded"]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_pause_ends_by_itself_in_every_phase(phase: Phase) -> None:
    deadline = None if phase in (Phase.IDLE, Phase.UP, Phase.FAILED) else 1000.0
    state = State(wanted=Wanted.UP, phase=phase, deadline=deadline, incident=1, incidents=1)
    bench = Bench(state=state)
    bench.send(Paused(30.0))
    bench.wait(30.0)
    assert told(bench.take())[:2] == ["paused", "resumed"]
    assert bench.state.paused_until is None
    assert (bench.phase() is phase) == (phase is not Phase.OBSERVING)


def test_resuming_what_is_not_paused_is_not_said() -> None:
    assert serving().send(Resumed()) == ()


def test_without_an_answer_of_the_clusterware_nothing_is_done() -> None:
    bench = serving(Policy(lease=3600.0, ask_timeout=2.0))
    orders = bench.send(Died(KILLED))
    assert orders[0] == Ask(2, 2.0)
    bench.wait(2.0 + GRACE)
    assert (bench.phase(), bench.state.reason) == (Phase.OBSERVING, "the clusterware did not answer in time")
    bench.send(Permitted(2))
    assert bench.phase() is Phase.OBSERVING
    bench.wait(LOOK_AGAIN)
    assert bench.phase() is Phase.ASKING
    assert runs(bench.permit()) == [Action.STOP]


def test_a_refusal_is_said_once_however_often_it_is_given() -> None:
    bench = serving(Policy(lease=30.0))
    bench.send(Died(KILLED))
    for _ in range(5):
        bench.permit("is-managed is false")
        bench.wait(5.0)
        bench.send(Renewed())
    assert told(bench.take()) == ["fell", "observing"]
    bench.permit("standby")
    assert told(bench.take()) == ["observing"]


def test_a_permission_comes_too_late_when_the_lease_has_lapsed_meanwhile() -> None:
    bench = serving(Policy(lease=30.0))
    bench.wait(29.0)
    bench.send(Died(KILLED))
    bench.wait(1.5)
    assert runs(bench.permit()) == []
    assert bench.state.reason == "the cluster has stopped asking for it"


def test_a_restart_is_not_completed_when_the_lease_lapses_in_the_middle() -> None:
    bench = serving(Policy(lease=30.0))
    bench.send(Died(KILLED))
    bench.permit()
    bench.wait(31.0)
    assert told(bench.done()) == ["observing"]
    bench.send(Renewed())
    assert bench.phase() is Phase.ASKING


def test_a_renewal_means_nothing_on_a_machine_alone() -> None:
    bench = serving()
    before = bench.state
    bench.send(Renewed())
    assert bench.state is before


def test_what_was_stopped_for_a_restart_that_may_not_go_on_does_not_answer_whatever_answers() -> None:
    bench = serving()
    bench.send(Failed(SILENT, hard=True))
    bench.send(Paused(100.0))
    bench.done()
    bench.send(Answered(0.1))
    assert bench.phase() is Phase.OBSERVING


def test_a_refusal_is_said_again_after_a_stop_and_a_start() -> None:
    bench = serving()
    bench.send(Paused(1000.0))
    for _ in range(2):
        assert told(bench.send(Died(KILLED))) == ["fell", "observing"]
        bench.send(StopAsked())
        bench.done()
        bench.send(StartAsked())
        bench.done()
