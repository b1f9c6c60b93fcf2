"""The lab of virtual machines, as far as it can be proven without one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from vagrant.lab.drill import drill
from vagrant.lab.machines import Done, LabError
from vagrant.lab.scenario import every
from vagrant.machines.libvirt import TOKEN, Domains, accelerated
from vagrant.machines.roomed import started

ROOT = Path(__file__).resolve().parents[2]


class Nearby(Domains):
    """A lab whose machines' files are this machine's, and whose machines can be off."""

    off = False
    asked = 0

    def run(self, node: str, command: str | Sequence[str], timeout: float = 60.0) -> Done:
        if self.off:
            raise LabError(f"{node} is off")
        self.asked += 1
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("flags", "device", "quick"),
    [
        ("fpu vme vmx sse2", True, True),
        ("fpu svm", True, True),
        ("fpu vme sse2", True, False),
        ("fpu vmx", False, False),
        ("fpu svm_lock avx512_vmxnot", True, False),
    ],
)
def test_the_processor_says_whether_there_is_kvm_not_the_device_file_alone(
    flags: str, device: bool, quick: bool
) -> None:
    cpuinfo = f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: vmx svm\n"
    assert accelerated(cpuinfo, device) is quick


def test_a_command_reaches_a_machine_word_for_word(tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    words = ["printf", "<%s>", "two words", "", "$HOME;`id`", "a'b\"c", "line\nline", "*"]
    done = subprocess.run(
        ["bash", str(ROOT / "vagrant/machines/ssh.sh"), str(tmp_path), "node1", *words],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "".join(f"<{word}>" for word in words[2:])


def test_a_log_is_read_once_and_then_only_what_is_new_of_it(tmp_path: Path) -> None:
    lab, log = Nearby(tmp_path), tmp_path / "log"
    assert lab.read("node1", str(log)) == ""
    log.write_text("one\n")
    assert lab.read("node1", str(log)) == "one\n"
    with log.open("a") as more:
        more.write("zwei: ä\nthree\n")
    assert lab.read("node1", str(log)) == "one\nzwei: ä\nthree\n"
    log.write_text("anew\n")
    assert lab.read("node1", str(log)) == "anew\n"


def test_of_a_machine_that_is_off_the_last_words_are_known(tmp_path: Path) -> None:
    lab, log = Nearby(tmp_path), tmp_path / "log"
    log.write_text("last words\n")
    lab.read("node1", str(log))
    lab.off = True
    assert lab.read("node1", str(log)) == "last words\n"
    assert lab.read("node2", str(log)) == ""


def test_a_machine_room_with_too_little_memory_says_how_much_it_takes(tmp_path: Path) -> None:
    with pytest.raises(
        LabError, match=r"8000 virtual machines take 13600000 MiB of memory, and \d+ are left: take fewer"
    ):
        Domains(tmp_path)._check_memory(8000)


def test_memory_that_was_chosen_and_the_clients_machine_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CLIENT", "yes")
    monkeypatch.setenv("LAB_MEMORY", "60000000")
    sentence = (
        r"3 virtual machines take 180002028 MiB .*take fewer --nodes, or less than LAB_MEMORY=60000000, down to 512"
    )
    with pytest.raises(LabError, match=sentence):
        Domains(tmp_path).check_space(2)
    monkeypatch.setenv("LAB_MEMORY", "much")
    with pytest.raises(LabError, match="LAB_MEMORY=much is no number of MiB"):
        Domains(tmp_path).check_space(2)


@pytest.mark.parametrize(
    ("quick", "chosen", "machines"), [(True, "", 4), (True, "no", 3), (False, "", 3), (False, "yes", 4)]
)
def test_an_emulated_client_is_a_machine_only_where_it_is_asked_for(
    quick: bool, chosen: str, machines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagrant.machines.libvirt.quick", lambda: quick)
    monkeypatch.setenv("LAB_CLIENT", chosen)
    assert Domains(tmp_path).machines(3) == machines


def test_the_disk_that_is_asked_for_grows_with_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagrant.machines.libvirt.MACHINE", 1 << 40)
    monkeypatch.setenv("LAB_CLIENT", "no")
    with pytest.raises(LabError, match=f"such a lab needs {500 + 8 * (1 << 40)}: .*take fewer --nodes"):
        Domains(tmp_path).check_space(8)


@pytest.mark.parametrize("pace", ["x", "0", "-1", "nan", "inf"])
def test_a_pace_that_is_none_is_refused(pace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PACE", pace)
    with pytest.raises(LabError, match=f"LAB_PACE={pace} is no number of times"):
        Domains(tmp_path)


def test_what_a_person_chose_is_what_machines_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagrant.machines.libvirt.quick", lambda: False)
    assert Domains(tmp_path).settings()["LAB_TOKEN"] == TOKEN
    monkeypatch.setenv("LAB_TOKEN", "9000")
    monkeypatch.setenv("LAB_PACE", "3")
    lab = Domains(tmp_path)
    assert (lab.settings()["LAB_TOKEN"], lab.pace) == ("9000", 3.0)


def test_scenarios_about_a_deaf_fence_device_are_for_one_that_can_be_made_deaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks later, without the variable, is told by the lab itself what it was made with."""
    lost = next(scenario for scenario in every() if scenario.name == "fencing_lost")
    assert lost.suits(Domains(tmp_path))
    monkeypatch.setenv("LAB_FENCE", "sbd")
    assert not lost.suits(Domains(tmp_path))
    monkeypatch.delenv("LAB_FENCE")
    room = {"provider": "libvirt", "pid": os.getpid(), "start": started(os.getpid()), "nodes": 2, "fence": "sbd"}
    (tmp_path / "lab.json").write_text(json.dumps(room))
    assert not lost.suits(Domains(tmp_path))
    assert Domains(tmp_path).environment()["LAB_FENCE"] == "sbd"
    with pytest.raises(LabError, match="a lab made without LAB_FENCE has one"):
        drill(Domains(tmp_path), "fencing_lost", print)


def test_each_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("vagrant.machines.boxed.PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = Domains(tmp_path).missing()[0]
    assert all(name in problem for name in ("qemu-system-x86", "libvirt-daemon-system", "fence-virtd", "dnsmasq-base"))


def test_nothing_that_would_reach_this_machines_kernel_is_rehearsed_on_machines_without_one() -> None:
    for scenario in every():
        for line in scenario.lines:
            if any(word in line.words for word in ("sysrq", "reboot -f", "date -s")):
                assert "kernel" in scenario.needs, scenario.path
            if "sysrq" in line.words or "reboot -f" in line.words:
                assert line.words.startswith("systemd-detect-virt --quiet --vm && "), scenario.path


@pytest.mark.parametrize("words", [[], ["only-one"], ["one", "two", "three"]])
def test_a_disk_is_made_of_a_tar_and_into_a_box_or_not_at_all(words: list[str]) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "vagrant/box/disk.sh"), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: disk.sh ROOTFS_TAR BOX")


def test_scripts_of_the_hypervisor_are_sound_and_refuse_the_machine_itself(tmp_path: Path) -> None:
    for name in ("hypervisor.sh", "fence.sh"):
        subprocess.run(["sh", "-n", str(ROOT / "vagrant/machines" / name)], check=True)
    script = shlex.quote(str(ROOT / "vagrant/machines/hypervisor.sh"))
    done = subprocess.run(
        f"sh {script} {shlex.quote(str(tmp_path))}", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (2, "hypervisor.sh: only in a room of its own\n")
    assert not any(tmp_path.iterdir())
