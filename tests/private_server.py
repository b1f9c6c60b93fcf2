"""A real web server of a test's own: started as koboshi starts it, and gone when the test is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resource_agents.booting import Started
from resource_agents.families import layout_of, members
from resource_agents.listeners import listening, on, owners
from resource_agents.patience import Patience
from resource_agents.processes import Identity, Process, alive, look
from resource_agents.server import Server
from resource_agents.spawning import spawn
from resource_agents.starting import start
from resource_agents.stopping import stop
from tests.waiting import LONG, eventually


class PrivateServer:
    """``make`` gives a new agent object each time: its configuration is read anew."""

    def __init__(self, folder: Path, make: Callable[[], Server]) -> None:
        self.folder = folder
        self.make = make
        self.output = folder / "output"
        self.spawned: Identity | None = None

    def spawn(self) -> Identity:
        """Start it and wait for nothing."""
        self.spawned = spawn(self.make().start_command(), self.output, None)
        return self.spawned

    def start(self, seconds: float = LONG) -> Started:
        """Start it as an action does: until it answers, or with a fault."""
        started = start(self.make, self.make(), None, None, self.output, Patience(seconds))
        if started.remembered is not None:
            self.spawned = started.remembered.main
        return started

    def up(self) -> Process:
        """Start it; it must come up."""
        started = self.start()
        assert started.fault is None, started.fault
        assert started.remembered is not None
        process = look(started.remembered.main.pid)
        assert process is not None
        return process

    def stop(self, seconds: float = LONG, gentle: bool = True) -> None:
        """Stop it as an action does; nothing may be left."""
        fault, _ = stop(self.make(), None, None, Patience(seconds), gentle)
        assert fault is None, fault

    def holders(self) -> set[int]:
        """Pids that hold one of the addresses of its configuration."""
        return {process.pid for process in owners(on(self.make().layout.addresses, listening()))}

    @property
    def log(self) -> str:
        """Its error log; also while its configuration cannot be read."""
        return layout_of(self.make()).error_log or "/nowhere"

    def lines(self) -> list[str]:
        """What it wrote: its output, then its log."""
        text = ""
        for path in (self.output, Path(self.log)):
            with suppress(OSError):
                text += path.read_text(errors="replace")
        return text.splitlines()

    def exit_status(self) -> int:
        """Wait for the end of what was spawned; negative: by a signal."""
        assert self.spawned is not None
        child = self.spawned
        eventually(lambda: not alive(child), what="the end of the server")
        return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])

    def close(self) -> None:
        """End it and every relative of it, whatever its configuration says by now."""
        family = {process.pid for process in members(self.make(), None, None)}
        if self.spawned is not None and alive(self.spawned):
            family.add(self.spawned.pid)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.spawned is not None:
            with suppress(ChildProcessError):
                os.waitpid(self.spawned.pid, 0)
