"""The command, against a stand-in daemon on a real control socket and a real journal."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from cluster_glue.cli import main
from cluster_glue.cli.daemon import complete_resource
from cluster_glue.cli.failure import CODES
from cluster_glue.cli.manual import command_page
from cluster_glue.cli.words import span
from cluster_glue.control import Control, Peer
from cluster_glue.journal import Entry, Journal
from cluster_glue.recovery.model import Tell
from ocf.faults import Fault, Kind
from tests.control_server import serving
from tests.house import ROOT, text_of
from tests.unit import doll
from tests.waiting import LONG

KILLED = Fault("killed", Kind.RESOURCE, "killed by SIGKILL", "exit status -9", "ask who did it")

assert doll.AGENT


class StandIn:
    """A daemon that knows two resources; ``paths`` says which phases a request leads through, one for each look."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.paths: dict[str, list[tuple[str, str]]] = {}
        self.refusal: dict[str, Any] = {}
        self.resources = {name: self._resource(name) for name in ("web1", "web2")}
        self._ahead: dict[str, list[tuple[str, str]]] = {}

    @staticmethod
    def _resource(name: str) -> dict[str, Any]:
        return {
            "name": name, "agent": "apache", "phase": "up", "wanted": "up", "main_pid": 4711, "since": 90061.0,
            "reason": "it answers", "cause": None, "restarts": 1, "restart_limit": 3, "restart_window": 86400.0,
            "paused_for": None, "incident": None, "slow": False, "next_try_in": None,
        }  # fmt: skip

    async def answer(self, request: dict[str, Any], peer: Peer) -> dict[str, Any]:
        if request["do"] == "status":
            for name, ahead in self._ahead.items():
                if ahead:
                    self.resources[name]["phase"], self.resources[name]["reason"] = ahead.pop(0)
            return {"ok": True, "daemon": {"pid": 1}, "resources": list(self.resources.values())}
        self.asked.append(request)
        if self.refusal:
            return self.refusal
        self._ahead[request.get("resource", "")] = self.paths.get(request["do"], [])
        return {"ok": True}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOBOSHI_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("KOBOSHI_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("KOBOSHI_CONFIG", str(tmp_path / "koboshi.toml"))
    return tmp_path


@pytest.fixture
def daemon(places: Path) -> Iterator[StandIn]:
    stand_in = StandIn()
    served: AbstractContextManager[Control] = serving(places / "control.sock", stand_in.answer)
    with served:
        yield stand_in


@pytest.fixture
def run(places: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def journal(places: Path) -> Iterator[Journal]:
    opened = Journal(places / "journal.sqlite", print, print)
    yield opened
    opened.close(LONG)


def fall(journal: Journal, number: int, *more: tuple[str, float]) -> None:
    journal.put(Entry.of("web1", Tell("fell", "killed by SIGKILL", number, KILLED), 1e9, 100.0))
    for message, after in more:
        journal.put(Entry.of("web1", Tell(message, f"about {message}", number, KILLED), 1e9 + after, 100.0 + after))
    assert journal.flush(LONG)


# -- status ----------------------------------------------------------------------------------------------------------


def test_status_shows_each_resource_in_a_line(daemon: StandIn, run: Any) -> None:
    daemon.resources["web2"] |= {"phase": "waiting", "reason": "next try in 4 s", "slow": True, "paused_for": 60}
    code, out, _ = run("status")
    head, web1, web2 = out.splitlines()
    assert head.split() == ["RESOURCE", "AGENT", "STATE", "SINCE", "PID", "RESTARTS", "WHY"]
    assert web1.split() == ["web1", "apache", "up", "1", "d", "1", "h", "4711", "1/3"]
    assert "waiting (slow, paused for 60.0 s)" in web2
    assert web2.endswith("next try in 4 s")
    assert code == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"slow": True}, 0),
        ({"phase": "checking"}, 0),
        ({"phase": "checking", "main_pid": None}, 1),
        ({"phase": "failed"}, 1),
        ({"phase": "starting"}, 1),
        ({"wanted": "down", "phase": "idle"}, 0),
        ({"wanted": "down", "phase": "failed"}, 1),
        ({"wanted": "unknown", "phase": "idle"}, 0),
    ],
)
def test_status_exits_with_1_when_what_should_be_up_is_not(
    daemon: StandIn, run: Any, change: dict[str, Any], code: int
) -> None:
    daemon.resources["web1"] |= change
    assert run("status")[0] == code
    assert run("status", "--json")[0] == code
    assert run("status", "web1")[0] == code
    assert run("status", "web2")[0] == 0


