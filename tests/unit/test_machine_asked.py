"""The machine: what people and clusters ask of it."""

from __future__ import annotations

import pytest

from cluster_glue.recovery.machine import next_deadline
from cluster_glue.recovery.model import (
    Action,
    Cancel,
    Cleared,
    Died,
    Escalate,
    Failed,
    Paused,
    Phase,
    ReloadAsked,
    RestartAsked,
    Run,
    StartAsked,
    State,
    StopAsked,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE
from tests.cases import OURS, fallen, runs, told
from tests.simulation import BROKEN, KILLED, SILENT, STUCK, Bench, serving

# ---- start and stop --------------------------------------------------------------------------------------------------


def test_a_start_asked_twice_is_one_start() -> None:
    bench = Bench()
    assert runs(bench.send(StartAsked())) == [Action.START]
    assert bench.send(StartAsked()) == ()
    bench.done()
    assert bench.send(StartAsked()) == ()
    assert told(bench.take()) == ["starting", "up"]


def test_a_stop_calls_off_a_start_and_repeated_stops_do_not_put_it_off() -> None:
    bench = Bench()
    bench.send(StartAsked())
    assert bench.send(StopAsked("cluster"))[0] == Cancel(1)
    for _ in range(4):
        bench.wait(GRACE / 4)
        bench.send(StopAsked("cluster"))
    assert (bench.phase(), runs(bench.take())) == (Phase.STOPPING, [Action.START, Action.STOP])
    assert told(bench.done()) == ["stopped"]
    assert (bench.phase(), bench.state.reason) == (Phase.IDLE, "stop asked by cluster")


def test_a_start_that_succeeds_after_a_stop_was_asked_is_stopped() -> None:
    bench = Bench()
    bench.send(StartAsked())
    bench.send(StopAsked())
    assert runs(bench.done()) == [Action.STOP]


def test_stop_then_start_during_a_start_does_both_and_costs_no_budget() -> None:
    bench = Bench()
    bench.send(StartAsked())
    bench.send(StopAsked())
    assert told(bench.send(StartAsked("cluster"))) == ["starting"]
    assert runs(bench.done(OURS)) == [Action.STOP]
    assert runs(bench.done()) == [Action.START]
    assert bench.state.reason == "start asked by cluster"
    assert (bench.state.restarts, bench.state.incident) == ((), 0)


def test_a_stop_takes_over_the_stop_of_a_restart() -> None:
    bench = fallen()
    assert told(bench.send(StopAsked())) == ["stopping"]
    assert bench.send(StopAsked()) == ()
    assert bench.phase() is Phase.STOPPING
    assert told(bench.done()) == ["stopped"]
    assert bench.phase() is Phase.IDLE


def test_a_start_asked_while_a_stop_is_in_flight_follows_it() -> None:
    bench = serving()
    bench.send(StopAsked())
    assert told(bench.send(StartAsked())) == ["starting"]
    assert bench.send(StartAsked()) == ()
    assert runs(bench.done()) == [Action.START]


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.OBSERVING, Phase.ASKING, Phase.MISCONFIGURED, Phase.FAILED])
def test_a_stop_asked_while_it_is_faulty_is_begun_at_once(phase: Phase) -> None:
    bench = Bench(state=State(wanted=Wanted.UP, phase=phase, deadline=50.0, dead=True, incident=1, incidents=1))
    orders = bench.send(StopAsked())
    assert (runs(orders), told(orders)) == ([Action.STOP], ["stopping"])
    bench.done()
    assert (bench.phase(), bench.state.incident, bench.state.fault) == (Phase.IDLE, 0, None)


def test_a_failed_stop_is_said_and_tried_again_only_when_asked() -> None:
    bench = serving()
    bench.send(StopAsked())
    assert told(bench.done(STUCK)) == ["stop-failed"]
    assert (bench.phase(), next_deadline(bench.state)) == (Phase.FAILED, None)
    assert runs(bench.send(StopAsked())) == [Action.STOP]
    bench.done(STUCK)
    orders = bench.send(Cleared())
    assert (runs(orders), told(orders)) == ([Action.STOP], ["cleared"])


def test_a_failed_stop_on_the_way_to_a_restart_is_handed_over() -> None:
    bench = fallen()
    orders = bench.done(STUCK)
    assert orders[-1] == Escalate("report", STUCK, 1)
    assert bench.state.reason == "it could not be stopped: a process in state D is left"


def test_a_lost_stop_is_a_failed_stop() -> None:
    bench = fallen()
    bench.wait(bench.policy.stop_timeout + GRACE)
    assert bench.phase() is Phase.FAILED
    assert isinstance(bench.orders[-1], Escalate)
    assert Cancel(2) in bench.orders


def test_after_a_failed_stop_a_start_that_is_asked_for_stops_what_is_left_first() -> None:
    bench = fallen()
    bench.done(STUCK)
    orders = bench.send(StartAsked())
    assert (runs(orders), told(orders)) == ([Action.STOP], ["starting"])
    assert runs(bench.done()) == [Action.START]


