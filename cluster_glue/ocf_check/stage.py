"""What a case can do: run actions, look at the service, hurt it, and judge."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path

from cluster_glue.ocf_check import execd, service
from cluster_glue.ocf_check.agent import Declared, Subject, configuration_of, read_declared
from cluster_glue.ocf_check.execd import Ran
from cluster_glue.ocf_check.furnish import Layers
from cluster_glue.ocf_check.registry import Failed, Skipped
from cluster_glue.ocf_check.service import Listener, Service
from ocf.codes import OCF_DEGRADED, OCF_NOT_RUNNING, OCF_SUCCESS
from resource_agents.processes import Identity, Process, alive, everyone, look, send, state_of

#: Seconds between recurring monitors, as the agent is told.
INTERVAL = 10.0
#: Seconds that a killed process may take to be gone when stop says that nothing is left.
LAST_BREATH = 0.5
#: The set of processes is complete when it has not changed for so long (seconds).
SETTLED = 0.3

BROKEN_LINE = "koboshi-ocf-check: this line is no directive {{{ <<\n"


class Stage:
    """One case's view of its namespaces. ``actions`` tells what was run so far, in words."""

    def __init__(self, subject: Subject, layers: Layers) -> None:
        self.subject = subject
        self.layers = layers
        self.actions: list[str] = []
        self.before: set[Identity] = {process.identity for process in everyone()}
        self._bystander: subprocess.Popen[bytes] | None = None

    # -- actions -----------------------------------------------------------------------------------------------------

    def run(
        self,
        action: str,
        *,
        timeout: float = 0,
        interval: float = 0,
        level: int = 0,
        parameters: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run an action; ``timeout`` in seconds (0: the usual one)."""
        timeout = timeout or self.subject.timeout
        environment = execd.environment(self.subject, timeout, interval, level, parameters) | dict(extra or {})
        ran = execd.run(self.subject.path, action, environment, timeout)
        self.actions.append(str(ran) if action != "monitor" or interval else str(ran).replace("monitor", "probe", 1))
        return ran

    def probe(self) -> Ran:
        return self.run("monitor")

    def monitor(self, level: int = 0) -> Ran:
        return self.run("monitor", interval=INTERVAL, level=level)

    def must(self, ran: Ran, *codes: int) -> Ran:
        """Demand one of these exit codes."""
        if ran.rc in codes:
            return ran
        wanted = " or ".join(map(str, codes))
        why = f": {ran.reasons[-1]}" if ran.reasons else ""
        if ran.rc is None:
            raise Failed(f"{ran.action} did not end in time{why}")
        raise Failed(f"{ran.action} gave {ran.rc} instead of {wanted}{why}")

    def start(self) -> Service:
        """Start, demand 0, and give the service once all its processes are there."""
        self.must(self.run("start"), OCF_SUCCESS)
        return self.settled()

    def stop(self, timeout: float = 0) -> None:
        """Stop, demand 0, and that nothing is left."""
        self.must(self.run("stop", timeout=timeout), OCF_SUCCESS)
        self.nothing_left()

    @cached_property
    def declared(self) -> Declared:
        environment = execd.environment(self.subject, self.subject.timeout)
        ran = execd.run(self.subject.path, "meta-data", environment, self.subject.timeout)
        try:
            return read_declared(ran.stdout)
        except ValueError as error:
            raise Failed(str(error)) from None

    def levels(self) -> list[int]:
        """The declared levels of monitor that give 0 now, while the service is healthy."""
        usable = [level for level in self.declared.levels if self.monitor(level).rc in (OCF_SUCCESS, OCF_DEGRADED)]
        if not usable:
            raise Failed("monitor of a started resource does not give 0 at any level")
        return usable

    # -- the service -------------------------------------------------------------------------------------------------

    def service(self) -> Service:
        return service.look(self.before, self.subject.helpers)

    def settled(self) -> Service:
        """The service, when its processes have been the same for a while."""
        now, since = self.service(), time.monotonic()
        while time.monotonic() - since < SETTLED:
            time.sleep(0.05)
            then, now = now, self.service()
            if now.identities != then.identities:
                since = time.monotonic()
        return now

    def start_main(self) -> tuple[Service, Process]:
        """Start and give service and main process; skip the case when the agent starts no process."""
        there = self.start()
        if there.main is None:
            raise Skipped("start leaves no process behind")
        return there, there.main

    def repaired(self, old: Service) -> str:
        return "it was repaired locally" if self.is_fresh(old) else ""

    def is_fresh(self, old: Service) -> bool:
        """Whether the service is up again with a main process that was no part of ``old``, listening if that did."""
        now = self.service()
        fresh = now.main is not None and now.main.identity not in old.identities
        return fresh and (bool(now.listeners) or not old.listeners)

    def nothing_left(self) -> None:
        if not self.wait(lambda: self.service().empty, LAST_BREATH):
            raise Failed(f"left behind: {self.service()}")

    def answering(self, listeners: Iterable[Listener]) -> bool:
        return any(service.answers(listener) for listener in listeners)

    # -- faults ------------------------------------------------------------------------------------------------------

    def kill(self, processes: Iterable[Process]) -> None:
        """SIGKILL, and wait until they are dead."""
        processes = tuple(processes)
        for process in processes:
            send(process.identity, signal.SIGKILL)
        self.wait(lambda: not any(alive(process.identity) for process in processes), 10)

    def freeze(self, processes: Iterable[Process]) -> None:
        """SIGSTOP, and wait until they stand still."""
        processes = tuple(processes)
        for process in processes:
            send(process.identity, signal.SIGSTOP)
        self.wait(lambda: all(state_of(process.identity) in ("T", "Z", "") for process in processes), 10)

    def bystander(self) -> Process:
        """A process that is none of the agent's business."""
        self._bystander = subprocess.Popen(["/bin/sleep", "3600"], stdin=subprocess.DEVNULL, start_new_session=True)
        found = look(self._bystander.pid)
        assert found is not None
        self.before.add(found.identity)
        return found

    @property
    def configuration(self) -> Path:
        """The configuration file; skip the case when none is known."""
        found = configuration_of(self.subject, self.declared)
        if not found:
            raise Skipped("no parameter names a configuration file (see --configfile-parameter)")
        return Path(found)

    @staticmethod
    def remove(path: str) -> None:
        os.unlink(path)

    def break_configuration(self) -> None:
        path = self.configuration
        path.write_bytes(BROKEN_LINE.encode() + path.read_bytes())

    def pidfile(self, main: Process) -> Path:
        """The pid file: as told, or the file written by now that holds the main process's pid; else skip the case."""
        if self.subject.pidfile:
            return Path(self.subject.pidfile)
        found = [path for path in self.layers.written() if _first_word(path) == str(main.pid)]
        if not found:
            raise Skipped("no file holds the pid of the main process (see --pidfile)")
        return Path(min(found, key=lambda path: ("pid" not in os.path.basename(path), path)))

    # -- judging -----------------------------------------------------------------------------------------------------

    def noticed(self, levels: Iterable[int], excuse: Callable[[], str]) -> str:
        """Demand that a recurring monitor stops saying 0 within an action's time, or that there is an ``excuse``."""
        levels = tuple(levels)
        deadline = time.monotonic() + self.subject.timeout
        while True:
            for level in levels:
                ran = self.monitor(level)
                if ran.rc is None:
                    raise Failed(f"monitor (level {level}) did not end within its {self.subject.timeout:g} s")
                if ran.rc not in (OCF_SUCCESS, OCF_DEGRADED):
                    return f"monitor (level {level}) says {ran.rc}"
            if why := excuse():
                return why
            if time.monotonic() > deadline:
                raise Failed(f"monitor goes on saying 0 for {self.subject.timeout:g} s")
            del self.actions[-len(levels) :]  # the last round tells enough
            time.sleep(0.5)

    def not_running(self) -> None:
        """Demand that a probe and a recurring monitor say 7."""
        self.must(self.probe(), OCF_NOT_RUNNING)
        self.must(self.monitor(), OCF_NOT_RUNNING)

    @staticmethod
    def wait(condition: Callable[[], bool], within: float) -> bool:
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _first_word(path: str) -> str:
    try:
        with open(path, "rb") as file:
            words = file.read(64).split()
    except OSError:
        return ""
    return words[0].decode(errors="replace") if words else ""