def test_status_in_detail_and_as_json(daemon: StandIn, run: Any) -> None:
    daemon.resources["web1"] |= {"incident": "web1-7", "cause": "killed", "next_try_in": 3.5}
    out = run("status", "web1")[1]
    assert "incident:     web1-7 (`koboshi why web1-7`)" in out
    assert "next try:     in 3.5 s" in out
    found = json.loads(run("status", "web1", "--json")[1])
    assert [one["name"] for one in found["resources"]] == ["web1"]


def test_text_from_outside_reaches_no_terminal_as_it_is(daemon: StandIn, run: Any) -> None:
    daemon.resources["web1"] |= {"phase": "failed", "reason": "log\nline\x1b[2J\u202e", "name": "web\n1"}
    for arguments in (["status"], ["status", "web\n1"], ["start", "web\n1"]):
        _, out, err = run(*arguments)
        assert "\x1b" not in out + err
        assert "\u202e" not in out + err
        assert "log\nline" not in out + err


@pytest.mark.parametrize(
    "resources",
    [
        None,
        "web1",
        [1, "two"],
        [{}],
        [{"name": None, "since": "x", "phase": 3, "paused_for": [], "restart_window": {}}],
    ],
)
def test_a_strange_answer_is_no_traceback(daemon: StandIn, run: Any, resources: Any) -> None:
    async def answer(request: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return {"ok": True, "resources": resources}

    daemon.answer = answer  # type: ignore[method-assign]
    daemon.resources = {}
    assert run("status")[0] in (0, 1)


def test_without_a_daemon_the_remedy_is_told(run: Any, places: Path) -> None:
    for arguments in (["status"], ["start", "web1"], ["reload"], ["pause", "web1"], ["clear", "web1"]):
        code, out, err = run(*arguments)
        assert (code, out) == (3, "")
        assert err == (
            f"koboshi: koboshi is not running (nobody listens on {places}/control.sock);"
            " start it: `systemctl start koboshi`, or `koboshi run`\n"
        )


@pytest.mark.parametrize("verb", ["status", "start", "stop", "restart", "reload", "pause", "resume", "clear"])
def test_an_unknown_resource_is_told_with_the_nearest_name(daemon: StandIn, run: Any, verb: str) -> None:
    code, _, err = run(verb, "wbe1")
    assert (code, err) == (4, "koboshi: there is no resource 'wbe1'; did you mean web1?\n")
    assert run(verb, "zzz")[2].endswith("the resources are: web1, web2\n")
    assert daemon.asked == []


# -- what an operator asks for ---------------------------------------------------------------------------------------


def test_start_waits_until_the_server_is_up(daemon: StandIn, run: Any) -> None:
    daemon.paths["start"] = [("starting", ""), ("waiting", "next try"), ("starting", ""), ("up", "it answers")]
    code, out, err = run("start", "web1")
    assert (code, err) == (0, "")
    assert out.startswith("web1 is up (")
    assert daemon.asked == [{"do": "start", "resource": "web1"}]


def test_a_start_that_fails_is_told_with_its_reason(daemon: StandIn, run: Any) -> None:
    daemon.paths["start"] = [("starting", ""), ("misconfigured", "line 7 is wrong")]
    code, _, err = run("start", "web1")
    assert code == 1
    assert err == "koboshi: start of web1 failed: it is misconfigured: line 7 is wrong; `koboshi why web1` tells more\n"
    daemon.resources["web1"]["phase"] = "idle"
    daemon.paths["start"] = [("failed", "spent")]
    code, out, err = run("start", "web1", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_stop_waits_until_nothing_is_left(daemon: StandIn, run: Any) -> None:
    daemon.paths["stop"] = [("stopping", ""), ("idle", "stop asked")]
    assert run("stop", "web2")[1].startswith("web2 is down (")
    daemon.paths["stop"] = [("stopping", ""), ("failed", "pid 7 is in state D")]
    code, _, err = run("stop", "web2")
    assert code == 1
    assert "pid 7 is in state D" in err


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_a_refused_restart_or_reload_is_a_failure_though_the_server_is_up(daemon: StandIn, run: Any, verb: str) -> None:
    daemon.paths[verb] = [("checking", ""), ("up", "kept running: line 7 is wrong")]
    code, _, err = run(verb, "web1")
    assert code == 1
    assert "kept running: line 7 is wrong" in err
    daemon.resources["web1"]["reason"] = "it answers"
    daemon.paths[verb] = [("checking", ""), ("up", "it answers")]
    assert run(verb, "web1")[0] == 0


def test_what_is_down_is_not_reloaded(daemon: StandIn, run: Any) -> None:
    daemon.resources["web1"]["phase"] = "idle"
    code, _, err = run("reload", "web1")
    assert code == 1
    assert "web1 is idle, and only what is up can be reloaded" in err
    assert daemon.asked == []


def test_a_wait_ends_in_time_and_says_that_koboshi_goes_on(daemon: StandIn, run: Any) -> None:
    daemon.paths["start"] = [("starting", "still")] * 1000
    code, _, err = run("start", "web1", "--timeout", "100ms")
    assert code == 1
    assert "web1 is still starting after 0.100 s; koboshi goes on" in err


def test_no_wait_only_asks(daemon: StandIn, run: Any) -> None:
    daemon.paths["start"] = [("starting", "")] * 1000
    assert run("start", "web1", "--no-wait")[:2] == (
        0,
        "start of web1 is on its way; `koboshi status web1` shows it\n",
    )


def test_koboshis_own_reload_tells_what_is_wrong(daemon: StandIn, run: Any) -> None:
    assert run("reload")[:2] == (0, "koboshi took its configuration anew\n")
    daemon.refusal = {"ok": False, "error": "k.toml:3: typo", "remedy": "mend the file"}
    code, _, err = run("reload")
    assert code == 2
    assert err.startswith("koboshi: k.toml:3: typo; mend it and reload")
    daemon.refusal["errors"] = ["k.toml:3: typo", "k.toml:4: typo"]
    assert run("reload")[2].splitlines()[1:] == ["k.toml:3: typo", "k.toml:4: typo"]


def test_pause_resume_and_clear_are_asked_for_as_said(daemon: StandIn, run: Any) -> None:
    assert run("pause", "web1", "--for", "1h30m", "--reason", "disk swap")[1].startswith(
        "web1 is paused for 1 h 30 min"
    )
    assert run("pause", "web1")[0] == run("resume", "web1")[0] == run("clear", "web1")[0] == 0
    assert daemon.asked == [
        {"do": "pause", "resource": "web1", "for": 5400.0, "reason": "disk swap"},
        {"do": "pause", "resource": "web1", "for": 1800.0, "reason": ""},
        {"do": "resume", "resource": "web1"},
        {"do": "clear", "resource": "web1"},
    ]
    for wrong in ("0", "soon", "1000d", "-1"):
        code, _, err = run("pause", "web1", "--for", wrong)
        assert code == 2
        assert err
    assert json.loads(run("resume", "web1", "--json")[1]) == {"ok": True}


def test_a_daemon_that_says_no_is_heard(daemon: StandIn, run: Any) -> None:
    daemon.refusal = {"ok": False, "error": "not now", "remedy": "later"}
    assert run("clear", "web1")[::2] == (1, "koboshi: not now; later\n")
    daemon.refusal = {"ok": False, "error": "gone", "remedy": "", "unknown": True}
    assert run("clear", "web1")[0] == 4


# -- stories ---------------------------------------------------------------------------------------------------------


def test_why_tells_the_latest_incident_in_one_sentence_and_then_the_timeline(journal: Journal, run: Any) -> None:
    fall(journal, 7, ("orphans-ended", 0.01), ("restarting", 0.02), ("recovered", 0.25))
    code, out, _ = run("why")
    first, *rest = out.splitlines()
    assert code == 0
    assert first.startswith("web1-7: web1 fell at 2001-09-0")
    assert first.endswith(
        ": killed by SIGKILL (cause: killed); koboshi restarted it once; it recovered; it was out for 0.250 s."
    )
    assert "proof:   exit status -9" in rest
    assert "advice:  ask who did it" in rest
    assert "      +0.250 s  recovered          about recovered" in rest


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "koboshi did not restart it; it is not over; it has been out for "),
        (
            [("restarting", 1.0), ("restarting", 2.0), ("exhausted", 3.0)],
            "restarted it twice; koboshi gave up; it has been",
        ),
        ([("hopeless", 3.0)], "as a restart here could not help"),
        ([("stopped", 3.0)], "it was then stopped as asked; it was out for 3.0 s"),
        ([("released", 3.0)], "watch it no longer; how long it was out is not known"),
    ],
)
def test_every_ending_is_told(journal: Journal, run: Any, more: list[tuple[str, float]], words: str) -> None:
    fall(journal, 1, *more)
    assert words in run("why", "web1-1")[1].splitlines()[0]


