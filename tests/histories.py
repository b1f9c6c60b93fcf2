"""Any history of a resource, and any manners of those who act for it: what properties are tried on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from hypothesis import settings
from hypothesis import strategies as st

from cluster_glue.recovery.model import (
    Answered,
    Cleared,
    ConfigurationChanged,
    Died,
    Done,
    Event,
    Failed,
    Found,
    HandedOver,
    Paused,
    Permitted,
    ReloadAsked,
    Renewed,
    RestartAsked,
    Resumed,
    StartAsked,
    StopAsked,
    Ticked,
)
from cluster_glue.recovery.policy import Policy
from ocf.faults import Fault, Kind
from tests.simulation import BROKEN, DISK, KILLED, NO_START, SILENT, STUCK, Bench, World

HISTORIES = settings(max_examples=80, deadline=None, derandomize=True, database=None)
MANY_HISTORIES = settings(HISTORIES, max_examples=400)
WORLDS = settings(max_examples=60, deadline=None, derandomize=True, database=None)

FAULTS = (KILLED, SILENT, BROKEN, NO_START, STUCK, DISK, Fault("gateway", Kind.DEPENDENCY, "the back end is away"),
          Fault("starved", Kind.OURS, "the probe was not scheduled"))  # fmt: skip
POLICIES = (
    Policy(),
    Policy(lease=30.0, restart_limit=2, success_threshold=2),
    Policy(restart_limit=0, restart_wait=0.0),
    Policy(restart_limit=5, restart_window=900.0, failure_threshold=1, stable_after=5.0, stop_timeout=10.0),
    Policy(restart_wait_max=0.0, on_exhausted="failover", stable_after=0.0),
)

# An event of a history: made when its turn comes, since ends and answers bear the number of what is in flight.
Making = Callable[[Bench], Event]


def _done(number: int, end: Fault | None) -> Making:
    return lambda bench: Done(bench.state.action + number, end)


def _permitted(number: int, refusal: str) -> Making:
    return lambda bench: Permitted(bench.state.action + number, refusal)


def _paused(seconds: float) -> Making:
    return lambda bench: Paused(bench.now + seconds, "works on it")


def _handed_over(bench: Bench) -> Event:
    return HandedOver(bench.state.incident)


def _always(event: Event) -> Making:
    return lambda bench: event


ENDS = [_done(number, end) for number, end in itertools.product((0, 0, 0, 0, 1), (None, None, None, *FAULTS))]
REPORTS = [_always(each) for fault in FAULTS for each in (Died(fault), Failed(fault), Failed(fault, hard=True))]
ANSWERS = [_permitted(*each) for each in ((0, ""), (0, ""), (0, ""), (0, "not managed"), (1, ""))]
LOOKS = [_always(each) for each in (Found(True), Found(False), Answered(0.1), Answered(9.0), Ticked())]
WISHES = [_always(each) for each in (StartAsked(), StopAsked(), RestartAsked(), ReloadAsked(), Cleared(), Resumed())]
NEWS = [_always(ConfigurationChanged()), _always(Renewed()), _handed_over, *map(_paused, (1.0, 20.0, 3600.0))]
making = st.sampled_from([*ENDS, *REPORTS, *ANSWERS * 4, *LOOKS * 4, *WISHES * 3, *NEWS * 3])
delay = st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 3.0, 8.0, 40.0, 70.0, 2000.0])
history = st.lists(st.tuples(delay, making), min_size=5, max_size=30)
policy = st.sampled_from(POLICIES)


def play(policy: Policy, events: list[tuple[float, Making]], begin: float = 0.0, started: bool = True) -> Bench:
    """A bench after these events, each after its seconds; ``started`` with a server that is up first."""
    bench = Bench(policy, now=begin)
    if started:
        bench.send(StartAsked())
        bench.done()
    for seconds, make in events:
        bench.wait(seconds)
        bench.send(make(bench))
    return bench


manner = st.sampled_from(["ok", "ok", "late", "wrong", "never"])


def in_manners(first: list[str]) -> Iterator[str]:
    """How the first actions are answered; all that follow are answered well."""
    return itertools.chain(first, itertools.repeat("ok"))


def started(world: World) -> None:
    """The cluster asks for a start at second 1."""
    world.at(1.0, StartAsked("cluster"))
