"""The last rung, really taken: reboot(2) inside a PID namespace of the test's own, which it ends.

In such a namespace reboot(2) kills the namespace's first process, and its parent sees SIGHUP in the wait status
(pid_namespaces(7)). Nothing here runs unless the namespace is proved to be another one than the machine's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster_glue.connectors.reboot import INITIAL_NAMESPACE
from resource_agents.processes import send
from tests.koboshi_daemon import KOBOSHI, KoboshiDaemon, table
from tests.servers import Instance, answers, command_instance, end, family
from tests.waiting import LONG, eventually

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--")


def apart() -> bool:
    """Whether a process behind UNSHARE is in a PID namespace that is not the machine's."""
    words = [*UNSHARE, "stat", "-Lc", "%i", "/proc/self/ns/pid"]
    inside = subprocess.run(words, capture_output=True, text=True, check=False)
    return inside.returncode == 0 and inside.stdout.strip() not in ("", str(INITIAL_NAMESPACE))


pytestmark = [pytest.mark.live, pytest.mark.skipif(not apart(), reason="no PID namespaces of our own here")]


class Machine:
    """A koboshi that is the first process of a PID namespace, as if it were a machine."""

    def __init__(self, folder: Path, text: str) -> None:
        self.koboshi = KoboshiDaemon(folder, text)
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self, number: int = 1) -> None:
        """Boot it: a runtime directory is empty after a boot."""
        env = {**self.koboshi.env, "KOBOSHI_RUNTIME_DIR": str(self.koboshi.folder / f"run{number}")}
        self.koboshi.runtime = self.koboshi.folder / f"run{number}"
        with self.koboshi.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*UNSHARE, KOBOSHI, "run", "-c", str(self.koboshi.config)],
                env=env, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def until_down(self) -> int:
        """How it went down, as its parent saw it."""
        assert self._process is not None
        return self._process.wait(LONG)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def off(self) -> None:
        """Pull the plug."""
        if self.runs:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        self.koboshi.close()


@contextmanager
def machine(folder: Path, text: str, *instances: Instance) -> Iterator[Machine]:
    made = Machine(folder, text)
    try:
        yield made
    finally:
        made.off()
        for instance in instances:
            end(instance)


def kill(instance: Instance) -> None:
    for process in family(instance):
        send(process.identity, signal.SIGKILL)


HOPELESS = {"restart_limit": 0, "restart_window": 3600, "on_exhausted": "reboot", "probe_interval": 0.3}


def test_the_machine_goes_down_by_reboot_once_and_not_again(tmp_path: Path) -> None:
    instance = command_instance(tmp_path)
    with machine(tmp_path, table(instance, **HOPELESS), instance) as box:
        box.boot()
        eventually(lambda: answers(instance.url), what="the web server")
        kill(instance)
        status = box.until_down()
        assert status in (-signal.SIGHUP, 128 + signal.SIGHUP), box.koboshi.said
        assert len(box.koboshi.lines("rebooting", "web")) == 1
        (counted,) = json.loads((box.koboshi.state / "reboots.json").read_text())
        assert counted["incident"] == "web-1"
        assert "rebooting" in [line.message for line in box.koboshi.timeline("web-1")], "written before"

        box.boot(2)
        eventually(lambda: answers(instance.url), what="the web server after the reboot")
        kill(instance)
        eventually(lambda: box.koboshi.lines("reboot-suppressed", "web"), what="the guard against loops")
        assert "1 of 1 reboots in 86400 s are spent" in box.koboshi.said
        assert box.runs


def test_a_healthy_neighbour_keeps_the_machine_up(tmp_path: Path) -> None:
    first, second = command_instance(tmp_path, name="first"), command_instance(tmp_path, name="second")
    text = table(first, **HOPELESS) + table(second, "api", **HOPELESS)
    with machine(tmp_path, text, first, second) as box:
        box.boot()
        eventually(lambda: answers(first.url) and answers(second.url), what="both web servers")
        kill(first)
        eventually(lambda: box.koboshi.lines("reboot-suppressed", "web"), what="the guard")
        assert "other resources of this machine serve: api" in box.koboshi.said
        assert box.runs
        assert not (box.koboshi.state / "reboots.json").exists()
        kill(second)
        assert box.until_down() in (-signal.SIGHUP, 128 + signal.SIGHUP), box.koboshi.said


def test_the_way_can_be_proved_beforehand(tmp_path: Path) -> None:
    env = {**os.environ, "KOBOSHI_RUNTIME_DIR": str(tmp_path / "run"), "KOBOSHI_STATE_DIR": str(tmp_path)}
    words = [KOBOSHI, "standalone", "check", "-c", str(tmp_path / "koboshi.toml")]
    (tmp_path / "koboshi.toml").write_text("[koboshi]\nreboot_limit = 2\n")
    inside = subprocess.run([*UNSHARE, *words], env=env, capture_output=True, text=True, timeout=LONG, check=False)
    assert inside.returncode == 0, inside
    assert "2 of 2 reboots are left" in inside.stdout
    if os.stat("/proc/self/ns/pid").st_ino == INITIAL_NAMESPACE:
        outside = subprocess.run(words, env=env, capture_output=True, text=True, timeout=LONG, check=False)
        assert outside.returncode == 1
        assert "is not this machine's own" in outside.stdout
