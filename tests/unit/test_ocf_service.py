"""A lease that lapsed is given anew by the cluster's next question, whatever the answer would have been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cluster_glue.ocf_service import OcfService
from cluster_glue.recovery.engine import Engine, now
from cluster_glue.recovery.model import Escalate, Phase, State, StopAsked, Wanted
from cluster_glue.recovery.store import Store
from cluster_glue.recovery.watch import Watch
from ocf.faults import unknown
from resource_agents import mandates
from resource_agents.cgroups import tag_of
from tests.ports import free_port
from tests.waiting import LONG

#: Seconds in which a repair must succeed.
REPAIR_TIME = 2.0

HOUR = 3600.0


class Ware:
    """A clusterware that permits, unless it has a reason."""

    def __init__(self, refusal: str = "", before: Callable[[], None] = lambda: None) -> None:
        self.refusal, self.before, self.asked = refusal, before, 0

    async def permission(self, watch: Watch, timeout: float) -> str:
        self.asked += 1
        self.before()
        return self.refusal

    async def escalate(self, watch: Watch, order: Escalate) -> None:
        raise AssertionError("nothing is handed over here")


def forsaken() -> State:
    """Dead in maintenance, which lasted longer than the lease."""
    return State(
        wanted=Wanted.UP, phase=Phase.OBSERVING, since=now() - HOUR, deadline=now() + HOUR, dead=True, incident=1,
        incidents=1, fault=unknown("it was killed"), lease_until=now() - HOUR / 2, reason="in maintenance",
        refusal="in maintenance",
    )  # fmt: skip


class Stage:
    """One resource ``web`` in the care of a daemon."""

    def __init__(self, runtime: Path, ware: Ware, state: State) -> None:
        values = {"start_command": f"/bin/sleep 86400.{free_port()}", "repair_time": f"{REPAIR_TIME:g}s"}
        request = {"agent": "command", "instance": "web", "values": values, "timeout": 20.0}
        self.runtime = runtime
        self.mandate = mandates.give(runtime, "web", request)
        Store(runtime / "resources").save("web", state, None)
        self.engine = Engine(runtime, tag_of(runtime), lambda *_: None, ware)
        self.ocf = OcfService(self.engine, runtime, lambda _: 1, lambda *_: None, lambda _: 0.0)
        self.engine.observers.append(self.ocf)
        self.ocf.take_up()
        self.watch = self.engine.watches["web"]

    async def monitor(self, interval: float = 10.0) -> str | None:
        """The condition that a monitor hears; None: look yourself."""
        request = {"action": "monitor", "instance": "web", "timeout": 20.0, "interval": interval, "mandate": ""}
        return (await self.ocf.answer(request)).get("condition")

    async def until(self, phase: Phase) -> None:
        async with asyncio.timeout(LONG):
            while self.watch.state.phase is not phase:
                await self.watch.turned.wait()


@asynccontextmanager
async def stage(runtime: Path, ware: Ware, state: State) -> AsyncIterator[Stage]:
    made = Stage(runtime, ware, state)
    loop = asyncio.create_task(made.engine.run())
    try:
        yield made
    finally:
        if "web" in made.engine.watches:
            made.engine.turn(made.watch, StopAsked())
            await made.until(Phase.IDLE)
        loop.cancel()
        if made.watch.group is not None:
            made.watch.group.remove()


def test_what_fell_in_a_maintenance_that_outlasted_the_lease_is_repaired_when_the_cluster_asks_again(
    tmp_path: Path,
) -> None:
    """And the time of that repair begins now: the cluster hears nothing of it, so that there is one who acts."""

    async def talk() -> None:
        ware = Ware()
        async with stage(tmp_path, ware, forsaken()) as web:
            assert await web.monitor(interval=0) == "stopped", "a probe is no renewal"
            await asyncio.sleep(REPAIR_TIME * 1.1)  # down for longer than a repair may take
            assert await web.monitor() == "repairing"
            await web.until(Phase.UP)
            assert await web.monitor() == "running"
            assert len(web.watch.state.restarts) == ware.asked == 1

    asyncio.run(talk())


def test_the_clusters_no_is_told_as_before_when_the_lease_is_given_anew(tmp_path: Path) -> None:
    async def talk() -> None:
        ware = Ware("in maintenance")
        async with stage(tmp_path, ware, forsaken()) as web:
            assert [await web.monitor(), await web.monitor()] == ["stopped", "stopped"]
            assert (web.watch.state.phase, web.watch.state.reason) == (Phase.OBSERVING, "in maintenance")
            assert ware.asked == 1, "under a lease that holds a bad answer renews nothing"

    asyncio.run(talk())


def test_a_pause_that_holds_is_not_ended_by_the_clusters_question(tmp_path: Path) -> None:
    async def talk() -> None:
        ware, state = Ware(), replace(forsaken(), paused_until=now() + HOUR)
        async with stage(tmp_path, ware, state) as web:
            assert await web.monitor() == "stopped"
            assert (web.watch.state.lease_until, ware.asked) == (state.lease_until, 0)

    asyncio.run(talk())


def test_what_was_asked_to_stop_is_not_started_by_a_question(tmp_path: Path) -> None:
    async def talk() -> None:
        ware = Ware()
        async with stage(tmp_path, ware, replace(forsaken(), wanted=Wanted.DOWN)) as web:
            assert await web.monitor() == "stopped"
            assert ware.asked == 0

    asyncio.run(talk())


def test_a_stop_that_comes_while_the_cluster_is_asked_leaves_nothing_to_start(tmp_path: Path) -> None:
    async def talk() -> None:
        ware = Ware(before=lambda: mandates.withdraw(tmp_path, "web"))
        async with stage(tmp_path, ware, forsaken()) as web:
            assert await web.monitor() is None
            assert web.engine.watches == {}
            assert (ware.asked, web.watch.state.restarts) == (1, ())

    asyncio.run(talk())
