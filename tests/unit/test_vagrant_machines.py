"""What the labs that Vagrant makes say before they make anything, and what a power switch answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vagrant.lab.machines import CHECKOUT, LabError
from vagrant.lab.providers import PROVIDERS, named
from vagrant.lab.switch import Machine, Switch
from vagrant.machines.boxed import Boxed
from vagrant.machines.by_hand import _to_its_end
from vagrant.machines.lxc import Containers
from vagrant.machines.roomed import started


class Lamp(Machine):
    """A machine that is a flag."""

    def __init__(self, name: str) -> None:
        self.name, self.lit, self.pulled = name, True, ""

    def on(self) -> str:
        self.lit = True
        return "ok"

    def off(self) -> str:
        self.lit = False
        return "ok"

    def status(self) -> str:
        return "on" if self.lit else "off"

    def press(self) -> str:
        return self.off()

    def cut(self, rings: str) -> str:
        self.pulled = rings
        return "ok"

    def mend(self, rings: str) -> str:
        self.pulled = ""
        return "ok"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_word_after_provider_is_a_lab_of_that_kind(provider: str, tmp_path: Path) -> None:
    lab = named(provider, tmp_path / "lab")
    assert lab.provider == provider
    assert not lab.exists()
    with pytest.raises(LabError, match=r"there is no lab in .*: script/lab up makes one"):
        _ = lab.nodes
    assert lab.end() is False
    assert not (tmp_path / "lab").exists()


def test_containers_need_root_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="run it as root"):
        Containers(tmp_path / "lab").begin(2, print)
    assert not (tmp_path / "lab").exists()


def test_missing_packages_are_named_with_the_words_that_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Containers, "needed", {"no-such-program": "a-package", "/no/such/file": "another"})
    problems = Containers(tmp_path / "lab").missing()
    assert problems == [
        "Debian packages are missing: script/setup lab-lxc installs them, "
        "or apt-get install --no-install-recommends a-package another"
    ]


def test_virtualbox_is_left_to_vagrant_alone(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="vagrant up --provider virtualbox"):
        named("virtualbox", tmp_path / "lab").begin(2, print)


def test_a_directory_that_is_no_labs_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Boxed, "missing", lambda _: [])
    monkeypatch.setattr(Containers, "missing", lambda _: [])
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(LabError, match="name another --directory"):
        Containers(tmp_path).begin(2, print)
    Containers(tmp_path).end()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_network_that_is_taken_is_refused_only_where_the_lab_would_be_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Containers(tmp_path / "lab")
    monkeypatch.setattr("vagrant.machines.boxed.BRIDGES", {"a": ("lo", "", "")})
    lab.check_network()
    lab.exposed = True
    with pytest.raises(LabError, match=r"in use here \(interface lo\): leave --expose out"):
        lab.check_network()


class Slow(Boxed):
    """A lab whose box takes so long that another one makes a lab in the same place meanwhile."""

    provider = "lxc"
    ended = False

    def missing(self) -> list[str]:
        return []

    def build_box(self, say: Callable[[str], None]) -> None:
        self.directory.mkdir()
        note = {"provider": "lxc", "pid": os.getpid(), "start": started(os.getpid()), "nodes": 2}
        (self.directory / "lab.json").write_text(json.dumps(note))

    def end(self) -> bool:
        self.ended = True
        return True

    def into(self, node: str) -> list[str]:
        return [node]


def test_a_lab_that_was_made_while_the_box_was_built_is_not_ended_by_the_later_up(tmp_path: Path) -> None:
    lab = Slow(tmp_path / "lab")
    with pytest.raises(LabError, match=r"there is a lab in .* already: script/lab down ends it"):
        lab.begin(2, print)
    assert not lab.ended


def test_a_lab_of_which_something_goes_on_is_not_told_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room's first process is a shell here, and the one below it outlives it."""
    monkeypatch.setattr("vagrant.machines.roomed.ENDS", 0.2)
    words = ["sh", "-c", "sleep 600 & echo $!; wait"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as room:
        assert room.stdout is not None
        below = os.pidfd_open(int(room.stdout.readline()))
        try:
            note = {"provider": "lxc", "pid": room.pid, "start": started(room.pid), "nodes": 2}
            (tmp_path / "lab.json").write_text(json.dumps(note))
            with pytest.raises(LabError, match="or one below it, does not end"):
                Containers(tmp_path).end()
            assert (tmp_path / "lab.json").exists()
        finally:
            signal.pidfd_send_signal(below, signal.SIGKILL)
            os.close(below)
            room.kill()


def test_vagrant_by_hand_is_waited_for_when_a_terminal_interrupts_it(tmp_path: Path) -> None:
    """The terminal tells both; what is half made is Vagrant's to end."""
    script = f"trap 'touch {tmp_path}/ended; exit 5' INT; kill -INT $PPID; kill -INT $$; sleep 60 & wait"
    before = signal.getsignal(signal.SIGINT)
    assert _to_its_end(["bash", "-c", script], dict(os.environ)) == 5
    assert (tmp_path / "ended").exists()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("provider", "fence", "sentence"),
    [
        ("lxc", "xvm", "LAB_FENCE=xvm: machines of lxc have lab, none$"),
        ("lxc", "sbd", "LAB_FENCE=sbd: machines of lxc have lab, none$"),
        ("libvirt", "hope", "LAB_FENCE=hope: machines of libvirt have xvm, sbd, lab, none$"),
    ],
)
def test_a_fence_device_that_such_machines_have_not_is_refused(
    provider: str, fence: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_FENCE", fence)
    with pytest.raises(LabError, match=sentence):
        named(provider, tmp_path / "lab").begin(2, print)
    assert not (tmp_path / "lab").exists()


def test_another_box_is_a_file_and_no_box_is_built_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Containers, "missing", lambda _: [])
    lab = Containers(tmp_path / "lab")
    for wrong in ("debian/bookworm64", str(tmp_path / "none.box")):
        monkeypatch.setenv("LAB_BOX", wrong)
        with pytest.raises(LabError, match="name a box by the whole path of its file"):
            lab.check(2)
    (tmp_path / "own.box").touch()
    monkeypatch.setenv("LAB_BOX", str(tmp_path / "own.box"))
    monkeypatch.setenv("LAB_BOXES", str(tmp_path / "boxes"))
    said: list[str] = []
    lab.check(2)
    lab.build_box(said.append)
    assert said == []
    assert not (tmp_path / "boxes").exists()


