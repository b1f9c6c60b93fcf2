"""The promises of the design, as properties of any history: see :mod:`tests.promises`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster_glue.recovery.machine import next_deadline, step
from cluster_glue.recovery.model import (
    Action,
    Done,
    Escalate,
    Failed,
    Order,
    Phase,
    RestartAsked,
    Run,
    StartAsked,
    StopAsked,
    Tell,
    Wanted,
)
from cluster_glue.recovery.policy import GRACE, Policy
from ocf.faults import Fault, Kind
from tests.histories import (
    FAULTS,
    HISTORIES,
    MANY_HISTORIES,
    Making,
    history,
    play,
    policy,
)
from tests.simulation import KILLED, Bench


@MANY_HISTORIES
@given(policy, history, st.booleans())
def test_no_history_breaks_a_promise(policy: Policy, events: list[tuple[float, Making]], started: bool) -> None:
    """One action in flight; no start after a stop; the budget; silence after a hand-over: see ``tests.promises``."""
    bench = play(policy, events, started=started)
    for _ in range(30):  # and it comes to rest, or goes on by its own deadlines
        due = next_deadline(bench.state)
        if due is None:
            break
        bench.until(due)


@MANY_HISTORIES
@given(policy, history, st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_no_promise_is_broken_by_kills_of_the_daemon(
    policy: Policy, events: list[tuple[float, Making]], kills: list[int]
) -> None:
    bench = Bench(policy)
    for turn, (seconds, make) in enumerate(events):
        bench.wait(seconds)
        bench.send(make(bench))
        if turn in kills:
            bench.reborn()


@HISTORIES
@given(policy, history, st.sampled_from([64.0, 4096.0, 1048576.0]))
def test_shifting_all_times_shifts_the_outcome(
    policy: Policy, events: list[tuple[float, Making]], shift: float
) -> None:
    here, there = play(policy, events), play(policy, events, begin=shift)
    assert here.orders == there.orders
    assert here.state.phase is there.state.phase
    assert [time + shift for time in here.state.restarts] == list(there.state.restarts)


@HISTORIES
@given(policy, history)
def test_the_same_history_gives_the_same_orders(policy: Policy, events: list[tuple[float, Making]]) -> None:
    once, again = play(policy, events), play(policy, events)
    assert (once.state, once.orders) == (again.state, again.orders)


@HISTORIES
@given(policy, history)
def test_while_wanted_is_unknown_nothing_is_done(policy: Policy, events: list[tuple[float, Making]]) -> None:
    bench = Bench(policy)
    for seconds, make in events:
        event = make(bench)
        if not isinstance(event, StartAsked | RestartAsked | StopAsked):
            bench.wait(seconds)
            bench.send(event)
    assert bench.state.wanted is Wanted.UNKNOWN
    assert all(isinstance(order, Tell) for order in bench.orders)


@HISTORIES
@given(policy, history)
def test_only_start_stop_and_restart_change_what_is_wanted(policy: Policy, events: list[tuple[float, Making]]) -> None:
    bench = Bench(policy)
    for seconds, make in events:
        bench.wait(seconds)
        before, event = bench.state.wanted, make(bench)
        bench.send(event)
        assert bench.state.wanted is before or isinstance(event, StartAsked | RestartAsked | StopAsked)


@HISTORIES
@given(policy, history, st.sampled_from([f for f in FAULTS if f.kind is Kind.OURS]), st.booleans())
def test_a_probe_that_could_not_run_changes_nothing(
    policy: Policy, events: list[tuple[float, Making]], ours: Fault, hard: bool
) -> None:
    bench = play(policy, events)
    assert step(bench.state, Failed(ours, hard), bench.now, policy) == (bench.state, ())


@HISTORIES
@given(policy, history)
def test_a_stop_asked_in_any_state_is_begun_within_the_grace(
    policy: Policy, events: list[tuple[float, Making]]
) -> None:
    bench = play(policy, events)
    bench.send(StopAsked())
    bench.wait(GRACE)
    bench.wait(policy.stop_timeout + GRACE)
    assert bench.phase() is Phase.FAILED  # since nobody answers, the stop is lost in the end: but it was tried
    assert any(isinstance(order, Run) and order.action is Action.STOP for order in bench.orders)


@HISTORIES
@given(policy, history)
def test_a_start_asked_in_any_state_leads_up_when_all_goes_well(
    policy: Policy, events: list[tuple[float, Making]]
) -> None:
    bench = play(policy, events)
    bench.send(StartAsked())
    for _ in range(4):
        if bench.phase() is Phase.ASKING:
            bench.permit()
        elif bench.phase() is not Phase.UP:
            bench.done()
    assert (bench.phase(), bench.state.wanted) == (Phase.UP, Wanted.UP)


@HISTORIES
@given(policy, history)
def test_an_event_that_changes_nothing_gives_back_the_very_state(
    policy: Policy, events: list[tuple[float, Making]]
) -> None:
    """So the engine need not save it: what idles costs nothing."""
    bench = play(policy, events)
    before = bench.state
    after, orders = step(before, Done(before.action + 5, KILLED), bench.now, policy)
    assert after is before
    assert orders == ()


@HISTORIES
@given(policy, history)
def test_hands_go_before_words(policy: Policy, events: list[tuple[float, Making]]) -> None:
    bench = Bench(policy)
    for seconds, make in events:
        bench.wait(seconds)
        orders: tuple[Order, ...] = bench.send(make(bench))
        words = [isinstance(order, Tell) for order in orders if not isinstance(order, Escalate)]
        assert words == sorted(words)