def test_an_incident_that_began_with_a_failed_start_is_told_so(journal: Journal, run: Any) -> None:
    journal.tell("web1", Tell("start-failed", "it exited", 1))
    assert journal.flush(LONG)
    assert "web1 could not be started at" in run("why", "web1")[1]


def test_incidents_are_listed_latest_first(journal: Journal, run: Any) -> None:
    fall(journal, 1, ("recovered", 0.5))
    fall(journal, 2)
    head, second, first = run("incidents")[1].splitlines()
    assert head.split() == ["INCIDENT", "FELL", "OUTAGE", "ENDED", "CAUSE", "WHY"]
    assert second.startswith("web1-2 ")
    assert " open " in second
    assert " 0.500 s  recovered  killed  killed by SIGKILL" in first
    assert [one["id"] for one in json.loads(run("incidents", "web1", "--limit", "1", "--json")[1])] == ["web1-2"]
    assert run("incidents", "web2")[1] == "no incident of web2 is on record\n"


def test_why_as_json_has_the_timeline(journal: Journal, run: Any) -> None:
    fall(journal, 1, ("restarting", 0.1))
    found = json.loads(run("why", "web1-1", "--json")[1])
    assert (found["id"], found["cause"], found["actions"]) == ("web1-1", "killed", ["restarting"])
    assert [line["message"] for line in found["timeline"]] == ["fell", "restarting"]


