"""The machine and a broken configuration: no loop, no budget for wrong saves, and a start once it is mended."""

from __future__ import annotations

from cluster_glue.recovery.machine import next_deadline
from cluster_glue.recovery.model import (
    Action,
    ConfigurationChanged,
    Found,
    Phase,
    StartAsked,
)
from cluster_glue.recovery.policy import GRACE, Policy
from cluster_glue.recovery.repair import LOOK_AGAIN
from ocf.faults import Fault, Kind
from tests.cases import fallen, misconfigured, runs, told
from tests.simulation import BROKEN, Bench


def test_a_broken_configuration_is_not_retried_and_wrong_saves_cost_no_budget() -> None:
    bench = misconfigured()
    spent = bench.state.restarts
    for _ in range(20):
        bench.wait(7.0)
        assert runs(bench.send(ConfigurationChanged())) == [Action.CHECK]
        assert bench.done(BROKEN) == ()
    assert bench.state.restarts == spent


def test_another_mistake_in_the_configuration_is_said() -> None:
    bench = misconfigured()
    bench.send(ConfigurationChanged())
    other = Fault("syntax-error", Kind.CONFIGURATION, "syntax error on line 9")
    assert told(bench.done(other)) == ["misconfigured"]
    assert bench.state.reason == other.reason


def test_a_mended_configuration_is_started() -> None:
    bench = misconfigured()
    bench.wait(5.0)
    bench.send(ConfigurationChanged())
    assert bench.state.reason == "the configuration changed"
    assert runs(bench.done()) == [Action.STOP]
    bench.done()
    assert told(bench.done()) == ["recovered"]


def test_a_mended_configuration_is_found_even_when_nobody_reports_the_change() -> None:
    bench = misconfigured()
    bench.send(ConfigurationChanged())
    bench.done(BROKEN)
    bench.wait(60.0)
    assert bench.phase() is Phase.CHECKING
    assert runs(bench.done()) == [Action.STOP]


def test_what_the_test_does_not_see_is_not_started_in_a_loop() -> None:
    """The start found the fault and the test passes: only a change makes another start worth while."""
    bench = misconfigured()
    for _ in range(10):
        bench.wait(60.0)
        assert bench.phase() is Phase.CHECKING
        bench.done()
        assert bench.phase() is Phase.MISCONFIGURED
    assert set(runs(bench.take())) == {Action.CHECK}


def test_a_change_during_a_start_or_a_test_is_not_missed() -> None:
    bench = fallen()
    bench.done()
    bench.send(ConfigurationChanged())
    bench.send(ConfigurationChanged())
    orders = bench.done(BROKEN)
    assert (runs(orders), told(orders)) == ([Action.CHECK], ["start-failed", "misconfigured"])
    bench.send(ConfigurationChanged())
    assert runs(bench.done(BROKEN)) == [Action.CHECK]
    assert bench.done(BROKEN) == ()
    assert bench.phase() is Phase.MISCONFIGURED


def test_a_test_that_could_not_run_does_not_hide_what_is_wrong() -> None:
    bench = misconfigured()
    bench.send(ConfigurationChanged())
    bench.wait(bench.policy.check_timeout + GRACE)
    assert (bench.phase(), bench.state.fault) == (Phase.MISCONFIGURED, BROKEN)


def test_what_somebody_started_by_hand_during_a_test_is_left_alone() -> None:
    bench = misconfigured()
    bench.send(ConfigurationChanged())
    bench.send(Found(True))
    assert told(bench.done()) == ["recovered"]
    bench = misconfigured()
    assert told(bench.send(Found(True))) == ["recovered"]


def test_a_look_at_the_configuration_is_never_a_busy_loop() -> None:
    bench = Bench(Policy(restart_wait_max=0.0))
    bench.send(StartAsked())
    bench.done(BROKEN)
    assert next_deadline(bench.state) == LOOK_AGAIN


def test_a_saved_configuration_that_passes_its_test_and_still_does_not_start_is_not_started_in_a_loop() -> None:
    bench = misconfigured()
    bench.send(ConfigurationChanged())
    bench.done()
    bench.until(bench.now + 1.0)
    bench.done()
    bench.done(BROKEN)
    assert len(bench.state.restarts) == 2
    for _ in range(5):
        bench.wait(60.0)
        bench.done()
    assert (bench.phase(), len(bench.state.restarts)) == (Phase.MISCONFIGURED, 2)
