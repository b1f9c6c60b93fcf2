"""The daemon is killed at any moment: what is saved is enough to go on, and nothing is done twice that must not be."""

from __future__ import annotations

import itertools

import pytest

from cluster_glue.recovery.machine import next_deadline
from cluster_glue.recovery.model import (
    Action,
    ConfigurationChanged,
    Died,
    Escalate,
    Failed,
    Found,
    HandedOver,
    Paused,
    Phase,
    Renewed,
    RestartAsked,
    Run,
    StartAsked,
    StopAsked,
)
from cluster_glue.recovery.policy import Policy
from tests.histories import (
    started,
)
from tests.simulation import DISK, KILLED, NO_START, SILENT, Bench, World


def _story(name: str, kill_after: int | None) -> World:
    policy = Policy(restart_limit=2, lease=60.0 if name.startswith("leased") else 0.0)
    world = World(policy, kill_after=kill_after)
    server = world.server
    started(world)
    world.at(100.0, world.kill)
    if "dead" in name:
        world.at(99.0, lambda: setattr(server, "starts", itertools.repeat(NO_START)))
    if "late" in name:
        server.starts = iter([None, NO_START, *[None] * 9])
    if "stuck" in name:
        world.at(99.0, lambda: setattr(server, "stuck", True))
        world.at(98.0, lambda: setattr(server, "takes", None))
        world.at(99.5, lambda: world._turn(Failed(SILENT, hard=True)))
    if "broken" in name:
        world.at(99.0, lambda: setattr(server, "broken", True))
        world.at(200.0, lambda: setattr(server, "broken", False))
        world.at(200.0, ConfigurationChanged())
    if "host" in name:
        world.at(99.0, Failed(DISK, hard=True))
    if "stop" in name:
        world.at(100.2, StopAsked("cluster"))
    if "stop and start" in name:
        world.at(100.3, StartAsked("cluster"))
    if "restart" in name:
        world.at(50.0, RestartAsked())
    if "paused" in name:
        world.at(40.0, Paused(150.0))
    return world


STORIES = ("healed", "leased healed", "dead", "leased dead", "late", "stuck", "broken", "host", "stop",
           "stop and start", "restart", "paused", "paused restart", "leased paused late")  # fmt: skip


def _outcome(world: World) -> tuple[object, ...]:
    state = world.state
    return (
        state.wanted, state.phase, len(state.restarts), state.incidents, state.incident,
        state.fault, state.owed, world.server.running, len(world.handed_over),
    )  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_interrupted_after_any_single_order_the_outcome_is_the_same(name: str) -> None:
    """Killed before, between and after all orders of a story; the budget is neither refilled nor spent twice."""
    whole = _story(name, None)
    whole.run(1000.0)
    for kill_after in range(len(whole.history) + 1):
        world = _story(name, kill_after)
        world.run(1000.0)
        assert _outcome(world) == _outcome(whole), f"killed after {kill_after} orders"


def test_the_stories_end_differently() -> None:
    """What the interruptions are tried on is worth it."""
    ends = {}
    for name in STORIES:
        world = _story(name, None)
        world.run(1000.0)
        ends[name] = (world.state.phase, len(world.state.restarts), len(world.handed_over))
    assert ends["healed"] == (Phase.UP, 1, 0)
    assert ends["dead"] == ends["leased dead"] == (Phase.FAILED, 2, 1)
    assert ends["late"] == (Phase.UP, 2, 0)
    assert ends["stuck"] == (Phase.FAILED, 1, 1)
    assert ends["broken"] == (Phase.UP, 2, 0)
    assert ends["host"] == (Phase.FAILED, 0, 1)
    assert ends["stop"] == (Phase.IDLE, 1, 0)
    assert ends["stop and start"] == (Phase.UP, 1, 0)
    assert ends["restart"] == ends["paused"] == (Phase.UP, 1, 0)


def test_a_hand_over_is_ordered_again_only_until_it_is_known_to_be_done() -> None:
    bench = Bench(Policy(restart_limit=0))
    bench.send(StartAsked())
    bench.done()
    bench.send(Died(KILLED))
    first = bench.take()[-1]
    assert isinstance(first, Escalate)
    assert bench.reborn() == (first,)
    bench.send(HandedOver(first.incident + 1))
    assert bench.reborn() == (first,)
    bench.send(HandedOver(first.incident))
    assert bench.reborn() == ()


def test_what_became_forbidden_during_an_interruption_is_not_taken_up_again() -> None:
    """The cluster may have started it elsewhere while the daemon was away."""
    bench = Bench(Policy(lease=30.0))
    bench.send(StartAsked("cluster"))
    bench.done()
    bench.send(Died(KILLED))
    bench.permit()
    bench.done()
    assert bench.phase() is Phase.STARTING
    bench.now += 3600.0
    assert not any(isinstance(order, Run) for order in bench.reborn())
    assert bench.phase() is Phase.OBSERVING
    bench.send(Found(False))
    bench.send(Renewed())
    assert bench.phase() is Phase.ASKING


def test_a_start_that_was_called_off_is_not_begun_again_after_an_interruption() -> None:
    bench = Bench()
    bench.send(StartAsked())
    bench.send(StopAsked())
    (order,) = (order for order in bench.reborn() if isinstance(order, Run))
    assert order.action is Action.STOP


def test_a_long_suspend_leaves_deadlines_behind_and_the_machine_catches_up() -> None:
    bench = Bench(Policy(lease=30.0))
    bench.send(StartAsked("cluster"))
    bench.send(Paused(500.0))
    bench.now += 7 * 86400.0
    bench.until(bench.now)
    assert not isinstance(next_deadline(bench.state), float) or bench.state.deadline > bench.now  # type: ignore[operator]
    assert bench.state.paused_until is None
