"""Accept queues of listening sockets: connections that wait and are not taken make a server suspect at once.

One dump of the listening sockets serves all resources, in whatever network namespace koboshi runs. A queue with
something in it proves nothing (a busy server has one now and then); one that has not become shorter from look to look
is a reason to ask with a probe now, instead of at the next interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from resource_agents.layouts import Address
from resource_agents.listeners import Listener, listening, on

#: Looks in a row with a queue that did not become shorter.
SUSPECT_AFTER = 2


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why ``name`` should be asked at once, in one sentence."""

    name: str
    reason: str


class Queues:
    """Looks at the queues of many resources in one go. ``problem`` says why it cannot; empty when it can."""

    def __init__(self, dump: Callable[[], list[Listener]] = listening) -> None:
        self._dump = dump
        self._addresses: dict[str, tuple[Address, ...]] = {}
        self._names: dict[int, set[str]] = {}  # by port
        self._before: dict[int, tuple[int, int]] = {}  # by inode: depth, looks in a row
        self.problem = ""
        self.filled: set[str] = set()  # whose queues had something in them at the latest look

    def watch(self, name: str, addresses: Iterable[Address]) -> None:
        """Look at the listeners of these addresses from now on."""
        given = tuple(addresses)
        if self._addresses.get(name) == given:
            return
        self.forget(name)
        self._addresses[name] = given
        for address in given:
            self._names.setdefault(address.port, set()).add(name)

    def forget(self, name: str) -> None:
        """Look at them no more."""
        for address in self._addresses.pop(name, ()):
            names = self._names.get(address.port, set())
            names.discard(name)
            if not names:
                self._names.pop(address.port, None)

    def look(self) -> list[Suspicion]:
        """One look at every queue."""
        self.filled = set()
        if not self._names:
            return []
        try:
            waiting = [listener for listener in self._dump() if listener.depth and listener.port in self._names]
            self.problem = ""
        except OSError as error:
            self.problem = f"listening sockets cannot be looked at: {error.strerror or error}"
            waiting = []
        before, self._before = self._before, {}
        found: list[Suspicion] = []
        for listener in waiting:
            depth, looks = before.get(listener.inode, (0, 0))
            looks = looks + 1 if listener.depth >= depth else 1
            self._before[listener.inode] = (listener.depth, looks)
            self.filled |= self._whose(listener)
            if looks >= SUSPECT_AFTER:
                found += self._suspect(listener)
        return found

    def waiting(self) -> set[str]:
        """Whose queues have something in them right now; no look that counts."""
        try:
            filled = [one for one in self._dump() if one.depth and one.port in self._names] if self._names else []
        except OSError:
            return set()
        return set().union(*map(self._whose, filled))

    def nobody_listens(self, address: Address) -> bool | None:
        """Whether the kernel knows of no listener that could take a connection there; None when it cannot be asked."""
        try:
            return not on([address], self._dump())
        except OSError:
            return None

    def _suspect(self, listener: Listener) -> list[Suspicion]:
        limit = f" of {listener.limit}" if listener.limit else ""
        where = Address(listener.host, listener.port)
        words = f"{listener.depth}{limit} connections wait on {where} and the queue does not drain"
        return [Suspicion(name, words) for name in sorted(self._whose(listener))]

    def _whose(self, listener: Listener) -> set[str]:
        return {name for name in self._names[listener.port] if on(self._addresses[name], [listener])}