def test_a_failed_stop_during_a_pause_is_tried_again_after_it_before_anything_is_started() -> None:
    bench = fallen()
    bench.send(Paused(100.0))
    assert told(bench.done(STUCK)) == ["stop-failed", "observing"]
    bench.take()
    bench.wait(100.0)
    assert runs(bench.take()) == [Action.STOP]
    assert isinstance(bench.done(STUCK)[-1], Escalate)


def test_a_stalled_server_that_waits_is_stopped_first_when_a_start_is_asked() -> None:
    bench = serving()
    bench.send(Paused(1000.0))
    bench.send(Failed(SILENT, hard=True))
    assert runs(bench.send(StartAsked())) == [Action.STOP]
    assert runs(bench.done()) == [Action.START]


def test_a_stop_that_is_asked_near_the_end_of_a_start_waits_no_longer_than_the_start() -> None:
    bench = Bench()
    bench.send(StartAsked())
    bench.wait(bench.policy.start_timeout + GRACE - 1.0)
    bench.send(StopAsked())
    bench.wait(1.0)
    assert bench.phase() is Phase.STOPPING


# ---- planned restarts and reloads ------------------------------------------------------------------------------------


def test_a_planned_restart_tests_stops_and_starts_and_costs_no_budget() -> None:
    bench = serving()
    assert runs(bench.send(RestartAsked())) == [Action.CHECK]
    orders = bench.done()
    assert (runs(orders), told(orders)) == ([Action.STOP], ["restarting"])
    assert isinstance(orders[0], Run)
    assert orders[0].gentle
    assert runs(bench.done()) == [Action.START]
    assert told(bench.done()) == ["up"]
    assert bench.state.restarts == ()


def test_a_planned_restart_with_a_broken_configuration_keeps_what_runs() -> None:
    bench = serving()
    bench.send(RestartAsked())
    assert told(bench.done(BROKEN)) == ["restart-refused"]
    assert (bench.phase(), bench.state.fault, bench.state.planned) == (Phase.UP, BROKEN, False)
    assert bench.state.reason == "kept running: syntax error on line 7"


def test_a_test_that_could_not_run_blames_nobody_but_refuses_the_restart() -> None:
    bench = serving()
    bench.send(RestartAsked())
    assert told(bench.done(OURS)) == ["restart-refused"]
    assert bench.state.fault is None


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.MISCONFIGURED])
def test_a_restart_of_what_is_down_is_a_start(phase: Phase) -> None:
    bench = Bench(state=State(phase=phase, dead=phase is Phase.MISCONFIGURED))
    assert runs(bench.send(RestartAsked())) == [Action.START]
    assert bench.state.wanted is Wanted.UP


def test_a_restart_asked_during_a_restart_is_the_same_restart() -> None:
    bench = fallen()
    assert bench.send(RestartAsked()) == ()


def test_a_restart_asked_during_a_reload_follows_it() -> None:
    bench = serving()
    bench.send(ReloadAsked())
    assert bench.send(RestartAsked("cluster")) == ()
    orders = bench.done()
    assert (runs(orders), told(orders)) == ([Action.CHECK], ["reloaded"])
    assert bench.state.reason == "restart asked by cluster"


def test_a_stop_calls_off_a_reload() -> None:
    bench = serving()
    bench.send(ReloadAsked())
    bench.send(StopAsked())
    bench.send(RestartAsked())
    assert runs(bench.done()) == [Action.STOP]
    assert runs(bench.done()) == [Action.START]


def test_a_reload_says_how_it_went() -> None:
    bench = serving()
    assert runs(bench.send(ReloadAsked())) == [Action.RELOAD]
    assert told(bench.done(BROKEN)) == ["reload-failed"]
    assert (bench.phase(), bench.state.fault) == (Phase.UP, BROKEN)
    assert bench.state.reason == "kept running, the reload failed: syntax error on line 7"
    bench.send(ReloadAsked())
    assert told(bench.done()) == ["reloaded"]
    assert (bench.state.fault, bench.state.reason) == (None, "it took its configuration anew")


def test_a_reload_of_what_is_not_up_is_refused() -> None:
    assert told(Bench().send(ReloadAsked())) == ["reload-refused"]


def test_a_reload_while_nobody_said_what_is_wanted_leaves_it_up() -> None:
    bench = Bench(state=State(phase=Phase.UP))
    bench.send(ReloadAsked())
    bench.done()
    assert bench.phase() is Phase.UP


def test_what_dies_during_a_reload_while_nobody_said_what_is_wanted_is_only_looked_at() -> None:
    bench = Bench(state=State(phase=Phase.UP))
    bench.send(ReloadAsked())
    bench.send(Died(KILLED))
    bench.done(OURS)
    assert (bench.phase(), bench.state.reason) == (Phase.OBSERVING, "wanted is unknown")


def test_a_stop_that_fails_in_a_planned_restart_during_a_pause_opens_an_incident() -> None:
    bench = serving()
    bench.send(Paused(100.0))
    bench.send(RestartAsked())
    bench.done()
    assert told(bench.done(STUCK)) == ["stop-failed", "observing"]
    assert bench.state.incident == 1
