"""The one door through which other programs are started.

Argument lists, never a shell line; the whole environment is given; own session, so that a signal to our group reaches
nobody by accident; a deadline, after which the program and its group are killed; output captured up to a limit.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

#: What a program gets when nothing else is said.
PLAIN_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "LANG": "C"}

OUTPUT_LIMIT = 65536

#: Seconds that a killed program has to be gone; one in uninterruptible sleep is left to itself.
DYING = 1.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: ``status`` as subprocess gives it (negative: a signal); None: it was not to be had in time.

    ``output`` is stdout and stderr together, ``problem`` why ``status`` is None.
    """

    status: int | None
    output: str
    took: float
    problem: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 0


def run(
    argv: Sequence[str],
    timeout: float,
    env: Mapping[str, str] = PLAIN_ENVIRONMENT,
    *,
    user: str = "",
    cwd: str = "/",
    given: bytes = b"",
) -> Finished:
    """Run a program to its end, or to ``timeout`` seconds. ``given`` (at most a pipeful) is its standard input."""
    import subprocess  # 15 ms that an action which runs no program does not have

    began = time.monotonic()
    try:
        program = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            user=user or None,
        )
    except (OSError, LookupError, ValueError) as error:
        return Finished(None, "", time.monotonic() - began, f"{argv[0]}: {error}")
    if given and program.stdin is not None:
        with suppress(OSError):
            program.stdin.write(given)
            program.stdin.close()
    assert program.stdout is not None
    output, in_time = _read(program.stdout.fileno(), began + timeout)
    program.stdout.close()
    try:
        status = program.wait(max(0.0, began + timeout - time.monotonic()) if in_time else 0)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # who waits for a dead disk dies when the disk answers
            program.wait(DYING)
        return Finished(None, output, time.monotonic() - began, f"{argv[0]} did not end within {timeout:g} s")
    return Finished(status, output, time.monotonic() - began)


def _read(fd: int, deadline: float) -> tuple[str, bool]:
    """All output up to the limit; False when the deadline came first."""
    import selectors

    chunks: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            chunk = os.read(fd, 65536)
            if not chunk:
                return b"".join(chunks)[:OUTPUT_LIMIT].decode(errors="replace"), True
            if size < OUTPUT_LIMIT:
                chunks.append(chunk)
                size += len(chunk)
    return b"".join(chunks)[:OUTPUT_LIMIT].decode(errors="replace"), False
