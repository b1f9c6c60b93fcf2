"""The administrator's flag file on a machine alone, where no clusterware is asked before a repair."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from cluster_glue.config_model import ResourceConfig
from cluster_glue.glue_model import Glue
from cluster_glue.recovery.engine import Engine, now
from cluster_glue.recovery.flag import FLAGGED, heed
from cluster_glue.recovery.model import Died, Paused, Phase, Resumed, State, StopAsked, Tell, Ticked
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.watch import Watch
from ocf.faults import unknown
from resource_agents.cgroups import tag_of
from tests.ports import free_port
from tests.unit.test_ocf_service import Ware
from tests.waiting import LONG


def test_nothing_is_repaired_while_the_flag_is_there_and_everything_once_it_is_gone(tmp_path: Path) -> None:
    flag, told = tmp_path / "maintenance", list[Tell]()

    async def until(watch: Watch, phase: Phase) -> None:
        async with asyncio.timeout(LONG):
            while watch.state.phase is not phase:
                await watch.turned.wait()

    async def talk() -> None:
        engine = Engine(tmp_path, tag_of(tmp_path), lambda _, tell: told.append(tell), Ware())
        loop = asyncio.create_task(engine.run())
        values = {"start_command": f"/bin/sleep 86400.{free_port()}"}
        engine.add(ResourceConfig("web", "command", values, Policy(), glue=Glue(maintenance_flag=str(flag))), 0)
        watch = engine.watches["web"]
        await until(watch, Phase.UP)
        flag.touch()
        assert watch.remembered is not None
        os.kill(watch.remembered.main.pid, signal.SIGKILL)
        engine.turn(watch, Died(unknown("it was killed")))
        engine.turn(watch, Paused(now() + 0.1, "the operator's own, which ends first"))
        await asyncio.sleep(0.2)
        for _ in range(3):
            engine.turn(watch, Ticked())
            assert watch.state.phase is Phase.OBSERVING
        flag.unlink()
        engine.turn(watch, Ticked())
        await until(watch, Phase.UP)
        assert len(watch.state.restarts) == 1
        engine.turn(watch, StopAsked())
        await until(watch, Phase.IDLE)
        loop.cancel()
        if watch.group is not None:
            watch.group.remove()

    asyncio.run(talk())
    messages = [tell.message for tell in told]
    assert [message for message in messages if message in ("paused", "resumed", "restarting")] == [
        *("paused", "paused", "resumed", "paused", "resumed", "restarting"),
    ]
    assert next(tell.detail for tell in told if tell.message == "paused") == f"by maintenance_flag: {flag} exists"


def test_a_flag_that_is_configured_no_longer_ends_with_its_pause(tmp_path: Path) -> None:
    flag = tmp_path / "maintenance"
    flag.touch()
    paused = heed(str(flag), State(), 100.0)
    assert paused == Paused(FLAGGED, f"{flag} exists", "maintenance_flag")
    assert heed(str(flag), State(paused_until=FLAGGED), 200.0) is None
    assert heed("", State(paused_until=FLAGGED), 200.0) == Resumed("maintenance_flag")
    assert heed("", State(paused_until=300.0), 200.0) is None, "the operator's own"
