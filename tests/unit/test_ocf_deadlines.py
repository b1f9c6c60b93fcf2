"""An action keeps its own time, whatever it waits for on the way: counted from its beginning, not from each wait's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster_glue.ocf_status import StatusFiles
from ocf.conditions import Verdict
from ocf.environment import Call
from resource_agents import daemon_client, mandates
from resource_agents.entry import ASK_AGAIN, LAST_LOOK, perform
from tests.ports import free_port

#: Seconds that the actions here have; a stop, and one in which nothing is waited for.
TIMEOUT, STOP, SHORT = 4.0, 6.0, 1.0

#: Takes no TERM.
STUBBORN = "/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' koboshi-{port}"


def act(
    action: str, runtime: Path, values: dict[str, str], interval: float = 0.0, level: int = 0, timeout: float = TIMEOUT
) -> Verdict:
    """One action on ``web``, in this process."""
    call = Call(action, "web", values, timeout, interval, level)
    return perform("command", call, {"KOBOSHI_RUNTIME_DIR": str(runtime)})


def took(began: float) -> float:
    return time.monotonic() - began


@contextmanager
def listening(where: str | tuple[str, int]) -> Iterator[socket.socket]:
    """Somebody who holds a socket and says nothing."""
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as server:
        server.bind(where)
        server.listen(64)
        yield server


@contextmanager
def mute(runtime: Path) -> Iterator[None]:
    """A daemon that hangs, with a mandate."""
    mandates.give(runtime, "web", {"agent": "command", "values": {}})
    with listening(str(runtime / "control.sock")):
        yield


@contextmanager
def sleeper() -> Iterator[dict[str, str]]:
    """A server that lives and does nothing; its parameters."""
    argv = ["/bin/sleep", f"86400.{free_port()}"]
    process = subprocess.Popen(argv, start_new_session=True)
    try:
        yield {"start_command": " ".join(argv)}
    finally:
        process.kill()
        process.wait()


def nobody() -> dict[str, str]:
    """The parameters of a server that does not run."""
    return {"start_command": f"/bin/sleep 86400.{free_port()}"}


# ---- stop ------------------------------------------------------------------------------------------------------------


def test_a_stop_that_drained_before_still_ends_inside_its_time(tmp_path: Path) -> None:
    values = {"start_command": STUBBORN.format(port=free_port()), "stop_command": "/bin/sleep 60"}
    assert act("start", tmp_path, {**values, "local_recovery": "false"}).good
    drained = threading.Event()

    def balance(server: socket.socket) -> None:
        asked, _ = server.accept()
        with asked:
            if json.loads(asked.makefile().readline())["do"] == "drain":
                drained.set()
            asked.sendall(b'{"ok": true, "draining": true}\n')

    try:
        mandates.give(tmp_path, "web", {})
        (tmp_path / "ocf/web.drain").write_text("60\n")
        with listening(str(tmp_path / "control.sock")) as server:
            daemon = threading.Thread(target=balance, args=(server,), daemon=True)
            daemon.start()
            began = time.monotonic()
            verdict = act("stop", tmp_path, values, timeout=STOP)
            assert took(began) < STOP
        assert verdict.good
        assert drained.is_set()
    finally:
        act("stop", tmp_path, values)


# ---- monitor ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 10])
def test_a_monitor_of_a_mute_server_whose_daemon_is_mute_ends_inside_its_time(level: int, tmp_path: Path) -> None:
    port = free_port()
    with sleeper() as values, listening(("127.0.0.1", port)), mute(tmp_path):
        began = time.monotonic()
        url = f"http://127.0.0.1:{port}/"
        assert act("monitor", tmp_path, {**values, "statusurl": url}, 10.0, level).condition == "failed"
        assert took(began) < TIMEOUT


def test_a_deeper_monitor_keeps_time_for_its_own_look_at_what_the_daemon_brings_back(tmp_path: Path) -> None:
    with mute(tmp_path):
        began = time.monotonic()
        assert act("monitor", tmp_path, nobody(), 10.0, level=10).condition == "stopped"
        assert took(began) < TIMEOUT * (1 - LAST_LOOK)


def test_systemd_is_asked_about_the_daemon_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, systemctl = tmp_path / "calls", tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho called >>{calls}\necho activating\n")
    systemctl.chmod(0o755)
    (tmp_path / "koboshi.service").touch()
    monkeypatch.delenv("KOBOSHI_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(daemon_client, "SYSTEMD", str(tmp_path))
    monkeypatch.setattr(daemon_client, "UNITS", (str(tmp_path),))
    monkeypatch.setattr(daemon_client, "SYSTEMCTL", str(systemctl))
    mandates.give(tmp_path, "web", {"agent": "command", "values": {}})
    assert act("monitor", tmp_path, nobody(), 10.0).condition == "stopped"
    assert 1 <= len(calls.read_text().splitlines()) <= TIMEOUT / 2 / ASK_AGAIN + 1


# ---- the lease -------------------------------------------------------------------------------------------------------


def test_a_good_answer_beside_a_mute_daemon_leaves_it_the_lease(tmp_path: Path) -> None:
    with sleeper() as values, mute(tmp_path):
        files = StatusFiles(mandates.folder(tmp_path))
        assert act("monitor", tmp_path, values, timeout=SHORT).condition == "running"
        assert files.renewal("web") is None, "a probe renews nothing"
        assert act("monitor", tmp_path, nobody(), 10.0, timeout=SHORT).condition == "stopped"
        assert files.renewal("web") is None, "what the cluster hears of is the cluster's to mend"
        assert act("monitor", tmp_path, values, 10.0, timeout=SHORT).condition == "running"
        assert files.renewal("web") == (10.0, SHORT)


def test_a_renewal_that_was_left_for_an_earlier_daemon_renews_nothing(tmp_path: Path) -> None:
    """It may be hours old, and the cluster in maintenance since."""
    mandates.folder(tmp_path).mkdir()
    for instance in ("web", "web.old"):
        mandates.leave_lease(tmp_path, instance, 10.0, 20.0)
    files = StatusFiles(mandates.folder(tmp_path))
    assert files.renewal("web") is files.renewal("web.old") is None
    os.utime(mandates.folder(tmp_path) / "web.lease", ns=(0, 1))
    assert files.renewal("web") == (10.0, 20.0), "a new one, whatever the clock says"