def test_why_without_an_incident_to_tell(journal: Journal, run: Any) -> None:
    journal.tell("", Tell("daemon-started", ""))
    assert journal.flush(LONG)
    assert run("why", "web1-1")[::2] == (
        4,
        "koboshi: there is no incident 'web1-1'; `koboshi incidents` lists them\n",
    )
    assert run("why")[:2] == (0, "nothing has fallen: no incident is on record\n")
    assert run("why", "--json")[1] == "null\n"


def test_without_a_journal_the_place_is_named(run: Any, places: Path) -> None:
    code, _, err = run("why")
    assert code == 1
    assert str(places / "journal.sqlite") in err


# -- without a daemon ------------------------------------------------------------------------------------------------


def test_check_config_tells_every_error(run: Any, places: Path) -> None:
    file = places / "koboshi.toml"
    code, _, err = run("check-config")
    assert code == 2
    assert "cannot be read" in err
    file.write_text('[koboshi]\nsyslgo = ""\n[resource.a]\nagent = "doll"\n')
    for arguments in (["check-config"], ["run", "--check"], ["run", "-c", str(file)]):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert f"{file}:2: koboshi.syslgo: there is no such setting; did you mean syslog?" in err
        assert f"{file}:3: resource.a.start_command: is required" in err
    code, out, _ = run("check-config", "--json", str(file))
    assert code == 2
    assert [error["line"] for error in json.loads(out)["errors"]] == [2, 3]
    file.write_text('[resource.a]\nagent = "doll"\nstart_command = "x"\n')
    assert run("check-config")[:2] == (0, f"{file}: no error; resources: a\n")
    assert run("run", "--check")[0] == 0
    assert json.loads(run("check-config", "--json")[1])["resources"] == ["a"]


