"""A resource that is up, with :mod:`tests.socket_server` as its server, and the socket sensor that looks at it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cluster_glue.config_model import ResourceConfig
from cluster_glue.recovery.executor import Executor
from cluster_glue.recovery.model import Event, Failed, Phase, State, Tell, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.sensors.listen_table import ListenTable
from cluster_glue.recovery.sensors.sockets import Sockets
from cluster_glue.recovery.thresholds import Thresholds
from cluster_glue.recovery.watch import Watch
from resource_agents.processes import Process, look
from resource_agents.server import Server, load
from resource_agents.spawning import spawn
from tests.ports import free_port
from tests.waiting import LONG, eventually

PROGRAM = str(Path(__file__).with_name("socket_server.py"))


def ask(port: int, path: str = "/", close: bool = True, host: str = "127.0.0.1") -> socket.socket:
    """One request and its answer; ``close`` False leaves it to the caller to close the connection."""
    client = socket.create_connection((host, port), timeout=LONG)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert client.recv(100).startswith(b"HTTP/1.1 200")
    if close:
        client.close()
    return client


def server_values(ports: list[int], backlog: int = 64, health: bool = True) -> dict[str, str]:
    """The parameters of agent ``command`` for the server on these ports."""
    values = {
        "start_command": f"{sys.executable} {PROGRAM} {backlog} {' '.join(map(str, ports))}",
        "port": " ".join(f"127.0.0.1:{port}" for port in ports),
    }
    return {**values, "statusurl": f"http://127.0.0.1:{ports[0]}/"} if health else values


class Watched:
    """The server, its watch, the sensor, and what the sensor said so far."""

    def __init__(self, folder: Path, ports: int = 1, backlog: int = 64, **numbers: float) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(ports)]
        self.port = self.ports[0]
        values = server_values(self.ports, backlog)

        def make() -> Server:
            return load("command")(self.values, "web")

        self.values = values
        self.identity = spawn(make().start_command(), folder / "output", None)
        eventually(self._answers, what="the server's first answer")
        main = look(self.identity.pid)
        assert main is not None
        self.main: Process = main
        config = ResourceConfig("web", "command", values, Policy(), thresholds=Thresholds(**numbers))  # type: ignore[arg-type]
        executor = Executor(make, None, folder / "out", lambda _: None)
        self.watch = Watch(config, make(), executor, None, State(Wanted.UP, Phase.UP))
        self.told: list[Tell] = []
        self.posted: list[Failed] = []
        self.table = ListenTable()
        self.sensor = Sockets(self._post, lambda _, tell: self.told.append(tell), self.table)
        self.sensor.watch(self.watch, self.main.pid)
        self.stack = ExitStack()

    def look(self) -> None:
        """One look of the sensor."""
        asyncio.run(self.sensor.look())
        assert self.sensor.problem == "", self.sensor.problem

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Look again and again until it is so."""

        def looked() -> bool:
            self.look()
            return bool(condition())

        eventually(looked, what=what, every=0.1)

    def said(self, message: str, cause: str) -> list[str]:
        """What was told with this message and cause."""
        return [
            tell.detail for tell in self.told if tell.message == message and tell.fault and tell.fault.cause == cause
        ]

    def faults(self, cause: str) -> list[Failed]:
        """What the machine of recovery was told, with this cause."""
        return [event for event in self.posted if event.fault.cause == cause]

    def close(self) -> None:
        self.stack.close()
        self.sensor.close()
        self.table.close()
        with suppress(ProcessLookupError):
            os.kill(self.identity.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.identity.pid, 0)

    def _post(self, name: str, event: Event) -> None:
        assert name == "web"
        assert isinstance(event, Failed)
        self.posted.append(event)

    def _answers(self) -> bool:
        with suppress(ConnectionRefusedError):
            ask(self.port)
            return True
        return False


@contextmanager
def watched(folder: Path, ports: int = 1, backlog: int = 64, **numbers: float) -> Iterator[Watched]:
    """Everything until the block ends. ``numbers`` are thresholds."""
    made = Watched(folder, ports, backlog, **numbers)
    try:
        yield made
    finally:
        made.close()
