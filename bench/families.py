"""Processes of a server under test: found by the listening socket they share, signalled through pidfds."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator

from resource_agents.listeners import listening, owners
from resource_agents.processes import Identity, Process, alive, children, look, send


def family(port: int) -> tuple[Process | None, list[Process]]:
    """The main process, which none of the others is above, and the others; (None, []) when nobody listens."""
    holders = owners([each for each in listening() if each.port == port])
    pids = {process.pid for process in holders}
    mains = [process for process in holders if process.ppid not in pids]
    if len(mains) != 1:
        return None, holders
    return mains[0], [process for process in holders if process is not mains[0]]


def descendants(pid: int) -> Iterator[Process]:
    """All living processes below ``pid``."""
    for child in children(pid):
        process = look(child)
        if process is not None and not process.dead:
            yield process
        yield from descendants(child)


def signal_all(processes: Iterable[Process], number: int) -> None:
    """Send a signal to each; those that are gone are passed over."""
    for process in processes:
        send(process.identity, number)


def wait_dead(identities: Iterable[Identity], limit: float) -> bool:
    """Whether all were dead within ``limit`` seconds."""
    deadline = time.monotonic() + limit
    waiting = list(identities)
    while waiting := [identity for identity in waiting if alive(identity)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def end(roots: Iterable[Identity], ports: Iterable[int]) -> None:
    """SIGKILL to these processes, all below them and all that listens on these ports, until a look finds none."""
    roots, ports = list(roots), list(ports)
    deadline = time.monotonic() + 10.0
    found: dict[Identity, None] = {}
    while time.monotonic() < deadline:
        for root in filter(alive, roots):
            found |= dict.fromkeys((root, *(process.identity for process in descendants(root.pid))))
        for port in ports:
            main, others = family(port)
            found |= dict.fromkeys(process.identity for process in (*([main] if main else []), *others))
        living = [identity for identity in found if alive(identity)]
        if not living:
            return
        for identity in living:
            send(identity, signal.SIGKILL)
        wait_dead(living, 1.0)
