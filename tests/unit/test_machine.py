"""The machine: what sensors say, and what the ends of actions mean."""

from __future__ import annotations

import pytest

from cluster_glue.recovery.machine import next_deadline, resume, step
from cluster_glue.recovery.model import (
    IN_FLIGHT,
    Action,
    Answered,
    Ask,
    Cancel,
    ConfigurationChanged,
    Died,
    Done,
    Escalate,
    Failed,
    Found,
    Paused,
    Phase,
    ReloadAsked,
    RestartAsked,
    Resumed,
    Run,
    State,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE, Policy
from ocf.faults import Fault, unknown
from tests.cases import GATEWAY, OURS, exhausted, fallen, runs, told
from tests.simulation import BROKEN, DISK, KILLED, NO_START, SILENT, Bench, serving

# ---- death -----------------------------------------------------------------------------------------------------------


def test_a_death_is_answered_at_once_and_said_afterwards() -> None:
    bench = serving()
    orders = bench.send(Died(KILLED))
    assert runs(orders) == [Action.STOP]
    assert told(orders) == ["fell", "restarting"]
    assert isinstance(orders[0], Run)
    assert bench.state.reason == "restart 1 of 3 in 86400 s: its main process was killed by SIGKILL"
    assert runs(bench.done()) == [Action.START]
    assert told(bench.done()) == ["recovered"]
    assert (bench.phase(), bench.state.fault, bench.state.incident) == (Phase.UP, None, 0)


def test_a_death_of_what_nobody_wants_up_is_only_said() -> None:
    bench = Bench(state=State(phase=Phase.UP))
    assert told(bench.send(Died(KILLED))) == ["gone"]
    assert bench.phase() is Phase.IDLE


@pytest.mark.parametrize("asked", [RestartAsked(), ReloadAsked()])
def test_a_death_during_a_test_or_a_reload_ends_it_and_is_repaired(asked: RestartAsked | ReloadAsked) -> None:
    bench = serving()
    bench.send(asked)
    number = bench.state.action
    assert bench.send(Died(KILLED)) == (Cancel(number),)
    assert bench.send(Died(KILLED)) == ()
    assert told(bench.done(OURS)) == ["fell", "restarting"]
    assert bench.state.fault == KILLED
    assert len(bench.state.restarts) == 1


def test_a_death_during_a_test_is_repaired_though_the_test_never_ends() -> None:
    bench = serving()
    bench.send(RestartAsked())
    bench.send(Died(KILLED))
    bench.wait(GRACE)
    assert bench.phase() is Phase.CLEARING


def test_a_death_while_only_observing_is_remembered_and_answers_of_orphans_are_not_believed() -> None:
    bench = serving()
    bench.send(Paused(1000.0))
    bench.send(Failed(SILENT, hard=True))
    bench.send(Died(KILLED))
    assert (bench.phase(), bench.state.dead, bench.state.fault) == (Phase.OBSERVING, True, KILLED)
    bench.send(Answered(0.01))
    assert bench.phase() is Phase.OBSERVING
    bench.send(Found(True))
    assert (bench.phase(), bench.state.reason) == (Phase.UP, "it was found running")


def test_a_host_fault_stays_one_when_the_server_dies_meanwhile() -> None:
    bench = serving(Policy(on_exhausted="failover"))
    bench.send(Paused(100.0))
    bench.send(Failed(DISK, hard=True))
    bench.send(Died(KILLED))
    orders = bench.send(Resumed())
    assert told(orders) == ["resumed", "hopeless"]
    assert bench.state.restarts == ()


def test_what_died_where_a_start_cannot_succeed_is_handed_over_without_a_restart() -> None:
    bench = serving(Policy(on_exhausted="failover"))
    orders = bench.send(Died(DISK))
    assert told(orders) == ["fell", "hopeless"]
    assert any(isinstance(order, Escalate) for order in orders)
    assert bench.state.restarts == ()


def test_alone_it_waits_until_its_way_is_free_and_spends_no_restart_before() -> None:
    bench = serving()
    assert told(bench.send(Died(DISK))) == ["fell", "blocked"]
    assert bench.phase() is Phase.BLOCKED
    for _ in range(5):
        bench.wait(1.0)
        assert bench.phase() is Phase.CHECKING
        assert told(bench.done(DISK)) == []
    assert bench.state.restarts == ()
    bench.wait(1.0)
    assert told(bench.done()) == ["restarting"]
    assert (bench.phase(), len(bench.state.restarts)) == (Phase.CLEARING, 1)


def test_a_death_reported_twice_counts_once() -> None:
    bench = fallen()
    assert bench.send(Died(KILLED)) == ()
    assert bench.send(Found(False)) == ()
    assert len(bench.state.restarts) == 1


# ---- probes ----------------------------------------------------------------------------------------------------------


def test_soft_signs_need_a_row_and_a_good_answer_breaks_it() -> None:
    bench = serving()
    assert told(bench.send(Failed(SILENT))) == ["suspect"]
    assert bench.send(Failed(SILENT)) == ()
    assert told(bench.send(Answered(0.1))) == ["normal"]
    for _ in range(2):
        bench.send(Failed(SILENT))
    assert told(bench.send(Failed(SILENT))) == ["fell", "restarting"]


def test_a_suspicion_ends_only_after_enough_good_answers() -> None:
    bench = serving(Policy(success_threshold=2))
    bench.send(Failed(SILENT))
    assert bench.send(Answered(0.1)) == ()
    assert told(bench.send(Answered(0.1))) == ["normal"]


def test_slow_is_said_when_it_begins_and_when_it_ends_and_never_restarts() -> None:
    bench = serving()
    said = [told(bench.send(Answered(took))) for took in (0.1, 3.0, 3.0, 3.0, 0.1, 0.1)]
    assert said == [[], ["slow"], [], [], ["normal"], []]
    bench.send(Failed(SILENT))
    orders = bench.send(Answered(3.0))
    assert told(orders) == ["slow"]
    assert bench.orders[-1].detail == "answered after 3 s, after 1 failed in a row"  # type: ignore[union-attr]


def test_a_broken_dependency_is_said_once_and_not_restarted() -> None:
    bench = serving()
    assert [told(bench.send(Failed(GATEWAY, hard=True))) for _ in range(3)] == [["degraded"], [], []]
    other_words = Fault(GATEWAY.cause, GATEWAY.kind, "the back end is away since long")
    assert told(bench.send(Failed(other_words))) == []
    assert bench.state.fault == other_words
    assert told(bench.send(Answered(0.1))) == ["normal"]
    assert bench.state.fault is None


def test_a_broken_configuration_of_a_running_server_is_not_mended_by_an_answer_but_by_a_change() -> None:
    bench = serving()
    assert told(bench.send(Failed(BROKEN, hard=True))) == ["degraded"]
    bench.send(Answered(0.1))
    assert (bench.phase(), bench.state.fault) == (Phase.UP, BROKEN)
    assert told(bench.send(ConfigurationChanged())) == ["normal"]
    assert bench.state.fault is None


def test_what_serves_again_before_it_is_repaired_is_left_alone() -> None:
    bench = fallen()
    bench.done()
    bench.done()
    for _ in range(3):
        bench.send(Failed(SILENT))
    assert (bench.phase(), bench.state.restarts) == (Phase.WAITING, (0.0,))
    bench.send(Failed(SILENT))
    assert told(bench.send(Answered(0.1))) == ["recovered"]
    assert (bench.phase(), len(bench.state.restarts)) == (Phase.UP, 1)


def test_serving_again_needs_enough_good_answers_in_a_row() -> None:
    bench = serving(Policy(success_threshold=2))
    bench.send(Paused(1000.0))
    bench.send(Failed(SILENT, hard=True))
    bench.send(Answered(0.1))
    bench.send(Failed(SILENT))
    bench.send(Answered(0.1))
    assert bench.phase() is Phase.OBSERVING
    bench.send(Answered(0.1))
    assert bench.phase() is Phase.UP


# ---- looks -----------------------------------------------------------------------------------------------------------


def test_what_should_be_up_is_adopted_or_repaired_by_a_first_look() -> None:
    bench = Bench(state=State(wanted=Wanted.UP))
    assert told(bench.send(Found(True))) == ["up"]
    bench = Bench(state=State(wanted=Wanted.UP))
    assert told(bench.send(Found(False))) == ["fell", "restarting"]


@pytest.mark.parametrize("wanted", [Wanted.UNKNOWN, Wanted.DOWN])
def test_what_is_not_wanted_up_is_only_looked_at(wanted: Wanted) -> None:
    bench = Bench(state=State(wanted=wanted))
    before = bench.state
    assert (bench.send(Found(True)), bench.send(Found(False)), bench.state) == ((), (), before)


def test_a_look_finds_a_death_that_nobody_reported() -> None:
    bench = serving()
    assert told(bench.send(Found(False))) == ["fell", "restarting"]
    assert bench.state.fault == unknown("the main process is gone")


def test_what_came_up_by_itself_while_waiting_is_left_alone() -> None:
    bench = fallen()
    bench.done()
    bench.done(NO_START)
    assert bench.phase() is Phase.WAITING
    assert told(bench.send(Found(True))) == ["recovered"]


def test_what_is_there_but_stalled_is_not_well_because_it_is_there() -> None:
    bench = serving()
    bench.send(Paused(1000.0))
    bench.send(Failed(SILENT, hard=True))
    assert bench.send(Found(True)) == ()
    assert bench.phase() is Phase.OBSERVING


# ---- ends that mean nothing, and interruptions -----------------------------------------------------------------------


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in IN_FLIGHT])
def test_an_end_of_what_is_not_in_flight_means_nothing(phase: Phase) -> None:
    state = State(wanted=Wanted.UP, phase=phase, action=7)
    assert step(state, Done(7, KILLED), 0.0, Policy()) == (state, ())


