"""Telling the service manager how we are: the sd_notify(3) protocol, without its library.

One datagram of ``NAME=value`` lines to ``$NOTIFY_SOCKET``; a name that begins with ``@`` is abstract (unix(7)). Nothing
is sent when the variable is not set. Nothing here raises.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from cluster_glue.messages import sanitise

#: Seconds that a message which changes our state may wait for room in the manager's queue.
PATIENCE = 1.0


class Notifier:
    """The way to the service manager named by ``env``."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        name = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""
        self.watchdog_interval = watchdog_interval(env)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self, status: str = "") -> bool:
        """Start-up, or a reload, is over. Waits at most :data:`PATIENCE` seconds."""
        return self._send(["READY=1", *_status(status)], PATIENCE)

    def reloading(self) -> bool:
        """Our configuration is being read anew; to be followed by :meth:`ready`."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send(["RELOADING=1", f"MONOTONIC_USEC={now}"], PATIENCE)

    def stopping(self) -> bool:
        """We are ending."""
        return self._send(["STOPPING=1"], PATIENCE)

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``. Never waits."""
        return self._send(_status(text), 0.0)

    def watchdog(self) -> bool:
        """We are alive; due at least every :attr:`watchdog_interval` seconds. Never waits."""
        return self._send(["WATCHDOG=1"], 0.0)

    def _send(self, lines: list[str], patience: float) -> bool:
        """Whether the manager got it."""
        if not self._address or not lines:
            return False
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(patience)
            out.connect(self._address)
            out.send("\n".join(lines).encode())
            return True
        return False


def watchdog_interval(env: Mapping[str, str]) -> float | None:
    """Seconds after which the manager takes our silence for death; None: it does not watch this process."""
    try:
        micro = int(env.get("WATCHDOG_USEC", ""))
        owner = int(env.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return micro / 1e6 if micro > 0 and owner == os.getpid() else None


def _status(text: str) -> list[str]:
    return [f"STATUS={sanitise(text, 200)}"] if text else []
