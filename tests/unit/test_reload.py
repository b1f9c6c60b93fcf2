"""A reload by signal waits until the server has a handler for it: earlier it would be lost, or the server's end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from resource_agents import checking
from resource_agents.patience import Patience
from resource_agents.processes import look
from tests.waiting import LONG

#: Ignores SIGHUP until a line comes, then says what it got.
SLOW = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print("serves", flush=True)
sys.stdin.readline()
signal.signal(signal.SIGHUP, lambda *_: print("reloaded", flush=True))
while True:
    signal.pause()
"""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        (sys.executable, "-c", SLOW), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "serves\n"
        main = look(program.pid)
        monkeypatch.setattr(checking, "find_main", lambda *_: main)
        yield program
        program.kill()


def ask(seconds: float) -> Any:
    server: Any = SimpleNamespace(
        title="Zeus",
        reloads_with=signal.SIGHUP,
        reload_command=lambda: None,
        check_command=lambda: None,
        layout=None,
    )
    return checking.reload(server, None, Patience(seconds))


def meanwhile(what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``what`` happen as soon as the reload has found that it must wait."""
    asked, handles = threading.Event(), checking.handles

    def seen(pid: int, number: int) -> bool:
        ready = handles(pid, number)
        if not ready and not asked.is_set():
            asked.set()
            what()
        return ready

    monkeypatch.setattr(checking, "handles", seen)


def test_the_signal_is_sent_when_there_is_a_handler(
    slow: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slow.stdin is not None and slow.stdout is not None
    meanwhile(lambda: slow.stdin.write("go on\n"), monkeypatch)  # type: ignore[union-attr]
    assert ask(LONG) is None
    assert slow.stdout.readline() == "reloaded\n"


def test_who_never_handles_it_is_named_and_lives_on(slow: subprocess.Popen[str]) -> None:
    fault = ask(0.05)
    assert fault is not None
    assert fault.reason == f"Zeus is not reloaded: pid {slow.pid} has no handler for SIGHUP"
    assert slow.poll() is None


def test_who_ends_meanwhile_is_not_waited_for(slow: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(slow.kill, monkeypatch)
    fault = ask(1e6)
    assert fault is not None
    assert fault.reason == "it ended before it could be reloaded"
