"""What a probe's event is worth, once the other sensors were asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cluster_glue.recovery.attendance import Sensors
from cluster_glue.recovery.model import Answered, Event, Failed
from cluster_glue.recovery.sensors.listening import gone_away
from ocf.faults import Fault, Kind, unknown

AWAY = gone_away("192.0.2.1")
GOOD = Answered(0.01)


def examined(event: Answered | Failed, fault: Fault | None, unreached: Fault | None) -> Event:
    """The event as it counts, for a resource whose incident is ``fault``."""

    async def same(_: object, event: Answered | Failed) -> Answered | Failed:
        return event

    sensors: Any = SimpleNamespace(
        _examine=same, _sockets=SimpleNamespace(unreached=lambda _: unreached, blame=lambda _: None)
    )
    watch: Any = SimpleNamespace(name="web", state=SimpleNamespace(fault=fault))
    return asyncio.run(Sensors._examined(sensors, watch, event))


def test_an_answer_on_this_machine_is_no_recovery_while_nobody_else_reaches_the_server() -> None:
    assert examined(GOOD, AWAY, AWAY) == Failed(AWAY)
    assert examined(GOOD, AWAY, None) == GOOD, "the address is back"


@pytest.mark.parametrize("fault", [None, unknown("mute", Kind.RESOURCE)])
def test_an_answer_counts_where_the_machine_is_not_the_trouble(fault: Fault | None) -> None:
    """What a restart is about to mend, or nothing at all: the fact of the machine is told by its own sensor."""
    assert examined(GOOD, fault, AWAY) == GOOD


def test_what_failed_stays_what_it_was_where_nothing_explains_it() -> None:
    event = Failed(unknown("mute", Kind.RESOURCE))
    assert examined(event, None, AWAY) == event


def test_a_standstill_is_said_and_not_again_and_again() -> None:
    clock, told = [1000.0], list[str]()
    sensors: Any = SimpleNamespace(
        _loop=SimpleNamespace(time=lambda: clock[0]), _told_at=float("-inf"),
        _tell=lambda name, tell: told.append(f"{name}{tell.message} {tell.detail.split(':')[0]}"),
    )  # fmt: skip
    for later, seconds in ((0.0, 1.9), (1.0, 6.0), (5.0, 6.0), (59.0, 2.5)):
        clock[0] += later
        Sensors._stood_still(sensors, seconds)
    assert told == [
        "stood-still koboshi was not scheduled for 6 s",
        "stood-still koboshi was not scheduled for 2.5 s",
    ]
