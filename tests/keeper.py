"""A process that keeps whatever a test starts, and ends all of it when the test is over or gone.

It is a child subreaper (prctl(2)): what a killed koboshi leaves becomes its child, is reaped as soon as it is dead, and
is ended at the latest when this process's stdin ends. Only its own descendants are ever signalled, through pidfds.

One JSON object per line on stdin: ``{"argv": [...], "env": {...}, "output": PATH}`` starts a program in a session
of its own, and its pid and start time come back on stdout.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from cluster_glue.recovery.sensors.orphans import become_subreaper
from resource_agents.processes import Process, children, look, send

#: Seconds after which we stop waiting for killed processes.
HOPELESS = 20.0


def start(order: dict[str, object]) -> None:
    """Start what one line asks for."""
    argv, env, output = order["argv"], order["env"], order["output"]
    assert isinstance(argv, list)
    assert isinstance(env, dict)
    pid = os.posix_spawn(
        argv[0],
        argv,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=(signal.SIGCHLD, signal.SIGPIPE),
    )
    process = look(pid)
    print(json.dumps([pid, process.start if process else 0]), flush=True)


def reap() -> None:
    """Whoever is dead by now."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def descendants(pid: int) -> Iterator[Process]:
    """All living processes below ``pid``."""
    for child in children(pid):
        process = look(child)
        if process is not None and not process.dead:
            yield process
        yield from descendants(child)


def end_all() -> None:
    """End everything below us, whatever forks meanwhile."""
    deadline = time.monotonic() + HOPELESS
    while time.monotonic() < deadline:
        reap()
        left = list(descendants(os.getpid()))
        if not left:
            return
        for process in left:
            send(process.identity, signal.SIGKILL)
        time.sleep(0.005)


def main() -> None:
    """Serve until stdin ends."""
    become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of stdin is what ends us
    ends, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    selector.register(ends, selectors.EVENT_READ)
    waiting = b""
    try:
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                if key.fd == ends:
                    reap()
                    continue
                if not data:
                    return
                *lines, waiting = (waiting + data).split(b"\n")
                for line in lines:
                    start(json.loads(line))
    finally:
        end_all()


if __name__ == "__main__":
    main()
