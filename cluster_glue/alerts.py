"""What Pacemaker did about our resources, told by its alerts, goes into the timelines of their incidents.

The alert agent runs as the cluster's own user and may not talk to the control socket. So there is one datagram socket
for it, in the abstract namespace (unix(7)): no path to protect, gone with the daemon, one for each runtime directory
and network namespace. Whom a datagram is from, the kernel says (SCM_CREDENTIALS): root, our own user and the cluster's
are heard. An alert that nobody hears is lost; nothing waits for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cluster_glue.messages import sanitise
from cluster_glue.recovery.model import Tell
from ocf.environment import instance_of

#: Whose alerts are heard besides root's and our own.
CLUSTER_USER: Final = "hacluster"

#: What of an alert is told on.
FIELDS: Final = ("kind", "rsc", "task", "node", "desc", "rc", "interval", "status", "attribute_name", "attribute_value")

#: Bytes of a datagram.
LONGEST: Final = 8192

#: struct ucred: pid, uid, gid.
_UCRED: Final = struct.Struct("3i")


def address(runtime: Path) -> str:
    """The name of the socket; it begins with a zero byte."""
    return f"\0koboshi-alerts:{runtime}"[:107]


def read(env: Mapping[str, str]) -> dict[str, str]:
    """The alert that Pacemaker put into an agent's environment; empty when there is none."""
    return {field: sanitise(value, 200) for field in FIELDS if (value := env.get(f"CRM_alert_{field}", ""))}


def send(runtime: Path, alert: Mapping[str, str]) -> bool:
    """Tell the daemon; whether it was there to hear it. Never waits."""
    if not alert:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line, suppress(OSError):
        line.sendto(json.dumps(alert).encode()[:LONGEST], address(runtime))
        return True
    return False


def told(alert: Mapping[str, str]) -> tuple[str, str]:
    """The resource that an alert is about (empty: none), and the sentence for its timeline."""
    node, description = alert.get("node", "?"), alert.get("desc", "")
    match alert.get("kind"):
        case "resource":
            task = alert.get("task", "?")
            every = f" every {int(interval) / 1000:g} s" if (interval := alert.get("interval", "0")).isdigit() else ""
            every = every if interval not in ("", "0") else ""
            resource = instance_of(alert["rsc"]) if alert.get("rsc") else ""
            return resource, f"{task}{every} on {node}: {description or alert.get('rc', '?')}"
        case "attribute":
            name = alert.get("attribute_name", "")
            resource = name.removeprefix("koboshi-") if name.startswith("koboshi-") else ""
            return resource, f"attribute {name} of {node} is {alert.get('attribute_value') or 'gone'}"
        case "node" | "fencing" as kind:
            return "", f"{kind} {node}: {description or 'no word'}"
    return "", ""


class Alerts:
    """The listening side. ``incident`` gives the number of a resource's latest incident, 0 for none."""

    def __init__(self, runtime: Path, incident: Callable[[str], int], tell: Callable[[str, Tell], None]) -> None:
        self._runtime, self._incident, self._tell = runtime, incident, tell
        self._users = {0, os.geteuid()}
        with suppress(KeyError):
            self._users.add(pwd.getpwnam(CLUSTER_USER).pw_uid)
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Listen. Without it, only the timelines are poorer; never raises."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            line.bind(address(self._runtime))
        except OSError as error:
            line.close()
            self._tell("", Tell("sensor-lost", f"the cluster's alerts cannot be heard: {error}"))
            return
        self._socket = line
        asyncio.get_running_loop().add_reader(line, self._hear)

    def close(self) -> None:
        """Listen no longer."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _hear(self) -> None:
        assert self._socket is not None
        with suppress(OSError):
            data, ancillary, _, _ = self._socket.recvmsg(LONGEST, socket.CMSG_SPACE(_UCRED.size))
            if self._may(ancillary):
                self._take(data)

    def _may(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= _UCRED.size:
                return _UCRED.unpack(data[: _UCRED.size])[1] in self._users
        return False

    def _take(self, data: bytes) -> None:
        try:
            alert: Any = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(alert, dict) or not all(isinstance(value, str) for value in alert.values()):
            return
        resource, sentence = told(alert)
        if not resource or not sentence:
            return
        number = self._incident(resource)
        if number:
            self._tell(resource, Tell("cluster-decided", sentence, number))
