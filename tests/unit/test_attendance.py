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
