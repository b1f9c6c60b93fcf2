"""The lab's own words: scenarios are understood or refused with a reason, and what the client saw is put together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vagrant.lab.answers import Answer, moves, outage, stretches
from vagrant.lab.bringing_up import up
from vagrant.lab.children import child
from vagrant.lab.command import main
from vagrant.lab.machines import LAST, Done, Lab, LabError
from vagrant.lab.scenario import ScenarioError, every, parse
from vagrant.machines.lxc import Containers
from vagrant.machines.roomed import started
from vagrant.namespaces.lab import Namespaces

ROOT = Path(__file__).resolve().parents[2]


def seen(*answers: tuple[float, bool, str]) -> list[Answer]:
    """Answers of one service, asked at these times."""
    return [Answer(asked, asked + 0.01, "web", good, who) for asked, good, who in answers]


def script_lab(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """script/lab as a person runs it."""
    return subprocess.run(
        [str(ROOT / "script" / "lab"), *words], cwd=cwd,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_scenario_is_understood_and_says_what_it_shows() -> None:
    scenarios = every()
    assert len(scenarios) >= 14
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert all(scenario.title.endswith(".") for scenario in scenarios)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("jump node1: true", "the words are needs, run"),
        ("needs luck", "needs takes fence, freeze, kernel, systemd, and this is luck"),
        ("run true", "needs NODE: COMMAND"),
        ("within soon web answers", "a time such as"),
        ("expect web is blue", "lists what can be claimed"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_with_a_remedy(tmp_path: Path, line: str, remedy: str) -> None:
    path = tmp_path / "1-wrong.txt"
    path.write_text(f"# Wrong.\n{line}\n")
    with pytest.raises(ScenarioError, match=f"1-wrong.txt:2: .*{remedy}"):
        parse(path)


def test_an_outage_runs_from_the_first_bad_request_to_the_next_good_one() -> None:
    answers = seen((1.0, True, "node1"), (1.5, False, "refused"), (2.0, False, "refused"), (3.0, True, "node2"))
    assert outage(answers) == pytest.approx(1.5)
    assert outage(answers[:3]) == pytest.approx(0.5)


def test_a_service_that_moves_is_seen_to_move() -> None:
    answers = seen((1, True, "node1"), (2, False, "refused"), (3, True, "node1"), (4, True, "node2"))
    assert moves(answers) == ["node1", "node2"]
    assert [(each.good, each.who) for each in stretches(answers)] == [
        (True, "node1"), (False, ""), (True, "node1"), (True, "node2"),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 9])
def test_a_number_of_nodes_that_is_no_cluster_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(LabError, match="--nodes takes 2 to 8"):
        Namespaces(tmp_path / "lab").begin(count, print)
    assert not (tmp_path / "lab").exists()


def test_each_word_of_a_lab_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    for words in (["status"], ["exec", "node1", "true"], ["logs"], ["drill", "killed_once"]):
        said = script_lab("--directory", str(tmp_path / "lab"), *words)
        assert said.returncode == 1
        assert "script/lab up makes one" in said.stdout or "there is no scenario" in said.stdout
    said = script_lab("--directory", str(tmp_path / "lab"), "down")
    assert said.returncode == 0
    assert "there was no lab" in said.stdout


def test_wrong_words_are_refused_with_one_line() -> None:
    for words in (["uup"], ["up", "--nodes", "many"], ["--provider", "paper", "up"], ["drill", "a", "b"]):
        said = script_lab(*words)
        assert said.returncode == 2, said.stdout
        assert said.stdout.count("\n") == 1


def test_a_directory_that_is_not_a_labs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    lab = Namespaces(tmp_path)
    with pytest.raises(LabError):
        lab.begin(2, print)
    lab.end()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_program_that_clears_up_after_itself_is_told_to_end_once_and_waited_for(tmp_path: Path) -> None:
    """As script/setup, which has to take away the file that keeps services from starting."""
    half_made = tmp_path / "half-made"
    script = """
    leave() { rm "$1"; }
    trap 'leave "$1"' EXIT
    trap 'exit 143' TERM
    touch "$1"
    echo begun
    while :; do sleep 0.05; done
    """
    with (
        pytest.raises(KeyboardInterrupt),
        child(["bash", "-c", script, "bash", str(half_made)], stdout=subprocess.PIPE) as program,
    ):
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        assert half_made.exists()
        assert os.getsid(program.pid) == program.pid  # a terminal's Ctrl-C is not a second signal
        raise KeyboardInterrupt
    assert program.returncode == 143
    assert not half_made.exists()


def test_lab_count_is_the_number_of_nodes_where_none_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        for count, sentence in (("9", "a cluster of 9 is none"), ("many", "LAB_COUNT=many is no number of nodes")):
            monkeypatch.setenv("LAB_COUNT", count)
            assert main(["--directory", str(tmp_path / "lab"), "up"]) == 1
            assert sentence in capsys.readouterr().err
        assert main(["--directory", str(tmp_path / "lab"), "up", "--nodes", "10"]) == 1
        assert "a cluster of 10 is none" in capsys.readouterr().err
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_only_vagrant_alone_can_make_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value, sentence in (
        ("LAB_SERVERS", "apache", "LAB_SERVERS=apache: .*LAB_EXPOSE=yes vagrant up makes"),
        ("LAB_CONFIGURE", "no", "LAB_CONFIGURE=no: .*LAB_EXPOSE=yes vagrant up makes"),
        ("LAB_FENCE", "xvm", "LAB_FENCE=xvm: machines of namespaces have lab$"),
    ):
        with monkeypatch.context() as chosen:
            chosen.setenv(name, value)
            with pytest.raises(LabError, match=sentence):
                Namespaces(tmp_path / "lab").begin(2, print)
    assert not (tmp_path / "lab").exists()


def test_curl_is_asked_for_as_are_the_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("vagrant.namespaces.lab.PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "curl" in Namespaces(tmp_path / "lab").missing()[0].split()


@pytest.mark.parametrize("below", ["", "/lab"])
def test_a_directory_that_cannot_be_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    monkeypatch.setattr(Namespaces, "missing", lambda _: [])
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LabError, match="file is no directory: name another --directory"):
        Namespaces(f"{tmp_path}/file{below}").begin(2, print)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_is_too_full_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagrant.machines.roomed.NODE_NEEDED", 1 << 40)
    with pytest.raises(LabError, match=r"has \d+ MiB left, and such a lab needs \d+: name another --directory"):
        Namespaces(tmp_path / "lab").check_space(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
@pytest.mark.parametrize("lives", [True, False])
def test_somebody_who_is_not_root_is_told_so_in_one_line(lives: bool) -> None:
    """The lab is root's; its room's first process is a stand-in, which is not this somebody's to signal."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # root's files, too

    def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=ROOT, user=65534, group=65534, extra_groups=[], env=env, stdin=subprocess.DEVNULL, text=True,
            timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        note = {
            "provider": "namespaces",
            "pid": os.getpid(),
            "start": started(os.getpid()) if lives else "",
            "nodes": 2,
        }
        Path(place, "lab.json").write_text(json.dumps(note))
        if as_nobody("cksum", f"{place}/lab.json", "vagrant/lab/command.py", sys.executable).returncode:
            pytest.skip("nobody but root may read this checkout")
        said = as_nobody(sys.executable, "-m", "vagrant.lab.command", "--directory", place, "down")
        assert said.returncode == 1, said.stdout
        assert "run it as root" in said.stdout
        assert said.stdout.count("\n") == 1
        assert Path(place, "lab.json").exists()


