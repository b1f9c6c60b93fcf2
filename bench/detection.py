"""Row ``detection``: from ``kill -9`` to the engine having the event.

The daemon that is measured is the real one. When it had the event is the time that it handed to its recovery machine
with it, which the machine keeps as the time of the restart it ordered, on the same clock as ours.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from bench.asking import now
from bench.figures import Line
from bench.idle import Sleepers
from bench.stage import Stage, Unavailable, until
from resource_agents.processes import send

#: Milliseconds on an idle machine.
BOUNDS = {"p50": 3.0, "p99": 10.0}

RESOURCES = 10


def detection(stage: Stage) -> Iterator[Line]:
    """Kill sleeping processes in turn."""
    line = Line("detection", "kill -9 to the event", "koboshi", "ms", bounds=BOUNDS, bound="median 3, p99 10")
    rounds = stage.count(30, 4)
    try:
        with Sleepers(stage, RESOURCES) as keeper:
            for number in range(rounds):
                stage.say(f"round {number + 1} of {rounds}")
                for name in keeper.resources:
                    line.samples.append(_once(keeper, name) * 1000)
    except Unavailable as why:
        line.note = str(why)
    yield line


def _once(keeper: Sleepers, name: str) -> float:
    """Seconds from the kill to the event."""
    until(lambda: keeper.saved(name).get("phase") == "up", 20.0, f"{name} up")
    before = keeper.restarts(name)
    time.sleep(0.01)  # the loop has gone back to sleep
    when = now()
    send(keeper.main(name), signal.SIGKILL)
    until(lambda: len(keeper.restarts(name)) > len(before), 10.0, f"{name}'s restart", 0.002)
    return keeper.restarts(name)[-1] - when
