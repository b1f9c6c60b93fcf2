"""The stop ladder: gentle, TERM, KILL, and then a look that nothing is left.

It is cut from the time it was given and keeps a reserve for the last look. A stopped process (``T``) takes no TERM, so
a family with one in it is killed at once. A dead main process has nobody to be gentle with: its orphans hold the port.
A server that does not listen yet has nothing to finish, and gets TERM at once. The last words of one that is repaired
are asked for before any signal: what shuts down shows no more what it hung in.
Nothing that is not the server's is ever signalled (:mod:`resource_agents.families`).
"""

from __future__ import annotations

import signal
import time

from ocf.faults import Fault, Kind
from ocf.programs import run
from resource_agents import leftovers
from resource_agents.cgroups import Cgroup
from resource_agents.families import Remembered, layout_of, members
from resource_agents.listeners import listening, on, sockets_of
from resource_agents.patience import Patience
from resource_agents.processes import Process, alive, send
from resource_agents.server import Rung, Server

#: Seconds after which a server that goes on listening has not heard the signal.
HEARD = 2.0

#: Seconds that a server which is being repaired has between TERM and KILL.
TERM_SECONDS = 1.0


def stop(
    server: Server, remembered: Remembered | None, group: Cgroup | None, patience: Patience, gentle: bool
) -> tuple[Fault | None, tuple[str, ...]]:
    """End the server and all that is left of it: the fault (None: nothing is left), and notes of what was ended."""
    reserve = min(2.0, patience.seconds * 0.1)
    notes: tuple[str, ...] = ()
    swept = _sweep_group(server, remembered, group, patience, reserve)
    if swept:
        notes += (f"orphans {', '.join(map(str, swept))}",)
    if swept is None:
        family = members(server, remembered, group)
        main = family[0] if family and server.is_main(family[0]) else None
        if family and main is None:
            notes += (f"orphans {_pids(family)}",)
        hears = main is not None and not _any_stopped(family)
        gently = hears and gentle and not _starting(server, family)
        if main is not None and gently:
            _climb_down(server, main, family, patience, reserve)
        server.before_kill(main, patience.left(reserve) / 2)
        if hears and not gently:
            _terminate(family, patience, min(TERM_SECONDS, patience.left(reserve) / 2))
        left = _kill_all(server, remembered, group, patience, reserve)
        if left:
            return _immortal(left), notes
    sets = remembered.semaphores if remembered else ()
    return None, notes + leftovers.remove(server, layout_of(server), sets)


def _sweep_group(
    server: Server, remembered: Remembered | None, group: Cgroup | None, patience: Patience, reserve: float
) -> list[int] | None:
    """The short way after a death in a group of our own: end the group, and see that the addresses are free.

    The pids of those that were ended; None when this was not enough.
    """
    if remembered is None or group is None or not remembered.grouped or alive(remembered.main):
        return None
    orphans = sorted(group.members())
    if group.populated() and not (group.kill() and group.wait_empty(patience.left(reserve))):
        return None
    return None if on(layout_of(server).addresses, listening()) else orphans


def _climb_down(server: Server, main: Process, family: list[Process], patience: Patience, reserve: float) -> None:
    command = server.stop_command()
    if command is not None:
        run(command.argv, patience.left(reserve) * 0.5, command.env, user=command.user, cwd=command.cwd)
        if not patience.wait_gone([main.identity], patience.left(reserve) * 0.25):
            return
    for rung in server.ladder:
        patience.check()
        if _told(server, main, rung, min(patience.seconds * rung.share, rung.limit, patience.left(reserve)), patience):
            break
    orphans = patience.wait_gone([process.identity for process in family], min(TERM_SECONDS, patience.left(reserve)))
    for identity in orphans:  # the main process went and left them: nobody else will tell them
        send(identity, signal.SIGTERM)
    patience.wait_gone(orphans, min(TERM_SECONDS, patience.left(reserve)))


def _terminate(family: list[Process], patience: Patience, seconds: float) -> None:
    for process in family:
        send(process.identity, signal.SIGTERM)
    patience.wait_gone([process.identity for process in family], seconds)


def _kill_all(
    server: Server, remembered: Remembered | None, group: Cgroup | None, patience: Patience, reserve: float
) -> list[Process]:
    """SIGKILL until a look finds nobody: what forks while it dies is found by the next look."""
    while True:
        family = members(server, remembered, group)
        if not family:
            return []
        patience.check()
        if group is not None:
            group.kill()
        for process in family:
            send(process.identity, signal.SIGKILL)
        patience.wait_gone([process.identity for process in family], max(0.05, min(2.0, patience.left(reserve))))
        if patience.left(reserve / 2) <= 0:
            return members(server, remembered, group)


def _told(server: Server, main: Process, rung: Rung, seconds: float, patience: Patience) -> bool:
    """Whether it went within ``seconds``. A signal that came while it was starting is lost, and sent again: what heard
    it closes its listeners before anything else."""
    end = time.monotonic() + seconds
    while True:
        send(main.identity, rung.signal)
        if not patience.wait_gone([main.identity], max(0.0, min(HEARD, end - time.monotonic()))):
            return True
        if not on(layout_of(server).addresses, listening()):
            return not patience.wait_gone([main.identity], max(0.0, end - time.monotonic()))
        if time.monotonic() >= end:
            return False


def _starting(server: Server, family: list[Process]) -> bool:
    """Whether it should listen and does not yet: nothing is to be finished, and a signal for that would be lost."""
    if not layout_of(server).addresses:
        return False
    inodes = {listener.inode for listener in listening()}
    return not any(inodes & sockets_of(process.pid) for process in family)


def _any_stopped(family: list[Process]) -> bool:
    return any(process.state == "T" for process in family)


def _pids(family: list[Process]) -> str:
    return ", ".join(str(process.pid) for process in sorted(family, key=lambda process: process.pid))


def _immortal(left: list[Process]) -> Fault:
    states = "".join(sorted({process.state for process in left}))
    proof = f"pid {_pids(left)} in state {states} after SIGKILL"
    advice = "a process in state D waits for a device or a file server: mend that, or let the node be reset"
    return Fault("unkillable", Kind.HOST, f"processes are left that SIGKILL does not end: {proof}", proof, advice)
