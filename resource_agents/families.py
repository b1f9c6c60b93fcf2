"""Which processes belong to one server: found by identity, never by a name alone.

A process is the server's when it is in the control group koboshi made for it, when it is the main process (program and
configuration agree) or descends from it, when it is in the session that the main process led, or when it holds the
server's listening socket, runs the server's program, and no other living instance is above it. The session of a dead
leader is safe to go by: the kernel gives its number to nobody while a member lives (setsid(2)). Afterwards it may be
another program's, whose leader is then another process.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resource_agents.cgroups import Cgroup
from resource_agents.layouts import ConfigurationUnreadable, Layout
from resource_agents.listeners import listening, on, owners
from resource_agents.processes import Identity, Process, everyone, look
from resource_agents.server import Server


@dataclass(frozen=True, slots=True)
class Remembered:
    """What outlives us about a running server: its main process, the session it led, whether it was
    started inside its own control group, and the semaphore sets it made."""

    main: Identity
    session: int = 0
    grouped: bool = False
    semaphores: tuple[tuple[int, int], ...] = ()


def layout_of(server: Server) -> Layout:
    """The server's layout, or an empty one while its configuration cannot be read: a stop needs none."""
    try:
        return server.layout
    except ConfigurationUnreadable:
        return Layout()


def find_main(
    server: Server, remembered: Remembered | None, processes: Iterable[Process] | None = None
) -> Process | None:
    """The living main process of this very instance; None when there is none."""
    if remembered is not None:
        process = look(remembered.main.pid)
        if process is not None and process.identity == remembered.main and not process.dead:
            return process
    named = _named_by_pidfile(layout_of(server).pidfile)
    if named is not None and not named.dead and server.is_main(named):
        return named
    for process in everyone() if processes is None else processes:
        if not process.dead and server.is_main(process):
            return process
    return None


def members(server: Server, remembered: Remembered | None, group: Cgroup | None) -> list[Process]:
    """Every living process of this server, orphans too; the main process first where there is one."""
    table = {process.pid: process for process in everyone()}
    main = find_main(server, remembered, table.values())
    ours: dict[int, Process] = {main.pid: main} if main else {}
    for pid in group.members() if group else ():
        if pid in table:
            ours[pid] = table[pid]
    sessions = {process.sid for process in ours.values() if process.sid == process.pid}
    if remembered is not None and remembered.session and not _led_by_another(remembered, table):
        sessions.add(remembered.session)
    earliest = remembered.main.start if remembered else 0
    for process in table.values():
        if process.sid in sessions and process.start >= earliest:
            ours[process.pid] = process
    for process in (*_socket_holders(server, table), *filter(server.claims, table.values())):
        ours[process.pid] = process
    _add_descendants(ours, table)
    return [process for process in ours.values() if not process.dead]


def _led_by_another(remembered: Remembered, table: dict[int, Process]) -> bool:
    """Whether its session ended and the number went to somebody else: the one with that pid is not whom it was."""
    leader = table.get(remembered.session)
    return leader is not None and leader.pid == remembered.main.pid and leader.identity != remembered.main


def strangers(server: Server, family: Iterable[Process]) -> list[Process]:
    """Living processes outside the family that hold one of the server's addresses."""
    mine = {process.pid for process in family}
    held = owners(on(layout_of(server).addresses, listening()))
    return [process for process in held if process.pid not in mine]


def _named_by_pidfile(path: str) -> Process | None:
    if not path:
        return None
    with suppress(OSError, ValueError, IndexError, OverflowError), Path(path).open("rb") as file:
        return look(int(file.read(64).split()[0]))
    return None


def _socket_holders(server: Server, table: dict[int, Process]) -> list[Process]:
    """Holders of our listening sockets that run our program and stand below no other living instance."""
    found = []
    for process in owners(on(layout_of(server).addresses, listening()), table.values()):
        if not server.is_kin(process):
            continue
        top = process
        while (parent := table.get(top.ppid)) is not None and not parent.dead and server.is_kin(parent):
            top = parent
        if server.is_main(top) or (top is process and server.is_child(process)):
            found.append(process)
    return found


def _add_descendants(ours: dict[int, Process], table: dict[int, Process]) -> None:
    below: dict[int, list[Process]] = {}
    for process in table.values():
        below.setdefault(process.ppid, []).append(process)
    waiting = list(ours)
    while waiting:
        for child in below.get(waiting.pop(), ()):
            if child.pid not in ours:
                ours[child.pid] = child
                waiting.append(child.pid)
