"""What a lab of containers promises: Vagrant makes it, it serves, it rehearses, and nothing of it is ever left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.leftovers import traces
from tests.waiting import eventually
from vagrant.lab.answers import Client
from vagrant.lab.bringing_up import restore, up
from vagrant.lab.claims import View
from vagrant.lab.machines import CHECKOUT, LabError
from vagrant.lab.scenario import every, play
from vagrant.machines.lxc import Containers

pytestmark = pytest.mark.cluster

#: One that is repaired in place, one that is handed over, one that is fenced.
PLAYED = ("killed_once", "unrecoverable", "node_killed")
#: Bounds of the README, in seconds, for a machine that has nothing else to do.
UP, DOWN = 60.0, 15.0


@pytest.fixture(autouse=True)
def containers_can_be_made(tmp_path: Path) -> None:
    problems = Containers(tmp_path / "none").missing()
    if problems:
        pytest.fail(f"the lab of containers cannot be made here: {problems[0]}")


@contextmanager
def nothing_is_left_of(directory: Path) -> Iterator[None]:
    """What the machine had before it has afterwards, and nothing of the lab."""
    group = Containers(directory).group_name
    before = traces(directory, group)
    yield
    with suppress(AssertionError):
        eventually(lambda: traces(directory, group) == before, every=0.2)
    after = traces(directory, group)
    assert (after - before, before - after) == (set(), set())
    assert not directory.exists()


def script_lab(directory: Path, *words: str) -> subprocess.Popen[str]:
    """script/lab as a person runs it, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-E", "-s", "-m", "vagrant.lab.command", "--directory", str(directory), *words], cwd=CHECKOUT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def test_vagrant_makes_a_lab_of_containers_which_rehearses_and_leaves_nothing(tmp_path: Path) -> None:
    lab = Containers(tmp_path / "lab")
    lab.build_box(print)
    with nothing_is_left_of(lab.directory):
        began = time.monotonic()
        try:
            up(lab, 2, print)
            print(f"up took {time.monotonic() - began:.1f} s of {UP:g} (load {os.getloadavg()[0]:.1f})")
            scenarios = {scenario.name: scenario for scenario in every()}
            for number, name in enumerate(PLAYED):
                if number:
                    restore(lab)
                client = Client(lab, tmp_path / f"client-{name}")
                view = View(lab, client)
                try:
                    play(scenarios[name], view)
                finally:
                    view.end()
                    client.end()
            the_farm_is_balanced_by_what_koboshi_says(lab)
        finally:
            began = time.monotonic()
            assert lab.end()
            print(f"down took {time.monotonic() - began:.1f} s of {DOWN:g}")


