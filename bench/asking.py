"""The client: one plain request at a time over loopback, and the knowledge of who answered.

An orphan answers on the socket that its dead parent opened; a new server answers on one of its own. While a process
keeps a listening socket nobody else can listen on its port, so an answer is the new server's exactly when the socket
that listens was another one already before the question was put. Times are seconds on CLOCK_BOOTTIME.
"""

from __future__ import annotations

import socket
import time

from resource_agents.listeners import listening

#: Seconds that one request may take.
LIMIT = 0.25

#: Seconds between two questions of a client that cannot wait.
TIGHT = 0.0005

_REQUEST = b"GET /ok HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"


def now() -> float:
    """The clock that all parts of one machine share, and that never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def answers(port: int) -> bool:
    """Whether a request is answered with 200 within :data:`LIMIT`."""
    deadline = time.monotonic() + LIMIT
    head = b""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(LIMIT)
            client.connect(("127.0.0.1", port))
            client.sendall(_REQUEST)
            while len(head) < 12:
                client.settimeout(max(0.001, deadline - time.monotonic()))
                data = client.recv(4096)
                if not data:
                    return False
                head += data
    except OSError:
        return False
    return head[9:12] == b"200"


def listener(port: int) -> int:
    """The inode of the socket that listens on the port; 0 when nobody does."""
    return next((each.inode for each in listening() if each.port == port), 0)


def first_answer(port: int, old: int, limit: float, every: float = TIGHT) -> float | None:
    """When a server whose socket is not ``old`` answered first; None when none did within ``limit`` seconds."""
    deadline = now() + limit
    while True:
        inode = listener(port)
        if inode and inode != old and answers(port):
            return now()
        if now() > deadline:
            return None
        time.sleep(every)


def first_answer_beside(port: int, old: int, limit: float, every: float) -> float | None:
    """The same with a client that asks every ``every`` seconds, orphans too, and takes any 200 for an answer.

    Between its questions only the kernel is asked who listens, which the server does not notice.
    """
    deadline = now() + limit
    due = now()
    while now() < deadline:
        inode = listener(port)
        new = inode not in (0, old)
        if new or now() >= due:
            if answers(port):
                return now()
            due = max(due + every, now())
        time.sleep(TIGHT if new else 0.002)
    return None
