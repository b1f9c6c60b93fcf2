"""The server's own status page as evidence: Apache's ``?auto`` and nginx's ``stub_status``.

A page may lie, never end, or look different after an update: it is read up to a limit and a deadline, only lines whose
form is known count, and it is never the only proof of anything.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from cluster_glue.diagnosis.evidence import Absent
from resource_agents.layouts import Request

#: Bytes that are read of a page.
LIMIT: Final = 256 << 10

#: Numbers above this are no counts of anything.
SENSIBLE: Final = 10**15

_AUTO = re.compile(r"(?m)^(Total Accesses|BusyWorkers|IdleWorkers|Uptime): (\d{1,18})\r?$")
_SCOREBOARD = re.compile(r"(?m)^Scoreboard: ([._SRWKDCLGI]{1,40000})\r?$")
_STUB = re.compile(
    r"Active connections: (\d{1,18}) *\r?\nserver accepts handled requests\r?\n (\d{1,18}) (\d{1,18}) (\d{1,18}) *\r?\n"
    r"Reading: (\d{1,18}) Writing: (\d{1,18}) Waiting: (\d{1,18})"
)

#: Letters of Apache's scoreboard (mod_status).
LETTERS: Final = {"R": "reading a request", "W": "sending a reply", "K": "kept alive", "G": "finishing", "D": "DNS"}


def fetch(request: Request, seconds: float) -> str:
    """The page, read at most to its limit and the deadline. Raises :class:`Absent`."""
    end = time.monotonic() + seconds
    url = urlsplit(request.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    data = b""
    try:
        with socket.create_connection((url.hostname or "127.0.0.1", port), seconds) as plain:
            sock: socket.socket = _dressed(plain, url.hostname or "") if url.scheme == "https" else plain
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            host = request.host or url.netloc.rpartition("@")[2]
            sock.settimeout(max(0.01, end - time.monotonic()))
            sock.sendall(
                f"GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1", "replace")
            )
            while len(data) < LIMIT and (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                chunk = sock.recv(65536)
                if not chunk:
                    break
                data += chunk
    except TimeoutError:
        if not data:
            raise Absent(f"{request.url} did not answer within {seconds:.2g} s") from None
    except OSError as error:
        raise Absent(f"{request.url}: {error.strerror or error}") from None
    return data[:LIMIT].decode("utf-8", "replace")


def tell(page: str) -> Iterator[str]:
    """Lines of evidence from a page; raises :class:`Absent` when it has no known form."""
    counts = {name: int(number) for name, number in _AUTO.findall(page) if int(number) < SENSIBLE}
    if {"BusyWorkers", "IdleWorkers"} <= counts.keys():
        busy, idle = counts["BusyWorkers"], counts["IdleWorkers"]
        yield f"workers: {busy} busy, {idle} idle, {counts.get('Total Accesses', 0)} requests so far"
        if board := _SCOREBOARD.search(page):
            most = max(LETTERS, key=board[1].count)
            if board[1].count(most):
                yield f"scoreboard: most of the busy ones ({board[1].count(most)}) are {LETTERS[most]} ({most})"
        return
    if stub := _STUB.search(page):
        active, _, _, requests, reading, writing, waiting = map(int, stub.groups())
        yield f"connections: {active} active, {reading} reading, {writing} writing, {waiting} waiting"
        yield f"requests so far: {requests}"
        return
    raise Absent("the page has no form that is known")


def _dressed(plain: socket.socket, name: str) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(ValueError):
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context.wrap_socket(plain, server_hostname=name or None)
