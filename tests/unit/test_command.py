"""``command``: any server by its command line. The processes here are small programs, not web servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocf.declarations import ParameterError
from ocf.faults import Kind
from resource_agents.command import AnyCommand
from resource_agents.layouts import Address
from resource_agents.processes import Process, look
from resource_agents.server import Command
from tests.waiting import eventually

SLEEP = "/usr/bin/sleep"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"start_command": " "},
        {"start_command": "a 'b"},
        {"start_command": "a", "pidfile": "x.pid"},
        {"start_command": "a", "directory": "x"},
        {"start_command": "a", "port": "0"},
        {"start_command": "a", "port": "80, http"},
        {"start_command": "a", "port": "[::1:80"},
        {"start_command": "a", "environment": "A"},
        {"start_command": "a", "environment": "1A=2"},
        {"start_command": "a", "testregex": "("},
        {"start_command": "a", "process_pattern": "("},
    ],
)
def test_a_value_that_is_wrong_on_every_machine_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        AnyCommand(values)


def test_the_command_line_is_split_without_a_shell_and_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    server = AnyCommand(
        {
            "start_command": "/opt/a b 'c d' $HOME",
            "stop_command": "stop it",
            "check_command": "check",
            "user": "nobody",
            "directory": "/srv",
            "environment": "A=1 B='x y'",
        },
        "web",
    )
    started = server.start_command()
    assert started.argv == ("/opt/a", "b", "c d", "$HOME")
    assert (started.user, started.cwd) == ("nobody", "/srv")
    assert (started.env["A"], started.env["B"]) == ("1", "x y")
    assert set(started.env) == {"A", "B", "PATH", "LANG", "LC_ALL", "KOBOSHI_RESOURCE"}
    assert server.stop_command() == Command(("stop", "it"), started.env, "nobody", "/srv")
    assert server.check_command() == Command(("check",), started.env, "nobody", "/srv")
    plain = AnyCommand({"start_command": "a"})
    assert plain.stop_command() is None
    assert plain.check_command() is None


def test_the_layout_is_what_the_parameters_say() -> None:
    server = AnyCommand(
        {
            "start_command": "/bin/sh /srv/run",
            "port": "80, 127.0.0.1:81 [::1]:82 localhost:8443",
            "statusurl": "https://localhost:8443/ok",
            "testregex": "fine",
            "pidfile": "/run/x.pid",
        }
    )
    layout = server.layout
    assert layout.addresses == (
        Address("", 80),
        Address("127.0.0.1", 81),
        Address("::1", 82),
        Address("127.0.0.1", 8443, True),
    )
    assert layout.request is not None
    assert layout.request.pattern == "(?im)fine"
    assert layout.files == ("/bin/sh", "/srv/run")
    assert server.forks
    assert AnyCommand({"start_command": "a"}).layout.request is None


@contextmanager
def started(command: Command, marked: bool = True) -> Iterator[Process]:
    """A process that the command starts, once it runs its program; all of its group is killed afterwards."""
    env = dict(command.env) if marked else {"PATH": os.environ["PATH"]}
    child = subprocess.Popen(command.argv, env=env, cwd=command.cwd, start_new_session=True)
    try:
        yield eventually(lambda: _whole(child.pid), what="the process, past its exec")
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize("marked", [True, False])
def test_a_foreground_server_is_known_whoever_started_it(marked: bool) -> None:
    server = AnyCommand({"start_command": f"{SLEEP} 1000.25"})
    with started(server.start_command(), marked) as process:
        assert server.is_main(process)
        assert server.is_kin(process)
        assert not AnyCommand({"start_command": f"{SLEEP} 1000.2"}).is_main(process)
        assert not AnyCommand({"start_command": f"{SLEEP} 1000.25 5"}).is_main(process)
        assert not AnyCommand({"start_command": "/usr/bin/tail 1000.25"}).is_main(process)


def test_a_program_found_by_its_bare_name_is_known() -> None:
    server = AnyCommand({"start_command": "sleep 1000.5"})
    with started(server.start_command(), marked=False) as process:
        assert server.is_main(process)


@pytest.mark.parametrize("first", ["#!/bin/sh", "#!/usr/bin/env sh", "#!/bin/sh -u"])
def test_a_script_is_known_by_its_own_path_and_words(tmp_path: Path, first: str) -> None:
    script = tmp_path / "serve"
    script.write_text(f"{first}\n{SLEEP} 1000 & wait\n")
    script.chmod(0o755)
    server = AnyCommand({"start_command": f"{script} web"})
    with started(server.start_command(), marked=False) as process:
        eventually(lambda: server.is_main(look(process.pid) or process), what="recognition of the script")
        other = AnyCommand({"start_command": f"{script} webs"})
        assert not other.is_main(look(process.pid) or process)


def test_a_wrapper_that_becomes_another_program_is_known_by_its_mark(tmp_path: Path) -> None:
    server = AnyCommand({"start_command": f"sh -c 'exec {SLEEP} 1000.75'"}, "one")
    with started(server.start_command()) as process:
        eventually(lambda: (look(process.pid) or process).exe.endswith("sleep"), what="exec")
        now = look(process.pid)
        assert now is not None
        assert server.is_main(now)
        assert not AnyCommand({"start_command": server.values["start_command"]}, "two").is_main(now)


def test_a_child_with_its_parents_words_is_not_the_main_process() -> None:
    program = "import os, time; os.fork(); time.sleep(1000)"
    server = AnyCommand({"start_command": f'{os.path.realpath(sys.executable)} -I -S -c "{program}"'})
    for marked in (True, False):
        with started(server.start_command(), marked) as process:
            child = eventually(lambda pid=process.pid: _child(pid), what="the child")  # type: ignore[misc]
            assert server.is_main(process)
            assert not server.is_main(child)
            assert server.is_kin(child)


def _whole(pid: int) -> Process | None:
    """The process, unless it is in the middle of its exec, when it has no words yet."""
    found = look(pid)
    return found if found is not None and any(found.argv) else None


def _child(pid: int) -> Process | None:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return look(int(words[0])) if words else None


def test_a_pid_file_alone_proves_nothing(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    server = AnyCommand({"start_command": f"{SLEEP} 1000.125", "pidfile": str(pidfile)})
    bystander = AnyCommand({"start_command": f"{SLEEP} 1000.0625"})
    with started(server.start_command()) as mine, started(bystander.start_command()) as other:
        assert not server.is_main(mine), "no pid file names it yet"
        pidfile.write_text(f"{other.pid}\n")
        assert not server.is_main(other)
        pidfile.write_text(f"{mine.pid}\n")
        assert server.is_main(mine)


def test_a_title_of_its_own_is_known_by_the_pattern() -> None:
    server = AnyCommand({"start_command": "/opt/app/start", "process_pattern": r"^app: master \[web\]"})
    me = os.geteuid()
    title = Process(4_000_001, 1, 1, 4_000_001, 4_000_001, "S", "/opt/app/bin/app", ("app: master [web]",), me)
    assert server.is_main(title)
    assert not server.is_main(Process(4_000_001, 1, 1, 9, 9, "S", "/opt/app/bin/app", ("app: master [web]",), me))
    assert not server.is_main(Process(4_000_001, 1, 1, 4_000_001, 9, "S", "/x", ("app: master [web]",), me + 4711))


RECORDED = [
    ("OSError: [Errno 98] Address already in use", "port-taken", Kind.HOST),
    ("OSError: [Errno 99] Cannot assign requested address", "service-address-missing", Kind.HOST),
    ("Error: listen EADDRINUSE: address already in use :::3000", "port-taken", Kind.HOST),
    ("nc: bind: Permission denied", "no-privilege-for-port", Kind.CONFIGURATION),
    ("OSError: [Errno 28] No space left on device", "disk-full", Kind.HOST),
    ("OSError: [Errno 30] Read-only file system: '/x'", "disk-read-only", Kind.HOST),
    ("OSError: [Errno 24] Too many open files", "fd-limit", Kind.RESOURCE),
    ("OSError: [Errno 12] Cannot allocate memory", "out-of-memory", Kind.HOST),
    ("sh: 1: exec: /opt/none: not found", "command-missing", Kind.CONFIGURATION),
    ("setpriv: failed to parse reuid: 'nobodyx'", "user-or-group", Kind.CONFIGURATION),
]


@pytest.mark.parametrize(("line", "cause", "kind"), RECORDED, ids=[line[:20] for line, _, _ in RECORDED])
def test_recorded_lines_name_their_cause(line: str, cause: str, kind: Kind) -> None:
    fault = AnyCommand({"start_command": "a"}).explain(["Traceback", line], "start failed")
    assert fault is not None
    assert (fault.cause, fault.kind) == (cause, kind)