def test_vagrant_up_alone_makes_the_whole_lab_in_its_room_and_destroy_ends_it(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    env = {**os.environ, "LAB_DIR": str(directory), "LAB_CLIENT": "no", "VAGRANT_HOME": str(tmp_path / "home")}
    env |= {"VAGRANT_CWD": str(CHECKOUT / "vagrant"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "own")}

    def vagrant(*words: str) -> str:
        done = subprocess.run(
            ["vagrant", *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    with nothing_is_left_of(directory):
        assert "services answer" in vagrant("up", "--provider", "lxc")
        assert not [one for one in os.listdir("/sys/class/net") if one.startswith(("br-", "v-"))]
        assert vagrant("ssh", "node1", "-c", "hostname").strip().endswith("node1")
        assert re.search(r"node2 +running \(lxc\)", vagrant("status"))
        assert "the lab is gone" in vagrant("destroy", "-f")
        assert not directory.exists()


def the_farm_is_balanced_by_what_koboshi_says(lab: Containers) -> None:
    """HAProxy on the client asks the nodes' koboshi, and sends nobody to a server that koboshi stopped."""

    def answering() -> set[str]:
        asking = "for i in 1 2 3 4 5 6; do curl -sfI --max-time 2 http://10.77.0.253/; done"
        lines = lab.run("", asking).stdout.lower().splitlines()
        return {line.split(":")[1].strip() for line in lines if line.startswith("x-node:")}

    eventually(lambda: answering() == {"node1", "node2"}, what="a farm of two", every=0.3)
    assert lab.run("node1", "koboshi stop farm").returncode == 0
    eventually(lambda: answering() == {"node2"}, what="a farm of one", every=0.3)
    assert lab.run("node1", "koboshi start farm").returncode == 0
    eventually(lambda: answering() == {"node1", "node2"}, what="a farm of two again", every=0.3)


@pytest.mark.parametrize("moment", ["the machine room is open", "Starting container", "Running provisioner: lab"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    with nothing_is_left_of(directory):
        command = script_lab(directory, "up", "--provider", "lxc")
        assert command.stdout is not None
        said = []
        for line in command.stdout:
            said.append(line)
            if moment in line:
                break
        os.kill(command.pid, number)
        assert "interrupted" in command.communicate(timeout=120)[0], "".join(said)
        assert command.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_of_a_box_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    command = subprocess.Popen(
        [str(CHECKOUT / "vagrant/build-box"), "lxc", "--output", str(tmp_path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert command.stdout is not None
    said = []
    for line in command.stdout:
        said.append(line)
        if "apt-get update" in line:
            break
    os.kill(command.pid, number)
    said.append(command.communicate(timeout=60)[0])
    assert command.returncode == 128 + number, said
    assert list(tmp_path.iterdir()) == []
    assert [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(tmp_path) in line] == []


def test_a_box_is_not_begun_where_it_would_not_fit(tmp_path: Path) -> None:
    building = f"mount -t tmpfs -o size=50m tiny {tmp_path} && {CHECKOUT}/vagrant/build-box lxc --output {tmp_path}"
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", building]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "MiB left, and building takes" in done.stderr
    assert "--output" in done.stderr


def test_what_a_killed_up_left_half_made_is_ended_by_down(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    with nothing_is_left_of(directory):
        command = script_lab(directory, "up", "--provider", "lxc")
        assert command.stdout is not None
        any("Starting container" in line for line in command.stdout)
        command.kill()
        command.wait()
        command.stdout.close()
        down = script_lab(directory, "down")
        assert "the lab is gone" in down.communicate(timeout=120)[0]


def test_the_power_switch_of_containers_switches_cuts_and_freezes(tmp_path: Path) -> None:
    lab = Containers(tmp_path / "lab")
    with nothing_is_left_of(lab.directory):
        try:
            up(lab, 2, print)
            with pytest.raises(LabError, match="already"):
                lab.begin(2, print)
            boot = _first(lab, "node2")
            assert lab.ask("deaf node2") == "ok"  # nobody but us switches it
            assert lab.ask("cut node2 both") == "ok"
            lab.run("node2", "reboot -f", 30)
            eventually(lambda: _first(lab, "node2") not in ("", boot), 60, "node2 after its reboot", 0.2)
            pulled = (
                "ip -o link show v-node2-a | grep -q 'state DOWN' && ip -o link show v-node2-b | grep -q 'state DOWN'"
            )
            assert lab.run("", pulled).returncode == 0
            assert lab.ask("mend node2 both") == "ok"
            eventually(lambda: _obeyed(lab, "freeze node2"), 60, "node2 standing still", 0.2)
            assert lab.ask("status node2") == "on"
            assert lab.ask("off node2") == "ok"
            assert lab.ask("status node2") == "off"
            with pytest.raises(LabError, match="is off"):
                lab.run("node2", "true")
            assert "corosync" in lab.read("node2", "/var/log/corosync/corosync.log").lower()
            assert lab.ask("hear node2") == "ok"
            assert lab.ask("on node2") == "ok"
            eventually(lambda: _first(lab, "node2") not in ("", boot), 60, "node2 switched on", 0.2)
            eventually(lambda: _units_run(lab), 120, "node2 with each of its units", 0.5)
        finally:
            lab.end()


def _obeyed(lab: Containers, words: str) -> bool:
    """Whether the power switch did it; a container that has just begun has no control group of its own yet."""
    try:
        return lab.ask(words) == "ok"
    except LabError:
        return False


def _first(lab: Containers, node: str) -> str:
    """When process 1 of a node began; empty while it has none."""
    try:
        done = lab.run(node, "cut -d' ' -f22 /proc/1/stat", 20)
    except LabError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _units_run(lab: Containers) -> bool:
    """Whether systemd has started all, and nothing failed; a cluster that is ill at ease may fence it meanwhile."""
    try:
        return lab.run("node2", "systemctl is-system-running", 20).stdout.strip() == "running"
    except LabError:
        return False
