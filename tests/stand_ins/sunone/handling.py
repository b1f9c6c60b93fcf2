"""What tests do to an instance's processes and clients, and what the agent then says."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator

from resource_agents.processes import Process, alive, everyone, look, send
from resource_agents.sunone_family import Standing, assess
from tests.stand_ins.sunone.running import Instance
from tests.waiting import eventually


def end(process: Process, number: int = signal.SIGKILL) -> None:
    """Send a signal that ends a process, and wait for that."""
    send(process.identity, number)
    eventually(lambda: not alive(process.identity), what=f"the end of {process.pid}")


def freeze(process: Process) -> None:
    send(process.identity, signal.SIGSTOP)
    eventually(lambda: (look(process.pid) or process).state == "T", what="state T")


def cause(instance: Instance, answered: bool | None) -> str:
    """What the agent says of the process tree; empty when it is content."""
    fault = instance.server.examine(everyone(), answered)
    return fault.cause if fault else ""


def standing(instance: Instance, answered: bool | None, pid_written: bool = True) -> Standing:
    return assess(instance.family(), answered, pid_written=pid_written)[0]


@contextlib.contextmanager
def half_sent(port: int, number: int = 1) -> Iterator[list[socket.socket]]:
    """Clients that begin a request and never end it."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(number)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: local")
    try:
        yield clients
    finally:
        for client in clients:
            client.close()
