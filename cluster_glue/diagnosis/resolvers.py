"""Threads that wait for a name server: a server whose back ends have names can hang in that, and no restart mends it.

The C library opens a connected UDP socket for a question and waits for the answer in poll(2). A socket alone proves
nothing, since nginx keeps one open for ever: it waits in epoll.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

from cluster_glue.diagnosis.evidence import try_text
from resource_agents.listeners import sockets_of

#: Port of name servers, and the state of a connected UDP socket (proc(5), ``net/udp``).
_DNS: Final = 53
_CONNECTED: Final = "01"

#: Threads of one process that are looked at, at most.
THREADS: Final = 300


def asking(pids: Collection[int]) -> Counter[str]:
    """How many threads of these processes wait for an answer now, by name server."""
    found: Counter[str] = Counter()
    questions = dict(_questions(next(iter(pids)))) if pids else {}
    for pid in pids if questions else ():
        mine = [questions[inode] for inode in sockets_of(pid) & questions.keys()]
        found.update(mine[: _in_poll(pid) if mine else 0])
    return found


def _questions(pid: int) -> Iterator[tuple[int, str]]:
    """Inode and name server of each question without an answer in the network namespace of a process."""
    for name in ("udp", "udp6"):
        for line in try_text(f"/proc/{pid}/net/{name}", 1 << 20).splitlines()[1:]:
            words = line.split()
            if len(words) < 10 or words[3] != _CONNECTED or not words[4].endswith(":00000000"):
                continue
            host, _, port = words[2].partition(":")
            with suppress(ValueError, OSError):
                if int(port, 16) == _DNS:
                    yield int(words[9]), _host(host)


def _host(word: str) -> str:
    """An address, which the kernel writes in words of its own byte order."""
    raw = b"".join(struct.pack("=I", int(word[at : at + 8], 16)) for at in range(0, len(word), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _in_poll(pid: int) -> int:
    """How many of its threads wait in poll(2)."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(f"/proc/{pid}/task")[:THREADS]
    places = (try_text(f"/proc/{pid}/task/{name}/wchan", 64) for name in names)
    return sum("poll" in place and not place.startswith(("ep_", "do_epoll")) for place in places)
