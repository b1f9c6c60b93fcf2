"""``koboshi watch``: a process whose end says "beyond repair here".

Serviceguard's ``service_cmd`` and CLUSTERPRO's resident process: the clusterware watches its pid, so it lives as long
as koboshi has hope, and ends when koboshi has none. It repairs nothing itself: it keeps the daemon alive and its lease
renewed. It needs no environment, has a process group of its own, and dies of SIGTERM at once, whatever signal settings
it inherited; the web server is never in its group.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cluster_glue.scripted import Scripted
from ocf.conditions import Verdict

#: Seconds that one look may take, and that the daemon may take to come up.
LOOK, WAKING = 20.0, 10.0

#: Looks in a row at a server that is down, and that nobody repairs, before hope is lost.
HOPE: Final = 3


def isolate() -> None:
    """A process group of our own, and SIGTERM as the kernel means it."""
    with suppress(OSError):  # the leader of a session has its own group already
        os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


class Watcher:
    """Watches one resource, looking every ``interval`` seconds; ``say`` gets a line for each change."""

    def __init__(self, scripted: Scripted, interval: float, say: Callable[[str], None]) -> None:
        self._scripted, self._interval, self._say = scripted, interval, say
        self._said = ""
        self._forlorn = 0

    def watch(self) -> int:
        """Watch until there is no hope; the exit status that says so."""
        while True:
            began = time.monotonic()
            status = self.look()
            if status is not None:
                return status
            time.sleep(max(0.0, began + self._interval - time.monotonic()))

    def look(self) -> int | None:
        """One look: the exit status to end with, or None as long as there is hope."""
        scripted = self._scripted
        name = scripted.resource.name
        if scripted.maintenance():
            self._tell(f"{name}: pausing, in maintenance while {scripted.resource.glue.maintenance_flag} exists")
            return None
        if scripted.ware.waits and not scripted.given:
            self._tell(f"{name}: waits until the cluster starts it here")
            return None
        verdict = scripted.monitor(LOOK, self._interval)
        status = scripted.ware.foreground.get(verdict.condition)
        if status is None and self._nobody_repairs(verdict):
            status = 1
        if status is None:
            self._tell(f"{name}: {verdict.condition}" + (f": {verdict.reason}" if verdict.reason else ""))
            return None
        self._tell(f"{name}: {verdict.condition}: {verdict.reason}; the watcher ends with {status}")
        reminder = scripted.ware.reminder(scripted.subject)
        if reminder:
            self._tell(f"{name}: {reminder}")
        return status

    def _nobody_repairs(self, verdict: Verdict) -> bool:
        """It is down, and neither is the daemon there nor does it come."""
        if verdict.good or verdict.condition not in ("stopped", "failed"):
            self._forlorn = 0
            return False
        if self._scripted.given and self._scripted.wake(WAKING):
            self._forlorn = 0
            return False
        self._forlorn += 1
        return self._forlorn >= HOPE

    def _tell(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say(" ".join(line.split()))
