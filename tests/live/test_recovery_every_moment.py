"""koboshi dies at each moment of a repair and of a hand-over, one after the other: what comes of it is the same.

Under a cluster (stand-ins for its commands), where there is most to interrupt. The pure machine is interrupted after
any single order in ``tests/unit/test_machine_interruptions.py``; here are the daemon, its files, threads and programs.
"""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster_glue.client import AskError
from resource_agents.processes import alive, send
from tests.pacemaker_node import Node
from tests.servers import family
from tests.waiting import eventually

pytestmark = pytest.mark.live

#: A story that passes fewer moments than this was not looked at closely.
FEWEST = 12


class Mortal(Node):
    """A node whose koboshi can be told when to die."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        super().__init__(folder, settings)
        self.moment = folder / "moment"
        self.koboshi.inside = (sys.executable, "-m", "tests.crashing", str(self.moment))
        self.koboshi.env["PYTHONPATH"] = str(Path(__file__).parents[2])

    def doomed(self, moment: int, story: Callable[[], bool]) -> bool:
        """Whether koboshi died at this moment, before ``story`` was at its end; it is there again afterwards."""
        gone = self.koboshi.identity
        assert gone is not None
        eventually(lambda: not alive(gone) or story(), what=f"moment {moment} or the end of the story", every=0.02)
        self.moment.unlink()
        try:  # the moment may have come while the story ended
            self.koboshi.ask({"do": "ping"})
        except AskError:
            eventually(lambda: not alive(gone), what=f"the end of koboshi at moment {moment}")
        if died := not alive(gone):
            self.koboshi.start()
        return died

    def arm(self, moment: int) -> None:
        """Die at this moment from now on."""
        fresh = self.moment.with_suffix(".new")
        fresh.write_text(str(moment))
        fresh.replace(self.moment)

    @property
    def passed(self) -> list[str]:
        """All moments that were passed so far."""
        return self.moment.with_name("moment.passed").read_text().splitlines()


def test_a_repair_is_finished_once_at_whatever_moment_koboshi_dies(tmp_path: Path) -> None:
    with Mortal(tmp_path) as here:
        policy = {"restart_limit": "1000", "restart_wait": "0", "restart_window": "1000000", "start_timeout": "20"}
        assert here.ocf("start", **policy) == 0
        for moment in itertools.count(1):
            old = here.koboshi.main("web")
            spent = len(here.koboshi.saved("web")["restarts"])
            here.arm(moment)
            send(old.identity, signal.SIGKILL)

            def over(spent: int = spent) -> bool:
                saved = here.koboshi.saved("web")
                return saved["phase"] == "up" and len(saved["restarts"]) > spent

            died = here.doomed(moment, over)
            new = here.koboshi.until_new_main("web", old)
            where = f"koboshi died at moment {moment} ({here.passed[-1]})"
            assert [one.pid for one in family(here.instance) if one.ppid not in pids(here)] == [new.pid], where
            assert len(here.koboshi.saved("web")["restarts"]) == spent + 1, where
            assert here.ocf("monitor", 10_000) == 0, where
            if not died:
                break
        assert moment > FEWEST, here.passed
        assert here.commands.calls("attrd_updater") == []


@pytest.mark.parametrize("push", ["attribute", "fail"])
def test_a_hand_over_is_told_once_at_whatever_moment_koboshi_dies(push: str, tmp_path: Path) -> None:
    """The attribute says the same however often it is said; a simulated failure must not be said twice."""
    with Mortal(tmp_path, f'push = "{push}"\n') as here:
        here.commands.expect("attrd_updater")
        here.commands.expect("crm_resource")
        for moment in itertools.count(1):
            assert here.ocf("start", restart_limit="0", start_timeout="20") == 0
            eventually(lambda: not (tmp_path / "run/handed/web.json").exists(), what="the taking back of the last one")
            here.koboshi.until("web", "up")
            told, said = len(pushes(here, push)), len(here.koboshi.lines("escalated", "web"))
            here.arm(moment)
            here.kill()

            def over() -> bool:
                saved = here.koboshi.saved("web")
                return saved["phase"] == "failed" and not saved["owed"]

            died = here.doomed(moment, over)
            where = f"koboshi died at moment {moment} ({here.passed[-1]})"
            eventually(over, what=f"the end of the hand-over: {where}")
            eventually(lambda: here.ocf("monitor", 10_000) == 1, what=f"the same answer: {where}")
            calls = pushes(here, push)[told:]
            assert len({tuple(call) for call in calls}) <= 1, where
            assert len(calls) <= (1 if push == "fail" else 2), where
            assert calls or push == "fail", where
            assert len(here.koboshi.lines("escalated", "web")) - said <= 2, where
            assert here.koboshi.saved("web")["restarts"] == [], where
            assert here.ocf("stop") == 0
            if not died:
                break
        assert moment > FEWEST, here.passed


def pids(here: Node) -> set[int]:
    """All processes of the server."""
    return {one.pid for one in family(here.instance) if not one.dead}


def pushes(here: Node, push: str) -> list[list[str]]:
    """What was told to the cluster, without what was taken back."""
    if push == "fail":
        return [call for call in here.commands.calls("crm_resource") if call[1] == "--fail"]
    return [call for call in here.commands.calls("attrd_updater") if call[-1] != "-D"]
