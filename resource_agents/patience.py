"""Time that an action has, and waiting inside it: for processes to end, never longer than allowed, never for luck."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from contextlib import suppress

from resource_agents.processes import Identity, alive, open_pidfd


class Cancelled(Exception):
    """The action was called off."""


class Patience:
    """A deadline on the monotonic clock, and ways to call the action off.

    Another thread calls :meth:`cancel`; another process removes the file ``mandate`` (empty: there is none), and so
    reaches an action even while the process that carries it out is stopped.
    """

    def __init__(self, seconds: float, mandate: str = "") -> None:
        self.seconds = seconds
        self.mandate = mandate
        self._end = time.monotonic() + seconds
        self._cancel = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._cancelled = False

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._cancel)

    def cancel(self) -> None:
        """End every wait with :class:`Cancelled`, now and later. May be called from any thread."""
        self._cancelled = True
        os.eventfd_write(self._cancel, 1)

    def left(self, reserve: float = 0.0) -> float:
        """Seconds left when ``reserve`` seconds are kept back; never below 0."""
        return max(0.0, self._end - reserve - time.monotonic())

    def check(self) -> None:
        """Raise :class:`Cancelled` when the action was called off."""
        if self._cancelled or (self.mandate and not os.path.exists(self.mandate)):
            raise Cancelled

    def pause(self, seconds: float, wake: int | None = None) -> bool:
        """Let at most ``seconds`` pass; True as soon as ``wake`` is readable (a pidfd: the process ended)."""
        poller = select.poll()
        poller.register(self._cancel, select.POLLIN)
        if wake is not None:
            poller.register(wake, select.POLLIN)
        ready = poller.poll(max(0.0, min(seconds, self.left())) * 1000)
        self.check()
        return any(fd == wake for fd, _ in ready)

    def wait_gone(self, processes: Iterable[Identity], seconds: float) -> list[Identity]:
        """Wait until these processes are dead, at most ``seconds``; those that still live. A zombie is dead."""
        end = time.monotonic() + min(seconds, self.left())
        fds = {fd: identity for identity in processes if (fd := open_pidfd(identity)) is not None}
        poller = select.poll()
        poller.register(self._cancel, select.POLLIN)
        for fd in fds:
            poller.register(fd, select.POLLIN)
        waiting = dict(fds)
        try:
            while waiting and (left := end - time.monotonic()) > 0:
                for fd, _ in poller.poll(left * 1000):
                    self.check()
                    poller.unregister(fd)
                    waiting.pop(fd, None)
        finally:
            for fd in fds:
                os.close(fd)
        return [identity for identity in waiting.values() if alive(identity)]
