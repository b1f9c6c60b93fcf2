"""What the clusterware's scripts call answers the truth, whatever became of its log or of koboshi's configuration."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster_glue.config_model import Config, Settings
from cluster_glue.connectors.clusterware import Subject, load
from cluster_glue.connectors.runner import Connectors
from cluster_glue.glue_model import Glue
from resource_agents.processes import everyone
from tests.house import ROOT
from tests.koboshi_daemon import KOBOSHI
from tests.ports import free_port

TABLE = """\
[koboshi]
connector = "serviceguard"

[resource.web]
agent = "command"
start_command = "/bin/sleep {seconds}"
on_exhausted = "failover"
"""


class Site:
    """A node with koboshi's configuration, where the clusterware's scripts are called, and no daemon."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "koboshi.toml"
        self.seconds = f"86400.{free_port()}"
        self.file.write_text(TABLE.format(seconds=self.seconds))
        places = {"KOBOSHI_RUNTIME_DIR": str(folder / "run"), "KOBOSHI_STATE_DIR": str(folder / "state")}
        self.env = {**os.environ, **places, "KOBOSHI_CONFIG": str(self.file), "KOBOSHI_COMMAND": "/nonexistent"}

    def call(self, *words: str, log: str = os.devnull) -> int:
        """The exit status of ``koboshi WORDS``, whose output goes to ``log``."""
        with open(log, "w") as out:
            return subprocess.run(
                [str(KOBOSHI), *words], env=self.env, cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, timeout=120, check=False,
            ).returncode  # fmt: skip

    @property
    def runs(self) -> bool:
        return any(self.seconds in process.argv for process in everyone() if not process.dead)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.call("serviceguard", "stop", "web")


@pytest.mark.parametrize("text", ["restart_limmit = 3\n", "nonsense", '[resource.other]\nagent = "command"\n'])
def test_a_configuration_that_was_broken_since_moves_nothing_and_keeps_no_stop(site: Site, text: str) -> None:
    assert site.call("clusterpro", "monitor", "web") == 0, "not active here"
    assert site.call("serviceguard", "start", "web") == 0
    assert site.runs
    site.file.write_text(text)
    assert site.call("clusterpro", "monitor", "web") == 0
    assert site.call("serviceguard", "stop", "web") == 0
    assert not site.runs
    assert site.call("clusterpro", "monitor", "web") == 0, "stopped, and so not active here"
    assert site.call("serviceguard", "start", "web") != 0, "nothing is started without a configuration"


def test_a_full_log_disk_changes_no_answer(site: Site) -> None:
    assert site.call("serviceguard", "start", "web", log="/dev/full") == 0
    assert site.call("clusterpro", "monitor", "web", log="/dev/full") == 0
    assert site.call("serviceguard", "stop", "web", log="/dev/full") == 0
    assert not site.runs


def test_half_a_note_of_a_hand_over_bars_nobody_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full /run: what cannot be noted leaves nothing, and what cannot be read is taken back as it would be now."""
    told: list[str] = []
    config = Config(Settings(), {})
    connectors = Connectors(tmp_path, tmp_path, lambda: config, lambda _, tell: told.append(tell.message))
    connectors.engine = SimpleNamespace(watches={})  # type: ignore[assignment]
    with monkeypatch.context() as full:
        full.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        ware, glue = load("pacemaker"), Glue()
        connectors._note("web", ware, Subject("web", "node1", glue, Settings()), 7)
    assert connectors.all_handed() == []
    connectors._note_of("web").write_text("")
    assert connectors.handed("web")
    asyncio.run(connectors._withdraw("web", by_operator=True))
    assert not connectors.handed("web")
    assert told == ["taken-back"]