def test_the_version_is_told(run: Any) -> None:
    assert run("version")[1].startswith("koboshi ")
    assert json.loads(run("version", "--json")[1])["version"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(run: Any, shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0
    assert "_KOBOSHI_COMPLETE" in out
    assert run("completion", "tcsh")[0] == 2


def test_names_are_completed_from_the_daemon_and_without_it_from_the_configuration(places: Path) -> None:
    def names(begin: str) -> list[str]:
        return [item.value for item in complete_resource(None, None, begin)]  # type: ignore[arg-type]

    assert names("") == []
    (places / "koboshi.toml").write_text('[resource.web7]\nagent = "no matter"\n')
    assert names("w") == ["web7"]
    with serving(places / "control.sock", StandIn().answer):
        assert names("web") == ["web1", "web2"]
        assert names("x") == []


def test_a_misspelt_command_is_told_with_the_nearest(run: Any) -> None:
    assert run("statsu")[::2] == (2, "koboshi: there is no command 'statsu'; did you mean status?\n")
    assert run("frobnicate")[2].endswith("`koboshi --help` lists them\n")
    assert run("status", "--nosuch")[0] == 2
    assert run("start")[0] == 2


def test_the_help_documents_every_exit_code(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for number, meaning in CODES.items():
        assert f"{number:5}  {meaning}\n" in out


def test_the_page_of_the_command_is_up_to_date() -> None:
    assert text_of("docs/command.rst") == command_page(), "run: python -m cluster_glue.cli.manual > docs/command.rst"


def test_asking_imports_nothing_heavy(daemon: StandIn) -> None:
    program = (
        "import sys; from cluster_glue.cli import _code; assert _code(['status']) == 0;"
        "heavy = {'asyncio', 'requests', 'pyroute2', 'psutil', 'sqlite3', 'tomllib', 'tenacity'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # it imports, too
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT, env=env
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(daemon: StandIn, no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    program = [sys.executable, "-c", "from cluster_glue.cli import main; main(['status'])"]
    env = {**os.environ, "NO_COLOR": no_color}
    with subprocess.Popen(program, stdout=theirs, stderr=theirs, env=env, cwd=ROOT) as child:
        child.wait(LONG)
    os.close(theirs)
    text = os.read(ours, 65536)
    os.close(ours)
    assert b"web1" in text
    assert (b"\x1b[" in text) is coloured


def test_a_reader_that_leaves_early_is_no_traceback(daemon: StandIn) -> None:
    for number in range(3, 3000):
        daemon.resources[f"web{number}"] = {**daemon.resources["web1"], "name": f"web{number}"}
    program = [sys.executable, "-c", "from cluster_glue.cli import main; main(['status'])"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(LONG) in (0, 1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"), (0, "0.000 s"), (0.0424, "0.042 s"), (12.34, "12.3 s"), (119.96, "2 min 0 s"), (184, "3 min 4 s"),
        (3599.7, "1 h 0 min"), (7500, "2 h 5 min"), (86399, "23 h 59 min"), (86400, "1 d 0 h"), (1e6, "11 d 13 h"),
    ],
)  # fmt: skip
def test_lengths_of_time_are_told_as_people_say_them(seconds: float | None, words: str) -> None:
    assert span(seconds) == words