def test_an_end_with_an_old_number_means_nothing() -> None:
    bench = fallen()
    before = bench.state
    assert bench.send(Done(before.action - 1)) == ()
    assert bench.state == before


def test_a_lost_start_is_called_off_and_counts_as_failed() -> None:
    bench = fallen()
    bench.done()
    number = bench.state.action
    bench.take()
    bench.wait(bench.policy.start_timeout + GRACE)
    assert bench.take()[0] == Cancel(number)
    assert len(bench.state.restarts) == 2


@pytest.mark.parametrize(("phase", "action"), IN_FLIGHT.items())
def test_what_was_in_flight_is_ordered_again_with_its_number(phase: Phase, action: Action) -> None:
    state = State(wanted=Wanted.UP, phase=phase, action=9, deadline=1.0, reason="why")
    after, orders = resume(state, 1000.0, Policy())
    (order,) = orders
    assert isinstance(order, Run)
    assert (order.action, order.number, order.reason) == (action, 9, "why")
    assert after.deadline == 1000.0 + order.timeout + GRACE


def test_a_question_is_asked_again() -> None:
    state = State(wanted=Wanted.UP, phase=Phase.ASKING, action=9, deadline=1.0, lease_until=60.0)
    assert resume(state, 50.0, Policy(lease=30.0, ask_timeout=2.0))[1] == (Ask(9, 2.0),)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.UP, Phase.WAITING, Phase.OBSERVING, Phase.FAILED])
