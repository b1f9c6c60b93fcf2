"""Load balancers: what they ask, and what they are told.

Each resource may have two doors. On ``agent_check`` a connection gets one line in the words of HAProxy's agent check,
and is closed; the whole state is said each time (operational, administrative, weight), since a balancer keeps what it
heard before. On ``readiness`` HTTP gets 200 or 503. A resource that is stopped or repaired is drained, one that is
down, given up or not here is down. When koboshi itself is gone, nobody answers, and HAProxy keeps what it knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from cluster_glue.config_model import Config
from cluster_glue.recovery.engine import Engine
from cluster_glue.recovery.model import Phase, State, Tell
from cluster_glue.recovery.watch import Watch
from cluster_glue.values import address

#: What HAProxy is told; "slow" costs half of the weight.
READY: Final = "up ready 100%"
SLOW: Final = "up ready 50%"
DRAIN: Final = "drain"
DOWN: Final = "down"

#: Seconds for a whole conversation, and conversations at the same time at one door.
PATIENCE: Final = 2.0
MOST: Final = 64

#: Bytes of an HTTP request that are read.
LONGEST: Final = 8192

#: Phases in which the server goes on serving if it did so before.
SERVING: Final = frozenset({Phase.CHECKING, Phase.RELOADING})

#: Phases in which something goes on that may end well.
PASSING: Final = frozenset({*SERVING, Phase.STARTING, Phase.ASKING, Phase.CLEARING, Phase.WAITING, Phase.STOPPING})

Door = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def word_of(state: State | None, draining: bool = False) -> str:
    """What the agent check answers about a resource in this state; None: it is not in our care here."""
    if state is None:
        return DOWN
    if state.phase is Phase.UP or (state.phase in SERVING and not state.dead and not state.failures):
        return DRAIN if draining else SLOW if state.slow else READY
    if state.phase in PASSING or (state.phase is Phase.OBSERVING and not state.dead):
        return DRAIN
    return DOWN


class Balancer:
    """All doors of one daemon; an observer of the engine."""

    def __init__(self, engine: Engine, config: Callable[[], Config], tell: Callable[[str, Tell], None]) -> None:
        self._engine, self._config, self._tell = engine, config, tell
        self._doors: dict[tuple[str, str, str], asyncio.Server] = {}
        self._draining: set[str] = set()
        self._busy = 0
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open the doors that the configuration names, and close the others. Never raises."""
        async with self._turn:
            wanted = {
                (name, setting, door)
                for name, resource in self._config().resources.items()
                for setting in ("agent_check", "readiness")
                if (door := getattr(resource.glue, setting))
            }
            for key in self._doors.keys() - wanted:
                self._doors.pop(key).close()
            for key in sorted(wanted - self._doors.keys()):
                name, setting, door = key
                serve = self._agent if setting == "agent_check" else self._http
                try:
                    self._doors[key] = await asyncio.start_server(partial(self._serve, name, serve), *address(door))
                except OSError as error:
                    self._tell(name, Tell("balancer-lost", f"{setting} {door}: {error}"))

    def close(self) -> None:
        """Close every door."""
        for server in self._doors.values():
            server.close()
        self._doors.clear()

    def drain(self, name: str) -> bool:
        """Drain a resource that is about to be stopped; whether it is one of ours."""
        known = name in self._engine.watches
        if known:
            self._draining.add(name)
        return known

    def drain_wait(self, name: str) -> float:
        """Seconds between saying so and a stop that was asked for."""
        resource = self._config().resources.get(name)
        return resource.glue.drain_wait if resource else 0.0

    def attend(self, watch: Watch) -> None:
        """A new start ends the draining."""
        if watch.state.phase in (Phase.STARTING, Phase.IDLE):
            self._draining.discard(watch.name)

    def leave(self, watch: Watch) -> None:
        """It is not in our care any more: whoever has it now says so himself."""
        self._draining.discard(watch.name)

    def word(self, name: str) -> str:
        """What is said about ``name`` now."""
        watch = self._engine.watches.get(name)
        return word_of(watch.state if watch else None, name in self._draining)

    async def _serve(
        self, name: str, talk: Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        self._busy += 1
        try:
            if self._busy <= MOST * max(1, len(self._doors)):
                await asyncio.wait_for(talk(name, reader, writer), PATIENCE)
        except (OSError, TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            pass
        finally:
            self._busy -= 1
            with suppress(OSError):
                writer.close()

    async def _agent(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG002
        writer.write(f"{self.word(name)}\n".encode())
        await writer.drain()

    async def _http(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) < LONGEST:
            chunk = await reader.read(LONGEST)
            if not chunk:
                break
            head += chunk
        method = head.partition(b" ")[0]
        word = self.word(name)
        status = "200 OK" if word in (READY, SLOW) else "503 Service Unavailable"
        body = f"{word}\n"
        if method not in (b"GET", b"HEAD"):
            status, body = "405 Method Not Allowed", "GET or HEAD\n"
        lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}"]
        lines += ["Cache-Control: no-store", "Connection: close", "", "" if method == b"HEAD" else body]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
