"""What a kill takes away is looked at before it, although the server hangs by a fact and no probe has failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from resource_agents.processes import children, look, send
from tests.diagnosed import apache, explained, nginx
from tests.koboshi_daemon import daemon
from tests.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.live


@pytest.mark.parametrize("make", [nginx, apache])
def test_the_stacks_and_states_of_a_stopped_server_are_kept(make: Callable[[Path, int], str], tmp_path: Path) -> None:
    with daemon(tmp_path, make(tmp_path / "web", free_port()) + "probe_interval = 0\n") as koboshi:
        main = koboshi.main("web")
        workers = eventually(lambda: children(main.pid), what="the workers")
        for pid in workers:
            worker = look(pid)
            assert worker is not None
            send(worker.identity, signal.SIGSTOP)
        koboshi.until_new_main("web", main)
        explained(koboshi)
        kept = tmp_path / "state" / "evidence" / "web-1"
        processes = (kept / "processes.txt").read_text()
        assert f"pid {workers[0]} " in processes
        assert "state T" in processes
        if os.access(f"/proc/{os.getpid()}/stack", os.R_OK) and os.geteuid() == 0:
            assert f"pid {workers[0]}: " in (kept / "stacks.txt").read_text()
