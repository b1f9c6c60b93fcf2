"""One exchange with the daemon over its Unix socket, and waking it. Standard library, as little of it as will do."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from ocf.programs import PLAIN_ENVIRONMENT, run

#: Bytes of the longest reply.
LONGEST = 1 << 20

#: Seconds in which a daemon that lives answers "are you there", however busy the machine is.
SIGN_OF_LIFE = 2.0


class DaemonAbsent(Exception):
    """It does not run, or did not answer in time; ``silent``: somebody holds the socket and says nothing."""

    def __init__(self, reason: str, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


def exchange(runtime: Path, request: dict[str, Any], timeout: float, *, watched: bool = False) -> dict[str, Any]:
    """Send ``request``, give the reply. Raises :class:`DaemonAbsent` after ``timeout`` seconds at the latest.

    ``watched``: the reply may take its time, so a sign of life is asked for now and then, and a daemon that gives none
    is absent long before the time is over.
    """
    end = time.monotonic() + timeout
    data, client = b"", socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with client:
        try:
            client.settimeout(min(SIGN_OF_LIFE, timeout))
            client.connect(str(runtime / "control.sock"))
        except OSError as error:
            raise DaemonAbsent(str(error), isinstance(error, TimeoutError | BlockingIOError)) from error
        try:
            client.sendall(json.dumps(request).encode() + b"\n")
            while not data.endswith(b"\n") and len(data) < LONGEST:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("no answer in time")
                client.settimeout(min(left, SIGN_OF_LIFE / 2) if watched else left)
                try:
                    chunk = client.recv(65536)
                except TimeoutError:
                    if watched:
                        exchange(runtime, {"do": "ping"}, min(left, SIGN_OF_LIFE))
                    continue
                if not chunk:
                    break
                data += chunk
            reply = json.loads(data)
        except (OSError, ValueError) as error:
            raise DaemonAbsent(str(error), isinstance(error, TimeoutError)) from error
    if not isinstance(reply, dict):
        raise DaemonAbsent("the daemon answered nonsense")
    return reply


def wake(runtime: Path, command: str, timeout: float) -> bool:
    """Start the daemon by its systemd unit or by ``command``, out of our process group; True when it listens."""
    end = time.monotonic() + timeout
    unit = Path("/run/systemd/system").is_dir() and "KOBOSHI_RUNTIME_DIR" not in os.environ
    child = 0
    if not (unit and run(["systemctl", "start", "koboshi.service"], timeout).ok):
        if not command or not os.access(command, os.X_OK):
            return False
        child = _detach(command)
    while time.monotonic() < end:
        try:
            exchange(runtime, {"do": "ping"}, SIGN_OF_LIFE)
        except DaemonAbsent:
            if child and os.waitpid(child, os.WNOHANG)[0]:
                child = 0  # it ended: another one holds the place and may be about to listen, or none ever will
                end = min(end, time.monotonic() + SIGN_OF_LIFE)
            time.sleep(0.02)
        else:
            return True
    return False


def _detach(command: str) -> int:
    """The daemon in a session of its own, with nothing of ours but settings of koboshi; its pid."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("KOBOSHI_")}
    inherited = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return os.posix_spawn(
        command,
        [command, "run", "--under-cluster"],
        {**PLAIN_ENVIRONMENT, **kept},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in inherited),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
    )
