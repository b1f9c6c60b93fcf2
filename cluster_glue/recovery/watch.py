"""One resource in the engine's care, and those who are told of it or asked about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from cluster_glue.config import ResourceConfig
from cluster_glue.recovery.executor import Executor
from cluster_glue.recovery.model import Escalate, State
from resource_agents.cgroups import Cgroup
from resource_agents.families import Remembered
from resource_agents.server import Server


@dataclass(slots=True)
class Watch:
    """One resource in the engine's care."""

    config: ResourceConfig
    server: Server
    executor: Executor
    group: Cgroup | None
    state: State
    remembered: Remembered | None = None
    mandate: str = ""  # the file that says it is ours to look after; empty: our own configuration says so
    timer: asyncio.TimerHandle | None = None
    sockets: dict[str, object] = field(default_factory=dict)  # what the socket sensor's latest look shows
    turned: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.config.name


class Observer(Protocol):
    """Who is told after each turn what a resource is like now: the sensors, and the cluster's view."""

    def attend(self, watch: Watch) -> None: ...

    def leave(self, watch: Watch) -> None: ...


class Connector(Protocol):
    """The clusterware, as the engine sees it."""

    async def permission(self, watch: Watch, timeout: float) -> str:
        """Why we may not act; empty when we may."""

    async def escalate(self, watch: Watch, order: Escalate) -> None: ...
