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


class DaemonAbsent(Exception):
    """It does not run, or did not answer in time."""


def exchange(runtime: Path, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Send ``request``, give the reply. Raises :class:`DaemonAbsent` after ``timeout`` seconds at the latest."""
    end = time.monotonic() + timeout
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(min(1.0, timeout))
            client.connect(str(runtime / "control.sock"))
            client.sendall(json.dumps(request).encode() + b"\n")
            while not data.endswith(b"\n") and len(data) < LONGEST:
                client.settimeout(max(0.001, end - time.monotonic()))
                chunk = client.recv(65536)
                if not chunk:
                    break
                data += chunk
        reply = json.loads(data)
    except (OSError, ValueError) as error:
        raise DaemonAbsent(str(error)) from error
    if not isinstance(reply, dict):
        raise DaemonAbsent("the daemon answered nonsense")
    return reply


def wake(runtime: Path, command: str, timeout: float) -> bool:
    """Start the daemon, by its systemd unit or by ``command``, out of our process group and pipes; True when it listens."""
    end = time.monotonic() + timeout
    unit = Path("/run/systemd/system").is_dir() and "KOBOSHI_RUNTIME_DIR" not in os.environ
    if not (unit and run(["systemctl", "start", "koboshi.service"], timeout).ok):
        if not command or not os.access(command, os.X_OK):
            return False
        _detach(command)
    while time.monotonic() < end:
        try:
            exchange(runtime, {"do": "ping"}, 1.0)
        except DaemonAbsent:
            time.sleep(0.02)
        else:
            return True
    return False


def _detach(command: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name.startswith("KOBOSHI_")}
    os.posix_spawn(
        command,
        [command, "run", "--under-cluster"],
        {**PLAIN_ENVIRONMENT, **kept},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
    )
