"""Benches in the states that tests of the machine begin with, and what orders say."""

from __future__ import annotations

from cluster_glue.recovery.model import (
    Action,
    Died,
    Order,
    Phase,
    Run,
    Tell,
)
from cluster_glue.recovery.policy import Policy
from ocf.faults import Fault, Kind
from tests.simulation import BROKEN, KILLED, Bench, serving

GATEWAY = Fault("gateway", Kind.DEPENDENCY, "the back end is away")
OURS = Fault("starved", Kind.OURS, "the probe was not scheduled")


def told(orders: tuple[Order, ...] | list[Order]) -> list[str]:
    return [order.message for order in orders if isinstance(order, Tell)]


def runs(orders: tuple[Order, ...] | list[Order]) -> list[Action]:
    return [order.action for order in orders if isinstance(order, Run)]


def fallen(policy: Policy | None = None) -> Bench:
    """Killed; its restart is in flight."""
    bench = serving(policy)
    bench.send(Died(KILLED))
    return bench


def misconfigured() -> Bench:
    """Killed; its start found the configuration broken."""
    bench = fallen()
    bench.done()
    bench.done(BROKEN)
    assert bench.phase() is Phase.MISCONFIGURED
    bench.take()
    return bench


def exhausted(policy: Policy | None = None) -> Bench:
    bench = serving(policy or Policy(restart_limit=0))
    bench.send(Died(KILLED))
    assert bench.phase() is Phase.FAILED
    bench.take()
    return bench
