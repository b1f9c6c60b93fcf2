"""When a proof of a stall is begun, continued and ended (:mod:`cluster_glue.recovery.sensors.stalls` is the proof).

A queue that has something in it at a look is looked at again a moment later: a server that is well has emptied it by
then, and costs no more than that. Who still waits is under proof from there on, and at the first moment at which it can
be one there is an extra look, so that it does not wait for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from cluster_glue.recovery.model import Event, Failed, Phase
from cluster_glue.recovery.sensors.queues import Queues
from cluster_glue.recovery.sensors.stalls import Stalls
from resource_agents.families import layout_of

if TYPE_CHECKING:
    from cluster_glue.recovery.probing import Probing
    from cluster_glue.recovery.watch import Watch
    from resource_agents.processes import Identity

#: Seconds after which a queue with something in it is looked at again.
LOOK_TWICE = 0.1


class Attended(Protocol):
    """What is in place for one resource."""

    @property
    def watch(self) -> Watch: ...

    @property
    def main(self) -> Identity | None: ...

    @property
    def probing(self) -> Probing | None: ...


class Proving:
    """Proofs for all resources of ``attended``; what is proven goes to ``post``."""

    def __init__(
        self,
        attended: Mapping[str, Attended],
        queues: Queues,
        lost: Callable[[float, float], float],
        post: Callable[[str, Event], None],
    ) -> None:
        self._attended, self._queues, self._post = attended, queues, post
        self._loop = asyncio.get_running_loop()
        self._stalls = Stalls(lost, self._loop.time)
        self._timer: asyncio.TimerHandle | None = None

    def forget(self, name: str) -> None:
        """No proof of this one."""
        self._stalls.forget(name)

    def close(self) -> None:
        """Prove nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self, suspects: set[str]) -> None:
        """The regular look; ``suspects`` have been waited at for more than one already."""
        waiting = self._queues.filled
        self._prove(waiting & (suspects | self._stalls.names))
        if waiting - self._stalls.names:
            self._later(LOOK_TWICE, self._look_again)

    def _look_again(self) -> None:
        self._prove(self._queues.waiting())
        spans = [self._attended[name].watch.config.thresholds.stall_after for name in self._stalls.names]
        if spans:
            self._later(max(spans), lambda: self._prove(self._queues.waiting()))

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self.close()
        self._timer = self._loop.call_later(seconds, do)

    def _prove(self, waiting: set[str]) -> None:
        for name, known in self._attended.items():
            watch, main, probing = known.watch, known.main, known.probing
            after = watch.config.thresholds.stall_after
            if name not in waiting or watch.state.phase is not Phase.UP or not after or watch.server.grace:
                self._stalls.forget(name)
            elif main is not None and probing is not None:
                ports = frozenset(address.port for address in layout_of(watch.server).addresses)
                fault = self._stalls.look(name, ports, main.pid, after, probing.asked_at)
                if fault is not None:
                    self._stalls.forget(name)
                    self._post(name, Failed(fault, hard=True))