@pytest.mark.parametrize("count", [-1, 0, 1, 9])
def test_a_number_of_nodes_that_is_no_cluster_is_refused(count: int, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="takes 2 to 8"):
        Containers(tmp_path / "lab").begin(count, print)


def test_a_room_opens_only_as_the_first_process_of_namespaces(tmp_path: Path) -> None:
    words = [sys.executable, "-I", str(CHECKOUT / "vagrant/machines/room.py"), str(tmp_path), "2", "x", "room_lxc"]
    done = subprocess.run(words, input="go\n", capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "only as PID 1" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_switch_that_is_deaf_for_a_node_obeys_the_lab_and_no_fence_agent() -> None:
    one, two = Lamp("node1"), Lamp("node2")
    switch = Switch([one, two])
    assert switch.answer("list") == "node1 node2"
    assert switch.answer("deaf node1") == "ok"
    assert switch.answer("off node1", fencing=True).startswith("error")
    assert switch.answer("status node1", fencing=True).startswith("error")
    assert (one.lit, switch.answer("off node2", fencing=True), two.lit) == (True, "ok", False)
    assert switch.answer("off node1") == "ok"
    assert switch.answer("hear node1") == "ok"
    assert switch.answer("on node1", fencing=True) == "ok"
    assert one.lit


@pytest.mark.parametrize(
    "line", ["", "off", "off node9", "explode node1", "cut node1", "cut node1 c", "list node1 x", "off node1 now"]
)
def test_a_switch_answers_error_to_what_it_does_not_understand(line: str) -> None:
    lamp = Lamp("node1")
    assert Switch([lamp]).answer(line).startswith("error")
    assert lamp.lit
    assert lamp.pulled == ""


def test_a_switch_answers_at_its_socket_one_line_each(tmp_path: Path) -> None:
    lamp = Lamp("node1")
    place = tmp_path / "switch.sock"
    threading.Thread(target=Switch([lamp]).serve, args=(place,), daemon=True).start()
    answers = []
    for words in ("status node1", "cut node1 both", "freeze node1", "reboot node1"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            _connect(client, place)
            client.sendall(words.encode() + b"\n")
            answers.append(client.makefile().readline().strip())
    assert answers == ["on", "ok", "error: node1 is no machine that can be stopped where it stands", "ok"]
    assert lamp.pulled == "ab"


def _connect(client: socket.socket, place: Path) -> None:
    for _ in range(1000):
        try:
            return client.connect(str(place))
        except OSError:
            threading.Event().wait(0.01)
    raise AssertionError("the switch does not listen")
