"""The restart budget: three in a day, then koboshi says so, once, and leaves the server alone."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from resource_agents.processes import send
from tests.koboshi_daemon import daemon, table
from tests.servers import answers, apache_instance, family
from tests.waiting import eventually

pytestmark = pytest.mark.live


def test_three_deaths_in_the_window_are_repaired_and_the_fourth_is_reported(tmp_path: Path) -> None:
    """The acceptance of the main job, with default settings."""
    instance = apache_instance(tmp_path)
    with daemon(tmp_path, table(instance)) as koboshi:
        for _ in range(3):
            main = koboshi.main("web")
            send(main.identity, signal.SIGKILL)
            koboshi.until_new_main("web", main)
            assert answers(instance.url)
        send(koboshi.main("web").identity, signal.SIGKILL)
        status = koboshi.until("web", "failed")
        assert status["restarts"] == 3
        assert "3 of 3 restarts in 86400 s are spent" in status["reason"]
        koboshi.until_incident_ended("web", 4, "exhausted")
        assert [one.ending for one in reversed(koboshi.incidents("web"))] == ["recovered"] * 3 + ["exhausted"]
        assert len(koboshi.lines("exhausted", "web")) == 1

        story = koboshi.command("why")
        assert story.returncode == 0
        for word in ("web-4", "was killed by SIGKILL", "did not restart it", "3 of 3 restarts", "web fell at"):
            assert word in story.stdout, story.stdout
        asked = koboshi.command("status")
        assert asked.returncode == 1
        assert "failed" in asked.stdout

        koboshi.kill()
        koboshi.start()
        assert koboshi.status("web")["phase"] == "failed", "a new koboshi gives no new budget"
        assert koboshi.status("web")["restarts"] == 3

        koboshi.do("clear", "web")
        koboshi.until("web", "up")
        assert answers(instance.url)
        assert koboshi.status("web")["restarts"] <= 1
        koboshi.do("stop", "web")
        koboshi.until("web", "idle")
        assert family(instance) == []


def test_waits_grow_between_tries_in_a_row(tmp_path: Path) -> None:
    instance = apache_instance(tmp_path)
    with daemon(tmp_path, table(instance, restart_wait=0.5, restart_limit=3)) as koboshi:
        for _ in range(3):
            main = koboshi.main("web")
            send(main.identity, signal.SIGKILL)
            koboshi.until_new_main("web", main)
        times = koboshi.saved("web")["restarts"]
        assert times[1] - times[0] >= 0.5
        assert times[2] - times[1] >= 1.0
        eventually(lambda: len(koboshi.incidents("web")) == 3, what="three incidents")
