"""Deaths of main processes, within a millisecond, with the exit status where it can be had.

A pidfd in the loop says *that* a process ended. *How* it ended is told, in this order, by waitid(2) when it is our
child (koboshi is the subreaper of what it starts), by the pidfd itself (``PIDFD_GET_INFO``, Linux 6.15, once its parent
has reaped it), or by whoever ``hint`` asks (the process connector). The death is reported at once; a status that comes
later is told as a refinement. A process that is watched here is reaped here.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from cluster_glue.recovery.sensors.orphans import Orphans, become_subreaper
from cluster_glue.recovery.sensors.status import describe_status
from resource_agents.processes import Identity, state_of

__all__ = ["Death", "Deaths", "Orphans", "become_subreaper", "describe_status"]

#: Seconds that a late exit status is waited for after the death was reported.
PATIENCE = 5.0

#: ioctl(2) request PIDFD_GET_INFO of linux/pidfd.h for the 64-byte structure; ``exit_code`` is its last member.
PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3
PIDFD_INFO_SIZE = 64


@dataclass(frozen=True, slots=True)
class Death:
    """``status`` as subprocess gives it (negative: a signal); None: nobody can say. ``source`` says who told it."""

    identity: Identity
    status: int | None
    source: str = ""


Told = Callable[[Death], None]


def _nobody_knows(pid: int) -> int | None:  # noqa: ARG001
    return None


@dataclass(slots=True)
class _Watched:
    fd: int
    died: Told
    explained: Told | None
    patience: asyncio.TimerHandle | None = None


class Deaths:
    """Watches processes on ``loop``. ``hint`` may know the status of a pid that has just ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hint: Callable[[int], int | None] = _nobody_knows) -> None:
        self._loop = loop
        self._hint = hint
        self._watched: dict[Identity, _Watched] = {}
        self._late: dict[Identity, _Watched] = {}

    @property
    def pids(self) -> set[int]:
        """The pids that are watched: whoever reaps others leaves these alone."""
        return {identity.pid for identity in (*self._watched, *self._late)}

    def watch(self, identity: Identity, died: Told, explained: Told | None = None) -> None:
        """Call ``died`` once when this process ends (soon, if it has ended already); never from inside this call.

        ``explained`` is called at most once, after ``died``, when the status became known only then. Watching a process
        that is watched already replaces its callbacks. Raises ``OSError`` when the kernel gives no pidfd (out of
        descriptors): the process is then not watched.
        """
        self.forget(identity)
        try:
            fd = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            fd = -1
        if fd >= 0 and state_of(identity) == "":  # the number was given to another
            os.close(fd)
            fd = -1
        watched = self._watched[identity] = _Watched(fd, died, explained)
        if fd < 0:
            self._loop.call_soon(self._gone, identity, watched)
        else:
            self._loop.add_reader(fd, self._ended, identity)

    def forget(self, identity: Identity) -> None:
        """Watch it no more."""
        for table in (self._watched, self._late):
            watched = table.pop(identity, None)
            if watched is not None:
                self._release(watched)

    def close(self) -> None:
        """Watch nothing any more; the processes are not touched."""
        for identity in (*self._watched, *self._late):
            self.forget(identity)

    def _gone(self, identity: Identity, watched: _Watched) -> None:
        if self._watched.get(identity) is watched:
            del self._watched[identity]
            watched.died(Death(identity, self._hint(identity.pid), "connector"))

    def _ended(self, identity: Identity) -> None:
        watched = self._watched.pop(identity)
        self._loop.remove_reader(watched.fd)
        death = self._explain(identity, watched.fd)
        if death.status is None and watched.explained is not None:
            # epoll always reports a hang-up, which a pidfd has as soon as its process is reaped; asyncio hands it to
            # the writer, while "ended", which stays true for ever, would wake only a reader
            self._late[identity] = watched
            self._loop.add_writer(watched.fd, self._reaped, identity)
            watched.patience = self._loop.call_later(PATIENCE, self.forget, identity)
        else:
            os.close(watched.fd)
        watched.died(death)

    def _reaped(self, identity: Identity) -> None:
        watched = self._late.pop(identity)
        death = self._explain(identity, watched.fd)
        self._release(watched)
        if death.status is not None and watched.explained is not None:
            watched.explained(death)

    def _explain(self, identity: Identity, fd: int) -> Death:
        death = Death(identity, None)
        for source, ask in (("waitid", reaped_status), ("pidfd", pidfd_status)):
            status = ask(fd)
            if status is not None:
                return replace(death, status=status, source=source)
        status = self._hint(identity.pid)
        return death if status is None else replace(death, status=status, source="connector")

    def _release(self, watched: _Watched) -> None:
        if watched.patience is not None:
            watched.patience.cancel()
        if watched.fd >= 0:
            self._loop.remove_reader(watched.fd)
            self._loop.remove_writer(watched.fd)
            os.close(watched.fd)


def reaped_status(pidfd: int) -> int | None:
    """The status of our own child, which is reaped by this; None when it is not ours, or lives."""
    with suppress(ChildProcessError):
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        if result is not None:
            return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
    return None


def pidfd_status(pidfd: int) -> int | None:
    """The status that the kernel keeps with the pidfd of a reaped process; None when it keeps none (yet)."""
    info = bytearray(PIDFD_INFO_SIZE)
    struct.pack_into("=Q", info, 0, PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", info, 0)
    if not mask & PIDFD_INFO_EXIT:
        return None
    return os.waitstatus_to_exitcode(struct.unpack_from("=i", info, PIDFD_INFO_SIZE - 4)[0])