def test_what_only_waits_goes_on_waiting(phase: Phase) -> None:
    state = State(wanted=Wanted.UP, phase=phase)
    assert resume(state, 50.0, Policy()) == (state, ())


def test_what_was_asked_for_is_taken_up_again_during_a_pause_and_what_was_not_is_not() -> None:
    state = State(wanted=Wanted.UP, phase=Phase.STARTING, paused_until=100.0, planned=True)
    assert runs(resume(state, 50.0, Policy())[1]) == [Action.START]
    state = State(wanted=Wanted.UP, phase=Phase.STARTING, paused_until=100.0)
    assert told(resume(state, 50.0, Policy())[1]) == ["observing"]


def test_a_hand_over_that_was_cut_off_waits_for_permission() -> None:
    bench = exhausted()
    bench.send(Paused(100.0))
    assert told(bench.reborn()) == ["observing"]
    bench.wait(100.0)
    assert isinstance(bench.orders[-1], Escalate)


def test_the_next_deadline_is_the_nearest() -> None:
    assert next_deadline(State()) is None
    assert next_deadline(State(deadline=5.0, paused_until=3.0)) == 3.0


def test_a_deadline_that_everybody_slept_through_gives_what_is_in_flight_a_little_more() -> None:
    bench = fallen()
    bench.now += 3 * 86400.0
    bench.wait(0.0)
    assert (bench.phase(), next_deadline(bench.state)) == (Phase.CLEARING, bench.now + GRACE)
    bench.wait(GRACE)
    assert bench.phase() is Phase.FAILED
