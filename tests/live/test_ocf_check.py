"""The conformance kit plays against an agent that keeps every promise, and against the same agent with one misdeed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_glue.ocf_check.agent import Subject, resolve
from cluster_glue.ocf_check.namespaces import play, play_all
from cluster_glue.ocf_check.peers import nginx
from cluster_glue.ocf_check.registry import every_case
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SAMPLE = Path(__file__).with_name("ocf_sample_agent.py")
HEARTBEAT = Path("/usr/lib/ocf/resource.d/heartbeat")
CASES = every_case()


@pytest.fixture
def agent() -> Iterator[Path]:
    """The sample agent, installed, with a configuration, in a directory that is open for user nobody."""
    with tempfile.TemporaryDirectory(prefix="ocf-check-test-") as home:
        Path(home).chmod(0o755)
        yield install(Path(home))


def install(home: Path) -> Path:
    script = home / "resource.d" / "test" / "sample"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!{os.path.realpath(sys.executable)} -IS\n{SAMPLE.read_text()}")
    script.chmod(0o755)
    lines = {"host": "127.0.0.1", "port": "18080", "pidfile": f"{home}/sample.pid"}
    (home / "sample.conf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    return script


def subject(agent: Path, misdeed: str = "", timeout: float = 20.0) -> Subject:
    path, provider, kind = resolve(str(agent))
    parameters = {"configfile": f"{agent.parents[2]}/sample.conf", "misdeed": misdeed}
    return Subject(path, provider, kind, parameters=parameters, timeout=timeout)


def test_an_agent_that_keeps_every_promise_passes_every_case(agent: Path) -> None:
    outcomes = asyncio.run(play_all(subject(agent), CASES.values(), jobs=2))
    failed = {outcome.case: outcome.seen for outcome in outcomes if outcome.verdict == "failed"}
    skipped = {outcome.case for outcome in outcomes if outcome.verdict == "skipped"}
    assert failed == {}
    assert skipped == {"stop-without-software"}, "its server is an interpreter, which others need too"


@pytest.mark.parametrize(
    ("case", "misdeed"),
    [
        ("unknown-action", "unknown-action-is-fine"),
        ("start-twice", "start-replaces"),
        ("stop-twice", "stop-says-not-running"),
        ("monitor-follows", "stopped-is-an-error"),
        ("probe-without-software", "stopped-is-an-error"),
        ("parallel-start", "start-doubles"),
        ("reload-stopped", "reload-starts"),
        ("stop-plans", "stop-is-patient"),
        ("kill-main", "monitor-asks-port-only"),
        ("kill-all", "stop-says-not-running"),
        ("zombies", "monitor-trusts-pidfile"),
        ("orphans", "stop-ends-main-only"),
        ("frozen-main-stop", "stop-asks-politely"),
        ("frozen-main-monitor", "monitor-sleeps"),
        ("frozen-workers-monitor", "monitor-never-asks"),
        ("frozen-workers-stop", "stop-asks-politely"),
        ("frozen-all-stop", "stop-asks-politely"),
        ("pidfile-names-bystander", "stop-kills-by-pidfile"),
        ("pidfile-blocks-start", "start-trusts-pidfile"),
        ("pidfile-garbage", "stopped-is-an-error"),
        ("pidfile-emptied", "stop-kills-by-pidfile"),
        ("pidfile-removed", "stop-kills-by-pidfile"),
        ("broken-configuration-stop", "stop-reads-configuration"),
        ("missing-configuration-stop", "stop-reads-configuration"),
        ("broken-configuration-monitor", "monitor-reads-configuration"),
        ("missing-configuration-probe", "probe-speaks"),
        ("syntax-error-start", "syntax-error-is-fatal"),
        ("descriptors-closed", "server-keeps-stderr"),
        ("process-group-left", "server-keeps-group"),
        ("temporary-files", "start-leaves-file"),
        ("exit-reason", "start-says-two-things"),
        ("exit-reason", "start-says-nothing"),
    ],
)
def test_a_misdeed_fails_the_case_that_is_for_it(agent: Path, case: str, misdeed: str) -> None:
    outcome = asyncio.run(play(subject(agent, misdeed, timeout=6), CASES[case]))
    assert outcome.verdict == "failed", outcome.seen
    assert "the kit itself" not in outcome.seen
    assert "cut short" not in outcome.seen


def test_meta_data_that_nobody_cannot_have_fails(agent: Path) -> None:
    agent.chmod(0o700)
    outcome = asyncio.run(play(subject(agent), CASES["meta-data"]))
    assert outcome.verdict == "failed"


def test_meta_data_of_another_agent_fails(agent: Path) -> None:
    agent.write_text(agent.read_text().replace('name="sample"', 'name="other"'))
    outcome = asyncio.run(play(subject(agent), CASES["meta-data"]))
    assert "that of 'other'" in outcome.seen


@pytest.mark.parametrize(
    "case", ["monitor-follows", "kill-main", "pidfile-names-bystander", "broken-configuration-stop"]
)
def test_an_agent_that_starts_no_process_is_never_silently_passed(case: str, tmp_path: Path) -> None:
    if not (HEARTBEAT / "Dummy").exists():
        pytest.skip("resource-agents is not installed")
    path, provider, kind = resolve("ocf:heartbeat:Dummy")
    dummy = Subject(path, provider, kind, parameters={"state": f"{tmp_path}/state"})
    outcome = asyncio.run(play(dummy, CASES[case]))
    assert outcome.verdict == ("ok" if case == "monitor-follows" else "skipped")
    assert outcome.verdict == "ok" or "no process" in outcome.seen


def test_orphans_of_a_real_nginx_are_found_behind_the_agent_that_leaves_them(tmp_path: Path) -> None:
    if not (HEARTBEAT / "nginx").exists() or not Path("/usr/sbin/nginx").exists():
        pytest.skip("resource-agents or nginx is not installed")
    home = tmp_path / "instance"
    home.mkdir()
    path, provider, kind = resolve("ocf:heartbeat:nginx")
    there = Subject(path, provider, kind, parameters=nginx(home))
    outcome = asyncio.run(play(there, CASES["orphans"]))
    assert outcome.verdict == "failed"
    assert "a listener on 127.0.0.1:18080" in outcome.seen


def test_nothing_that_a_case_writes_reaches_the_machine(agent: Path) -> None:
    home = agent.parents[2]
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for case, misdeed in (("syntax-error-start", ""), ("temporary-files", "start-leaves-file"), ("kill-all", "")):
        asyncio.run(play(subject(agent, misdeed), CASES[case]))
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    assert not Path("/tmp/ocf-check-sample-left").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_a_run_that_is_interrupted(agent: Path, number: signal.Signals) -> None:
    parameters = subject(agent, "monitor-sleeps", timeout=600).parameters
    options = [word for name, value in parameters.items() for word in ("-o", f"{name}={value}")]
    only = ["--timeout", "600", "--only", "monitor-follows", "--only", "frozen-all-stop"]
    kit = subprocess.Popen(
        [sys.executable, "-m", "cluster_glue.ocf_check.command", str(agent), *options, *only],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    try:
        eventually(
            lambda: of_instance(agent, b"monitor") and of_instance(agent, b"serve"), what="the monitor that sleeps"
        )
        kit.send_signal(number)
        kit.wait(30)
    finally:
        kit.kill()
        kit.wait()
    eventually(lambda: not of_instance(agent), what="the end of all that the run started")


def of_instance(agent: Path, word: bytes = b"") -> list[int]:
    """Pids, as the machine sees them, of living processes whose command line names this instance of the agent."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            os.fsencode(agent) in words
            and b"cluster_glue.ocf_check.command" not in words
            and (not word or word in words)
        ):
            found.append(int(name))
    return found


def test_the_command_tells_verdicts_in_json_and_by_exit_status(agent: Path) -> None:
    good = command(agent, "")
    bad = command(agent, "unknown-action-is-fine")
    assert (good.returncode, bad.returncode) == (0, 1)
    told = json.loads(bad.stdout)
    assert told["counts"] == {"ok": 0, "failed": 1, "skipped": 0}
    assert told["cases"][0]["case"] == "unknown-action"
    assert "gave 0 instead of 3" in told["cases"][0]["seen"]


def test_a_user_who_is_not_root_is_told_so() -> None:
    as_nobody = (
        "import os; from cluster_glue.ocf_check.command import ocf_check, every_case;"
        "every_case(); os.setuid(65534); ocf_check(['/bin/true'])"
    )
    told = subprocess.run([sys.executable, "-c", as_nobody], capture_output=True, text=True, timeout=60)
    assert told.returncode == 2
    assert "needs root" in told.stderr


def command(agent: Path, misdeed: str) -> subprocess.CompletedProcess[str]:
    options = ["-o", f"misdeed={misdeed}", "--only", "unknown-action", "--json"]
    return subprocess.run(
        [sys.executable, "-m", "cluster_glue.ocf_check.command", str(agent), *options],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
