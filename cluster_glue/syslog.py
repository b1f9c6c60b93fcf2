"""Syslog: one datagram to the local daemon for each thing that koboshi says.

Framing as local daemons (rsyslog, journald, busybox) read it from ``/dev/log``: ``<PRI>koboshi[PID]: text``, without a
time, which the daemon adds. The text begins with the message id, then ``key=value`` fields, then the sentence, so that
nothing in the sentence can pass for a field to who reads from the left. Sending never blocks and never raises: a
daemon that is away or does not keep up costs messages, and the next one that gets through says how many.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from cluster_glue.messages import CATALOGUE, incident_id, sanitise
from cluster_glue.recovery.model import Tell

#: syslog(3): facility daemon.
FACILITY = 3 << 3

#: Bytes of a datagram; rsyslog and journald take at least this much.
LONGEST = 4096


class Syslog:
    """The way to the local syslog. ``path`` empty: say nothing. ``least`` is the least urgent priority still sent."""

    def __init__(self, path: str = "/dev/log", least: int = 6) -> None:
        self.lost = 0
        self._path = path
        self._least = least
        self._socket: socket.socket | None = None
        self._unsaid = 0

    def tell(self, resource: str, tell: Tell) -> None:
        """Send one transition. ``resource`` is empty when koboshi speaks of itself."""
        message = CATALOGUE[tell.message]
        fields = {"resource": resource or "-", "event": message.name}
        if tell.incident:
            fields["incident"] = incident_id(resource, tell.incident)
        if tell.fault is not None:
            fields |= {"cause": tell.fault.cause, "kind": tell.fault.kind.value}
            if tell.fault.proof:
                fields["proof"] = tell.fault.proof
        self.send(message.priority, message.id, fields, tell.detail or message.meaning)

    def send(self, priority: int, message: str, fields: Mapping[str, str], text: str) -> None:
        """Send one message of syslog's ``priority`` (0 to 7)."""
        if not self._path or priority > self._least:
            return
        if self._unsaid:
            fields = {**fields, "lost": str(self._unsaid)}
        words = [message, *(f"{key}={quote(value)}" for key, value in fields.items()), sanitise(text)]
        datagram = f"<{FACILITY | priority}>koboshi[{os.getpid()}]: {' '.join(words)}".encode()
        if len(datagram) > LONGEST:
            datagram = datagram[:LONGEST].decode(errors="ignore").encode()
        if self._sent(datagram):
            self._unsaid = 0
        else:
            self.lost += 1
            self._unsaid += 1

    def close(self) -> None:
        """Let the socket go; the next message opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _sent(self, datagram: bytes) -> bool:
        for _ in range(2):  # the second time with a new connection: the daemon may have been restarted
            if self._socket is None and not self._connect():
                return False
            assert self._socket is not None
            try:
                self._socket.send(datagram)
            except BlockingIOError:
                return False
            except OSError:
                self.close()
            else:
                return True
        return False

    def _connect(self) -> bool:
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            fresh.connect(self._path)
        except (OSError, ValueError):
            fresh.close()
            return False
        with suppress(OSError):
            fresh.shutdown(socket.SHUT_RD)
        self._socket = fresh
        return True


def quote(value: str) -> str:
    """A field's value: bare when it is one plain word, else in double quotes with backslash escapes."""
    value = sanitise(value)
    if value and not set(value) & set(' "=\\'):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
