"""Run an agent's action the way Pacemaker's executor does.

Own process group but no own session, stdin from /dev/null, stdout and stderr through pipes, a fixed environment, and
SIGKILL to the whole group when the time is up. Source: Pacemaker's ``lib/services/services_linux.c`` and
``lib/common/mainloop.c``. :func:`ocf.programs.run` cannot stand in: it gives an own session and joins the outputs.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from cluster_glue.ocf_check.agent import Subject
from ocf.programs import PLAIN_ENVIRONMENT

REASON_PREFIX = "ocf-exit-reason:"
OUTPUT_LIMIT = 262144


@dataclass(frozen=True, slots=True)
class Ran:
    """An action's end. ``rc`` None: it did not end in time; ``pipes`` are the inodes of its stdout and stderr."""

    action: str
    rc: int | None
    stdout: str
    stderr: str
    seconds: float
    pid: int
    pipes: frozenset[int]

    @property
    def reasons(self) -> list[str]:
        """The exit reasons in their order; Pacemaker keeps the last."""
        lines = self.stderr.splitlines()
        return [line.removeprefix(REASON_PREFIX).strip() for line in lines if line.startswith(REASON_PREFIX)]

    @property
    def noise(self) -> list[str]:
        """Lines on stderr that a probe should not write: exit reasons and errors."""
        return [line for line in self.stderr.splitlines() if line.startswith(REASON_PREFIX) or "ERROR:" in line]

    def __str__(self) -> str:
        end = "did not end" if self.rc is None else str(self.rc)
        return f"{self.action} {end}" + (f" ({self.seconds:.0f} s)" if self.seconds >= 1.5 else "")


def environment(
    subject: Subject, timeout: float, interval: float = 0, level: int = 0, parameters: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What the executor gives an agent. ``timeout`` and ``interval`` in seconds; no interval: a probe or a one-off."""
    given = subject.parameters if parameters is None else parameters
    environment = {
        **PLAIN_ENVIRONMENT,
        "OCF_ROOT": subject.root,
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": "ocf-check",
        "OCF_RESOURCE_TYPE": subject.type,
        "OCF_RESOURCE_PROVIDER": subject.provider,
        "OCF_EXIT_REASON_PREFIX": REASON_PREFIX,
        "HA_LOGFACILITY": "none",
        "HA_logfacility": "none",
        "OCF_RESKEY_CRM_meta_timeout": str(int(timeout * 1000)),
        **{f"OCF_RESKEY_{name}": value for name, value in given.items()},
    }
    if interval:
        environment["OCF_RESKEY_CRM_meta_interval"] = str(int(interval * 1000))
    if level:
        environment["OCF_CHECK_LEVEL"] = str(level)
    return environment


def run(path: str, action: str, env: Mapping[str, str], timeout: float, user: str = "") -> Ran:
    """Run one action to its end or for ``timeout`` seconds. Raises ``OSError`` when it cannot be started at all."""
    began = time.monotonic()
    process = subprocess.Popen(
        [path, action],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd="/",
        process_group=0,
        user=user or None,
        extra_groups=[] if user else None,
    )
    assert process.stdout is not None and process.stderr is not None
    outputs = (process.stdout.fileno(), process.stderr.fileno())
    texts, ended = _follow(process.pid, outputs, began + timeout)
    if not ended:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    rc = process.wait()
    seconds = time.monotonic() - began
    pipes = frozenset(os.fstat(fd).st_ino for fd in outputs)
    process.stdout.close()
    process.stderr.close()
    return Ran(action, rc if ended else None, texts[0], texts[1], seconds, process.pid, pipes)


def _follow(pid: int, outputs: tuple[int, int], deadline: float) -> tuple[list[str], bool]:
    """Read both outputs until the process ends (others may hold them open); False when the deadline came first."""
    kept: dict[int, bytearray] = {fd: bytearray() for fd in outputs}
    pidfd = os.pidfd_open(pid)
    ended = False
    with selectors.DefaultSelector() as selector:
        for fd in (*outputs, pidfd):
            selector.register(fd, selectors.EVENT_READ)
        while not ended and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fd == pidfd:
                    ended = True
                elif not _take(key.fd, kept[key.fd]):
                    selector.unregister(key.fd)
        for fd in outputs:
            os.set_blocking(fd, False)
            with suppress(BlockingIOError):
                while _take(fd, kept[fd]):
                    pass
    os.close(pidfd)
    return [bytes(kept[fd]).decode(errors="replace") for fd in outputs], ended


def _take(fd: int, kept: bytearray) -> bool:
    """Read what is there, and keep it up to the limit; False at the end."""
    chunk = os.read(fd, 65536)
    kept += chunk[: OUTPUT_LIMIT - len(kept)]
    return bool(chunk)
