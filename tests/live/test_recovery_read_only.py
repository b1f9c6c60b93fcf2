"""A disk that has become read-only: no restart is spent on what cannot be started."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resource_agents.processes import alive, send
from tests.diagnosed import apache, explained, nginx
from tests.koboshi_daemon import KoboshiDaemon, daemon
from tests.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.live


@contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    """The folder over itself, read-only, until the block ends."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def test_what_died_where_its_log_cannot_be_written_is_the_machines_fault_at_once(tmp_path: Path) -> None:
    with daemon(tmp_path, apache(tmp_path / "web", free_port())) as koboshi:
        main = koboshi.main("web")
        with mounted_read_only(tmp_path / "web"):
            send(main.identity, signal.SIGKILL)
            koboshi.until("web", "blocked")
            incident = explained(koboshi)
        folder = tmp_path / "web"
        assert incident.cause == "disk-read-only", koboshi.said
        assert f"{folder} is mounted read-only, where it has to write {folder}/error.log" in incident.reason
        assert "start-failed" not in koboshi.said
        assert not alive(main.identity)


def test_alone_it_is_started_as_soon_as_the_disk_can_be_written_again(tmp_path: Path) -> None:
    with daemon(tmp_path, nginx(tmp_path / "web", free_port())) as koboshi:
        main = koboshi.main("web")
        with mounted_read_only(tmp_path / "web"):
            send(main.identity, signal.SIGKILL)
            koboshi.until("web", "blocked")
            eventually(lambda: _looked(koboshi) > 3, what="looks at its way")
            assert not koboshi.lines("restarting", "web")
        koboshi.until_new_main("web", main)
        assert len(koboshi.lines("restarting", "web")) == 1


def _looked(koboshi: KoboshiDaemon) -> int:
    """How many actions there were."""
    return int(koboshi.saved("web")["action"])