def test_a_place_is_named_from_where_the_command_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"there is no lab in {tmp_path}/mine:" in script_lab("--directory", "mine", "status", cwd=tmp_path).stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_BOXES", "boxes")
    assert Containers(tmp_path).boxes() == tmp_path / "boxes"


def test_a_lab_behind_a_link_is_ended_where_it_is(tmp_path: Path) -> None:
    place, link = tmp_path / "place", tmp_path / "link"
    place.mkdir()
    link.symlink_to(place)
    (place / "lab.json").write_text(json.dumps({"provider": "namespaces", "pid": 1, "start": "", "nodes": 2}))
    assert Namespaces(link).end()
    assert not place.exists()


def test_what_cannot_be_taken_away_is_not_called_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.json").write_text(json.dumps({"provider": "namespaces", "pid": 1, "start": "", "nodes": 2}))
    monkeypatch.setattr("vagrant.machines.roomed.shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(LabError, match=r"cannot be taken away: something in it is in use|it needs root"):
        Namespaces(tmp_path).end()


class Mute(Namespaces):
    """A lab that comes up and where no cluster forms."""

    there = False

    def begin(self, count: int, say: Callable[[str], None]) -> None:
        self.there = True
        self.pace = 0.001

    def end(self) -> bool:
        self.there = False
        return True

    @property
    def nodes(self) -> list[str]:
        return ["node1", "node2"]

    def read(self, node: str, path: str) -> str:
        if not self.there:
            raise LabError("there is no lab")
        text = {"lab.console": "booted\n" * 9, "corosync.log": "".join(f"{node} line {n}\n" for n in range(99))}
        return text.get(path.rpartition("/")[2], "")

    def run(self, node: str, command: object, timeout: float = 60.0) -> Done:
        return Done([], 1, "", "")


def test_a_lab_that_does_not_come_up_tells_what_its_nodes_said_as_it_is_gone_then(tmp_path: Path) -> None:
    lab: Lab = Mute(tmp_path)
    with pytest.raises(LabError) as error:
        up(lab, 2, lambda _: None)
    first, *lines = str(error.value).splitlines()
    assert first.startswith("a cluster of 2 nodes did not come within")
    assert "script/lab logs" not in first
    assert lines[0] == "==== node1:/var/log/corosync/corosync.log"
    assert lines[LAST] == "node1 line 98"
    assert len(lines) == 2 * (LAST + 1)
