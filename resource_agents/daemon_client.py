"""One exchange with the daemon over its Unix socket, and waking it. Standard library, as little of it as will do.

To rouse it takes a millisecond: nobody waits until it listens, which may take seconds on a machine that is busy.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents import mandates

#: Bytes of the longest reply.
LONGEST = 1 << 20

#: Seconds in which a daemon that lives answers "are you there", however busy the machine is.
SIGN_OF_LIFE = 2.0

#: Seconds between two attempts of monitors to rouse a daemon: one that cannot come up must not cost a start each time.
SELDOM = 30.0

#: Where systemd says that it runs, and where units are.
SYSTEMD = "/run/systemd/system"
UNITS = (
    "/etc/systemd/system",
    SYSTEMD,
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)

SYSTEMCTL = "systemctl"
#: What ``systemctl is-active`` calls a unit that runs, or that systemd is about to start again (systemctl(1)). One that
#: hung is "deactivating" while systemd aborts it, and is started again after that; a stop that was asked for ends soon.
KEPT_UP = ("active", "reloading", "activating", "deactivating")

#: Starts the unit, or the command where that fails; run by the shell, so that nobody waits for systemd.
_BY_UNIT = 'systemctl start koboshi.service || exec "$0" run --under-cluster'


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
    """Rouse the daemon and wait for it; True when it listens within ``timeout`` seconds."""
    end = time.monotonic() + timeout
    child = rouse(runtime, command)
    while child is not None and time.monotonic() < end:
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


def rouse(runtime: Path, command: str) -> int | None:
    """Have the daemon started by its systemd unit or by ``command``, in a session of its own, and wait for nothing.

    The pid of what starts it; None when there is nothing to start it with. Raises ``OSError``.
    """
    unit = _has_unit()
    if not unit and not os.access(command, os.X_OK):
        return None
    with suppress(OSError):
        mandates.make_folder(runtime)
        _roused(runtime).write_text(f"{time.monotonic()}\n")
    kept = {name: value for name, value in os.environ.items() if name.startswith("KOBOSHI_")}
    inherited = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    argv = ["/bin/sh", "-c", _BY_UNIT, command] if unit else [command, "run", "--under-cluster"]
    return os.posix_spawn(
        argv[0],
        argv,
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


def remind(runtime: Path, command: str) -> bool:
    """Rouse a daemon that died, unless somebody did so in the last :data:`SELDOM` seconds; whether one may be coming.

    One that is a systemd unit is systemd's to start again, and the operator's to keep down. Raises ``OSError``.
    """
    if _has_unit():
        return True
    try:
        lately = 0 <= time.monotonic() - float(_roused(runtime).read_text()) < SELDOM
    except (OSError, ValueError):
        lately = False
    return lately or rouse(runtime, command) is not None


def kept_down(within: float = SIGN_OF_LIFE) -> bool:
    """Whether the daemon is a unit that systemd will not start again: stopped or masked by its operator.

    Costs a ``systemctl`` of some 10 ms; a systemd that does not answer ``within`` as many seconds has not said so.
    """
    if not _has_unit():
        return False
    from ocf.programs import run

    asked = run((SYSTEMCTL, "is-active", "koboshi.service"), min(within, SIGN_OF_LIFE))
    return asked.status is not None and asked.output.strip() not in KEPT_UP


def _has_unit() -> bool:
    """Whether koboshi is a systemd unit of this machine; a masked one is one, too."""
    if not os.path.isdir(SYSTEMD) or "KOBOSHI_RUNTIME_DIR" in os.environ:
        return False
    return any(os.path.lexists(f"{folder}/koboshi.service") for folder in UNITS)


def _roused(runtime: Path) -> Path:
    return mandates.folder(runtime) / "roused"
