"""Run a program to its end as the keeper of all that it starts: nothing outlives us, whatever forked and detached.

We are a child subreaper (prctl(2)): an orphan below us becomes our child instead of PID 1's, so that it can be found,
reaped at once when it ends, and ended when it is left over. Only our own descendants are signalled, through pidfds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
#: Seconds after which we stop waiting for killed processes (one in uninterruptible sleep does not die).
HOPELESS = 30.0


def become_subreaper() -> bool:
    """Whether orphans below us come to us from now on."""
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def call(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> int:
    """Run one command to its end in a session of its own; negative: it was ended by that signal."""
    program = subprocess.Popen(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    while True:  # whatever else ends meanwhile is an orphan, and reaped
        ended, status = os.waitpid(-1, 0)
        if ended == program.pid:
            program.returncode = os.waitstatus_to_exitcode(status)
            return program.returncode


def end_all(patience: float, ask: bool = False) -> list[str]:
    """Wait ``patience`` seconds for our descendants to end, then kill them; the command lines of those killed.

    ``ask``: send SIGINT to our own children first, so that they can clear up.
    """
    began = time.monotonic()
    killed: dict[int, str] = {}
    for pid, start in _children(os.getpid()) if ask else ():
        _send(pid, start, signal.SIGINT)
    while True:
        _reap()
        left = list(_descendants(os.getpid()))
        passed = time.monotonic() - began
        if not left or passed > patience + HOPELESS:
            return [f"{pid} {words}" for pid, words in killed.items()]
        if passed > patience:
            for pid, start in left:
                words = _words(pid)
                if _send(pid, start, signal.SIGKILL):
                    killed.setdefault(pid, words)
        time.sleep(0.02)


def _start_of(pid: int) -> str:
    """When the process started, in clock ticks; empty when there is none or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZXx" else fields[19]


def _words(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def _children(pid: int) -> Iterator[tuple[int, str]]:
    """Pid and start time of the children of ``pid``; an empty start time means dead."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                for word in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                    yield int(word), _start_of(int(word))


def _descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Pid and start time of all living processes below ``pid``."""
    for child, start in _children(pid):
        if start:
            yield child, start
        yield from _descendants(child)


def _send(pid: int, start: str, number: int) -> bool:
    """Signal exactly this process; False when it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if _start_of(pid) != start:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
