"""What the lab promises about itself: its power switch switches, and nothing of it is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.waiting import eventually
from vagrant.lab.machines import LabError
from vagrant.namespaces.lab import Namespaces

pytestmark = pytest.mark.cluster


def traces(mark: str) -> list[str]:
    """Processes, mounts and interfaces of a lab that this machine sees."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words and int(entry.name) != os.getpid():
            found.append(words)
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if mark in line]
    return found + [name for name in os.listdir("/sys/class/net") if name.startswith(("v-node", "br-a", "br-b"))]


def test_nothing_is_left_of_a_lab_whenever_it_is_ended(tmp_path: Path) -> None:
    before = traces("v-no-such-lab")
    lab = Namespaces(tmp_path / "lab")
    lab.begin(2, print)
    assert len(traces(str(lab.directory))) > 0
    assert lab.end()
    eventually(lambda: not traces(str(lab.directory)), what="the end of all that the lab started")
    assert not lab.directory.exists()
    assert traces("v-no-such-lab") == before


def test_the_power_switch_switches_and_two_labs_do_not_meet(tmp_path: Path) -> None:
    one, two = Namespaces(tmp_path / "one"), Namespaces(tmp_path / "two")
    try:
        one.begin(2, print)
        two.begin(2, print)
        assert one.ask("list") == "node1 node2"
        with pytest.raises(LabError, match="already"):
            one.begin(2, print)
        with pytest.raises(LabError, match="no such node"):
            one.ask("off node7")
        hostname = eventually(lambda: one.run("node1", "hostname").stdout.strip(), what="node1")
        assert hostname == "node1"
        assert one.ask("off node1") == "ok"
        assert (one.ask("status node1"), two.ask("status node1")) == ("off", "on")
        with pytest.raises(LabError, match="is off"):
            one.run("node1", "true")
        assert one.read("node1", "/etc/hostname") == "node1\n"
        two.run("node1", "reboot -ff", 30)
        eventually(lambda: two.ask("end node1") == "reboot", what="a node that went down by reboot(2)")
    finally:
        one.end()
        two.end()
