"""The promises of the design in a world with a server, faults, and a clock of its own."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue.recovery.machine import step
from cluster_glue.recovery.model import (
    Answered,
    Event,
    Failed,
    Paused,
    Phase,
    Renewed,
    Run,
    StartAsked,
    StopAsked,
    Tell,
)
from cluster_glue.recovery.policy import Policy
from tests.histories import (
    FAULTS,
    WORLDS,
    in_manners,
    manner,
    policy,
    started,
)
from tests.simulation import NO_START, SILENT, Bench, Server, World


@WORLDS
@given(policy, st.lists(manner, max_size=12), st.booleans(), st.lists(st.sampled_from(["", "no", None]), max_size=4))
def test_lost_actions_and_unanswered_questions_never_wedge_it(
    policy: Policy, manners: list[str], stuck: bool, answers: list[str | None]
) -> None:
    said = itertools.chain(answers, itertools.repeat(""))
    world = World(policy, Server(stuck=stuck), in_manners(manners), refusal=lambda now: next(said))
    started(world)
    world.at(200.0, world.kill)
    world.run(3000.0)
    assert world.state.phase in (Phase.UP, Phase.FAILED)
    assert world.server.running or world.state.phase is not Phase.UP


@WORLDS
@given(policy, st.lists(manner, max_size=6), st.floats(1.0, 60.0))
def test_a_cancelled_start_ends_stopped(policy: Policy, manners: list[str], when: float) -> None:
    world = World(policy, manners=in_manners(manners), duration=30.0)
    started(world)
    world.at(when, StopAsked("cluster"))
    world.run(1000.0)
    assert world.state.phase in (Phase.IDLE, Phase.FAILED)
    assert not world.server.running
    if world.state.phase is Phase.FAILED:
        assert any(isinstance(order, Tell) and order.message == "stop-failed" for _, order in world.history)


@WORLDS
@given(policy, st.lists(manner, max_size=12), st.booleans(), st.sampled_from([0.1, 7.0, 40.0]))
def test_a_dead_server_is_handed_over_within_its_time(
    policy: Policy, manners: list[str], hangs_again: bool, duration: float
) -> None:
    """Within (restarts + 1) x longest cycle: whether starts fail, or succeed and the server hangs again each time."""
    server = Server(hangs_again=False)
    world = World(policy, server, duration=duration)
    started(world)
    world.run(99.0)
    assert world.state.phase is Phase.UP
    server.hangs_again = hangs_again
    if not hangs_again:
        server.starts = itertools.repeat(NO_START)
    world.manners = in_manners(manners)
    world.at(100.0, world.kill)
    bound = (policy.restart_limit + 1) * policy.longest_cycle()
    world.run(100.0 + bound)
    assert len(world.handed_over) == 1
    world.run(100.0 + 5 * bound)
    assert len(world.handed_over) == 1


def test_a_healthy_server_is_never_touched_in_a_simulated_year() -> None:
    """Slow answers, single failed probes below the threshold and void samples for a year: not one order but words."""
    policy, chance = Policy(probe_interval=120.0, lease=360.0), random.Random(7)
    bench = Bench(policy)
    bench.send(StartAsked())
    bench.done()
    bench.take()
    state, now, year = bench.state, 0.0, 365 * 86400.0
    good, slow = Answered(0.02), Answered(4.0)
    probes = 0
    while now < year:
        now += policy.probe_interval
        luck = chance.random()
        events: tuple[Event, ...] = (good,)
        if luck < 0.001:
            events = (Failed(SILENT),) * (policy.failure_threshold - 1) + (good,)
        elif luck < 0.002:
            events = (slow, Renewed())
        elif luck < 0.003:
            events = (Failed(FAULTS[-1], hard=True), Failed(FAULTS[-2]), good)
        for event in events:
            state, orders = step(state, event, now, policy)
            assert all(type(order) is Tell for order in orders)
        probes += 1
    assert (state.phase, state.restarts, state.incidents) == (Phase.UP, (), 0)
    assert probes > 250_000


@WORLDS
@given(st.integers(1, 5), st.floats(600.0, 7200.0), st.sampled_from([3600.0, 7200.0, 86400.0]))
def test_a_flapping_server_is_handed_over_exactly_when_its_budget_is_spent(
    limit: int, every: float, window: float
) -> None:
    world = World(Policy(restart_limit=limit, restart_window=window, probe_interval=0.0))
    started(world)
    falls = [100.0 + every * fall for fall in range(20)]
    for fall in falls:
        world.at(fall, world.kill)
    world.run(falls[-1] + 100.0)
    full = [fall for index, fall in enumerate(falls) if index >= limit and fall - falls[index - limit] < window]
    assert [time for time, _ in world.handed_over] == [pytest.approx(fall, abs=1.0) for fall in full[:1]]


@pytest.mark.parametrize("paused", [True, False])
def test_while_nobody_lets_it_act_a_dead_server_is_only_looked_at(paused: bool) -> None:
    """For a day: paused, or refused by the clusterware; afterwards it acts."""
    policy = Policy(lease=30.0)
    world = World(policy, refusal=lambda now: "" if paused or now > 86400.0 else "is-managed is false")
    started(world)
    if paused:
        world.at(50.0, lambda: world._turn(Paused(86400.0)))
    world.at(100.0, world.kill)
    world.run(86399.0)
    runs = [order for time, order in world.history if isinstance(order, Run) and time > 99.0]
    assert (world.state.phase in (Phase.OBSERVING, Phase.ASKING), runs) == (True, [])
    assert [order.message for time, order in world.history if isinstance(order, Tell) and time > 99.0] == [
        "fell",
        "observing",
    ]
    world.run(86500.0)
    assert world.state.phase is Phase.UP
