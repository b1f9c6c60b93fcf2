"""Status files: what the executables read instead of asking, so that a recurring monitor starts no interpreter.

One line for each resource that is certainly healthy: until when it holds (seconds since boot), and the pid and start
time of the server's main process and of this daemon. The reader checks all of it, so that a dead server, a dead or
stopped daemon or an old file never reads as healthy. It leaves a ``lease`` file (interval and timeout in milliseconds):
the renewal that its question would have been.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from cluster_glue.recovery.model import Phase
from cluster_glue.recovery.watch import Watch
from resource_agents.processes import look

#: Whole seconds that a status file holds at the most.
HOLDS = 2


class StatusFiles:
    """The status and lease files in one directory.

    What was left there before renews nothing, however old it is: the saved state knows of an earlier daemon's leases.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._leases: dict[str, int] = {}
        for path in directory.glob("*.lease"):
            with suppress(OSError):
                self._leases[path.stem] = path.stat().st_mtime_ns
        self._me = look(os.getpid())

    def show(self, watch: Watch, drain_wait: float = 0.0) -> None:
        """Write the status file of ``watch``, or take it away; ``drain_wait`` (seconds) is what a stop has to know."""
        state, main = watch.state, watch.remembered
        healthy = state.phase is Phase.UP and not state.failures and state.fault is None
        if not healthy or main is None or self._me is None:
            self.hide(watch.name)
            return
        until = int(time.clock_gettime(time.CLOCK_BOOTTIME)) + HOLDS
        line = f"{until} {main.main.pid} {main.main.start} {self._me.pid} {self._me.start}\n"
        self._write(f"{watch.name}.status", line)
        if drain_wait:
            self._write(f"{watch.name}.drain", f"{drain_wait:g}\n")

    def hide(self, name: str) -> None:
        """No status any more: there is nothing healthy to speak of, nor to drain."""
        for suffix in ("status", "drain"):
            with suppress(OSError):
                (self._directory / f"{name}.{suffix}").unlink(missing_ok=True)

    def renewal(self, name: str) -> tuple[float, float] | None:
        """Interval and timeout (seconds) of a monitor that read the file since the last look; None: there was none."""
        path = self._directory / f"{name}.lease"
        with suppress(OSError, ValueError):
            stamp = path.stat().st_mtime_ns
            if stamp != self._leases.get(name):
                self._leases[name] = stamp
                interval, timeout = path.read_text(encoding="ascii").split()
                return int(interval) / 1000, int(timeout) / 1000
        return None

    def _write(self, name: str, text: str) -> None:
        path = self._directory / name
        fresh = path.with_name(f"{name}.fresh")
        with suppress(OSError):
            fresh.write_text(text, encoding="ascii")
            fresh.replace(path)
