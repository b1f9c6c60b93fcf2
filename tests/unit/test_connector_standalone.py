"""The guarded reboot: when it must not be. (That it really goes down: tests/live/test_connector_standalone.py.)"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cluster_glue.config_model import Settings
from cluster_glue.connectors import reboot
from cluster_glue.connectors.reboot import INITIAL_NAMESPACE, Past, Rebooter, refusal
from cluster_glue.recovery.policy import Policy

NOW = 1_800_000_000.0
THIS = Past(NOW, "boot-2", "web-7")
ONE = Settings(reboot_limit=1, reboot_window=3600.0)


def test_a_reboot_is_off_unless_somebody_turns_it_on() -> None:
    assert Policy().on_exhausted == "report"


def test_a_healthy_neighbour_suppresses_it_unless_told_otherwise() -> None:
    assert "api, shop" in refusal([], THIS, ["shop", "api"], ONE)
    assert refusal([], THIS, ["shop"], replace(ONE, reboot_despite_healthy=True)) == ""


@pytest.mark.parametrize(
    ("past", "no"),
    [
        ([], False),
        ([Past(NOW - 10, "boot-1", "web-6")], True),
        ([Past(NOW - 3599, "boot-1", "web-6")], True),
        ([Past(NOW - 3600, "boot-1", "web-6")], False),
        ([Past(NOW + 86400, "boot-1", "web-6")], True),  # the clock was set back
        ([Past(NOW - 10, "boot-2", "web-7")], False),  # this very one, begun before koboshi was killed
        ([Past(NOW - 10, "boot-2", "web-6")], True),
        ([Past(NOW - 10, "boot-1", "web-7")], True),
    ],
)
def test_reboots_are_counted_inside_their_window(past: list[Past], no: bool) -> None:
    assert bool(refusal(past, THIS, [], ONE)) is no


def test_a_limit_of_zero_means_never() -> None:
    assert refusal([], THIS, [], replace(ONE, reboot_limit=0))


def test_there_is_no_loop_of_reboots(tmp_path: Path) -> None:
    rebooter = Rebooter(tmp_path, tmp_path / "run")
    settings = replace(ONE, reboot_limit=2)
    assert [bool(rebooter.begin(f"web-{number}", [], settings)) for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert len(rebooter.past()) == 2
    assert rebooter.begin("web-0", [], settings) == ""  # the same again counts once
    assert len(rebooter.past()) == 2


def test_a_count_outlives_the_daemon(tmp_path: Path) -> None:
    assert Rebooter(tmp_path, tmp_path).begin("web-1", [], ONE) == ""
    assert Rebooter(tmp_path, tmp_path).begin("web-2", [], ONE)


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"at": 1}]', '[{"at": "x", "boot": "", "incident": ""}]', "\x00"])
def test_a_damaged_count_means_no_reboot(text: str, tmp_path: Path) -> None:
    (tmp_path / "reboots.json").write_text(text)
    assert "nothing would end a loop" in Rebooter(tmp_path, tmp_path).begin("web-1", [], ONE)


def test_a_count_that_cannot_be_kept_means_no_reboot(tmp_path: Path) -> None:
    assert "cannot be read or written" in Rebooter(tmp_path / "missing", tmp_path).begin("web-1", [], ONE)


@pytest.mark.skipif(os.stat("/proc/self/ns/pid").st_ino != INITIAL_NAMESPACE, reason="not the machine's namespaces")
def test_another_koboshi_than_the_machines_own_never_reboots_it(tmp_path: Path) -> None:
    rebooter = Rebooter(tmp_path, tmp_path / "run")
    assert "not this machine's own" in rebooter.guard()
    assert not rebooter.orderly()
    assert "not this machine's own" in rebooter.force()


def test_the_way_is_proved_without_going_it(tmp_path: Path) -> None:
    rebooter = Rebooter(tmp_path, tmp_path / "run")
    before = time.time()
    steps = rebooter.check(ONE)
    assert len(steps) == 5
    assert rebooter.past() == []
    assert rebooter.begin("web-1", [], ONE) == ""
    assert (False, "0 of 1 reboots are left") in rebooter.check(ONE)
    (only,) = json.loads((tmp_path / "reboots.json").read_text())
    assert only["at"] >= before


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["1 0 8:1 / / rw - ext4 /dev/sda1 rw"], ""),
        (["1 0 8:1 / / rw - ext4 /dev/sda1 rw", "2 1 0:9 / {place} rw shared:1 - tmpfs tmpfs rw"], "tmpfs"),
        (["1 0 0:9 / / rw - tmpfs rootfs rw", "2 1 8:1 / {place} rw - xfs /dev/sda1 rw"], ""),
        (["1 0 8:1 / / rw - overlay overlay rw,lowerdir=/a,volatile"], "overlay"),
        (["1 0 8:1 / / rw - overlay overlay rw,lowerdir=/a"], ""),
    ],
)
def test_a_count_that_the_reboot_itself_would_take_away_permits_none(
    lines: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("".join(f"{line.format(place=tmp_path)}\n" for line in lines))
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **more: read(table if str(path).endswith("mountinfo") else path, **more)
    )
    monkeypatch.setattr(reboot, "OWN_PLACE", tmp_path / "run")
    no = Rebooter(tmp_path, tmp_path / "run").begin("web-1", [], ONE)
    assert (f"is on {kind} and would not outlive" in no) if kind else no == ""
    checked = {words: good for good, words in Rebooter(tmp_path, tmp_path / "run").check(ONE)}
    assert all(good is not bool(kind) for words, good in checked.items() if "reboots.json" in words)
    assert Rebooter(tmp_path, tmp_path / "other").begin("web-2", [], replace(ONE, reboot_limit=9)) == ""
