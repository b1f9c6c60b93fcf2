"""A thread dump is waited for as long as there is time, and no longer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resource_agents import tomcat_dump
from resource_agents.processes import Process, look
from tests.house import ROOT

#: Says when it handles SIGQUIT, and then writes what it is given, if anything, as soon as it is asked.
DUMPER = """
import signal, sys
def dump(number, frame):
    with open(sys.argv[1], "a") as log:
        log.write(open(sys.argv[2]).read() if sys.argv[2] else "")
signal.signal(signal.SIGQUIT, dump)
print(1, flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "catalina.out"
    log.write_text("INFO: before\n")
    return log


@pytest.fixture
def asked(log: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    line = (sys.executable, "-c", DUMPER, str(log), str(request.param or ""))
    with subprocess.Popen(line, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        process = look(program.pid)
        assert process is not None
        yield process
        assert program.poll() is None, "it must not die of the question"
        program.kill()


@pytest.mark.parametrize("asked", [ROOT / "tests/samples/thread_dumps/deadlock.txt"], indirect=True)
def test_a_whole_dump_ends_the_wait(asked: Process, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tomcat_dump, "PATIENCE", 1e6)
    monkeypatch.setattr(tomcat_dump, "WHOLE", 1e6)
    assert tomcat_dump.ask(asked, str(log), 1e6)


@pytest.mark.parametrize("asked", [None], indirect=True)
def test_a_jvm_that_writes_nothing_is_waited_for_only_as_long_as_there_is_time(
    asked: Process, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tomcat_dump, "PATIENCE", 1e6)
    assert not tomcat_dump.ask(asked, str(log), 0.05)
    monkeypatch.setattr(tomcat_dump, "PATIENCE", 0.05)
    assert not tomcat_dump.ask(asked, str(log), 1e6)
