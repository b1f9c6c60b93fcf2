"""The kinds of server that the engine's promises are tried on."""

from __future__ import annotations

from pathlib import Path

from resource_agents.processes import Process, children, look
from tests.servers import Instance, apache_instance, command_instance, nginx_instance

#: Apache by its process models, nginx, and a Python server through ``command``, in the foreground and forking.
KINDS = ("prefork", "worker", "event", "nginx", "command", "forking")

#: So few spare threads wanted that Apache's parent makes no further children by itself.
_SPARE = {
    "prefork": "MinSpareServers 1\nMaxSpareServers 5",
    "worker": "MinSpareThreads 4\nMaxSpareThreads 40",
    "event": "MinSpareThreads 4\nMaxSpareThreads 40",
}


def instance_of(kind: str, folder: Path) -> Instance:
    """A private server of this kind below ``folder``, with two workers."""
    if kind in _SPARE:
        return apache_instance(folder, kind, extra=_SPARE[kind])
    if kind == "nginx":
        return nginx_instance(folder)
    return command_instance(folder, workers=2, forks=kind == "forking")


def workers_of(main: Process) -> list[Process]:
    """The living children of a main process."""
    return [process for pid in children(main.pid) if (process := look(pid)) is not None and not process.dead]
