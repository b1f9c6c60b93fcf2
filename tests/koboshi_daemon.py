"""``koboshi run -c`` of a test's own: real, with its own directories, and gone with all it started when the test is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from cluster_glue.client import AskError, ask
from cluster_glue.journal_reader import Incident, JournalUnreadable, Line, Reader
from resource_agents.cgroups import Cgroup, place, tag_of
from resource_agents.processes import Identity, Process, alive, look, send
from tests.servers import Instance
from tests.waiting import LONG, eventually

KOBOSHI = str(Path(sys.executable).parent / "koboshi")

#: Said of koboshi itself; the machine's syslog is nobody's test's.
SETTINGS = '[koboshi]\nsyslog = ""\n\n'


class KoboshiDaemon:
    """One daemon below ``folder``. ``inside`` is a command line that koboshi's own is appended to."""

    def __init__(
        self, folder: Path, config_text: str, inside: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.runtime, self.state = folder / "run", folder / "state"
        self.config, self.output = folder / "koboshi.toml", folder / "koboshi.out"
        self.inside = inside
        self.identity: Identity | None = None
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("KOBOSHI_", "NOTIFY_"))},
            "KOBOSHI_RUNTIME_DIR": str(self.runtime),
            "KOBOSHI_STATE_DIR": str(self.state),
            **(env or {}),
        }
        self.configure(config_text)
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.keeper"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    # -- the daemon itself -----------------------------------------------------------------------------------------

    def configure(self, text: str) -> None:
        """Write the configuration file anew."""
        self.config.write_text(SETTINGS + text)

    def start(self) -> Self:
        """Start koboshi, again or for the first time, and wait until it answers."""
        self.identity = self.launch([*self.inside, KOBOSHI, "run", "-c", str(self.config)], self.output)
        eventually(self._answers, what="koboshi's first answer")
        return self

    def launch(self, argv: list[str], output: Path | None = None) -> Identity:
        """Start any program in the daemon's care: it is ended with the test at the latest."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        order = {"argv": argv, "env": self.env, "output": str(output or os.devnull)}
        self._keeper.stdin.write(json.dumps(order).encode() + b"\n")
        self._keeper.stdin.flush()
        pid, start = json.loads(self._keeper.stdout.readline())
        return Identity(pid, start)

    def poke(self, number: int) -> None:
        """A signal to koboshi itself."""
        assert self.identity is not None
        send(self.identity, number)

    def kill(self) -> None:
        """kill -9 koboshi, and wait until it is gone."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End koboshi with a signal, and wait until it is gone."""
        gone = self.identity
        assert gone is not None
        send(gone, number)
        eventually(lambda: not alive(gone), what="koboshi's end")

    def close(self) -> None:
        """End koboshi, everything below it, and the servers that it adopted; remove the control groups."""
        with suppress(OSError):
            self._keeper.communicate(timeout=LONG)
        group = place(tag_of(self.runtime), "any")
        if group is not None:
            for below in map(Cgroup, group.path.parent.glob("*/")):
                below.kill()
                assert below.wait_empty(LONG), below
                below.path.rmdir()
            with suppress(FileNotFoundError):
                group.path.parent.rmdir()

    def _answers(self) -> bool:
        assert self.identity is not None
        assert alive(self.identity), f"koboshi ended:\n{self.said}"
        try:
            return bool(self.ask({"do": "ping"})["ok"])
        except AskError:
            return False

    # -- what it says ----------------------------------------------------------------------------------------------

    @property
    def said(self) -> str:
        """All that it said so far, on its terminal."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def lines(self, message: str, resource: str = "") -> list[str]:
        """Its lines with this message name (of this resource)."""
        words = f"{resource} {message}: "
        return [line for line in self.said.splitlines() if words in line]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request over the control socket; its reply."""
        return ask(self.runtime / "control.sock", request, LONG)

    def do(self, verb: str, resource: str, **more: object) -> None:
        """What an operator asks for; koboshi must not refuse to hear it."""
        reply = self.ask({"do": verb, "resource": resource, **more})
        assert reply["ok"], reply

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command for people, run to its end."""
        return subprocess.run(
            [KOBOSHI, *words], env=self.env, capture_output=True, text=True, timeout=LONG, check=False
        )

    def status(self, resource: str) -> dict[str, Any]:
        """What ``koboshi status`` has of one resource."""
        for one in self.ask({"do": "status"})["resources"]:
            if one["name"] == resource:
                return dict(one)
        raise AssertionError(f"there is no {resource}")

    def saved(self, resource: str) -> dict[str, Any]:
        """The state as it was saved last; empty when nothing was."""
        try:
            return dict(json.loads((self.runtime / f"resources/{resource}.json").read_text())["state"])
        except FileNotFoundError:
            return {}

    def incidents(self, resource: str | None = None) -> list[Incident]:
        """The journal's incidents, the latest first."""
        try:
            with Reader(self.state / "journal.sqlite") as reader:
                return reader.incidents(resource)
        except JournalUnreadable:
            return []

    def timeline(self, incident: str) -> list[Line]:
        """What happened in one incident."""
        with Reader(self.state / "journal.sqlite") as reader:
            found = reader.incident(incident)
        assert found is not None, incident
        return found[1]

    # -- waiting ---------------------------------------------------------------------------------------------------

    def until(self, resource: str, phase: str, within: float = LONG) -> dict[str, Any]:
        """The status as soon as the resource is in this phase."""

        def arrived() -> dict[str, Any] | None:
            found = self.status(resource)
            return found if found["phase"] == phase else None

        try:
            found = eventually(arrived, within, f"{resource} {phase}", every=0.02)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {self.status(resource)}; koboshi said:\n{self.said}") from None
        assert found is not None
        return found

    def main(self, resource: str) -> Process:
        """The living main process of a resource that is up."""
        process = look(int(self.until(resource, "up")["main_pid"]))
        assert process is not None
        return process

    def until_new_main(self, resource: str, old: Process) -> Process:
        """The main process after ``old``, as soon as the resource is up with it."""
        found: list[Process] = []

        def renewed() -> bool:
            status = self.status(resource)
            process = look(status["main_pid"] or 0)
            if status["phase"] == "up" and process is not None and process.identity != old.identity:
                found.append(process)
            return bool(found)

        try:
            eventually(renewed, what=f"a new main process of {resource}", every=0.02)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {self.status(resource)}; koboshi said:\n{self.said}") from None
        return found[0]

    def until_incident_ended(self, resource: str, number: int, ending: str) -> Incident:
        """An incident as soon as the journal has its end."""

        def ended() -> Incident | None:
            return next(
                (one for one in self.incidents(resource) if one.number == number and one.ending == ending), None
            )

        found = eventually(ended, what=f"{ending} of incident {resource}-{number}", every=0.02)
        assert found is not None
        return found


def table(instance: Instance, name: str = "web", **more: object) -> str:
    """The configuration's table of one server; ``more`` are further parameters, such as those of the policy."""
    given: dict[str, object] = {"agent": instance.agent, **instance.values, **more}
    lines = (f"{key} = {json.dumps(value)}" for key, value in given.items())
    return "\n".join((f"[resource.{name}]", *lines, ""))


@contextmanager
def daemon(
    folder: Path, config_text: str, inside: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> Iterator[KoboshiDaemon]:
    """A running koboshi until the block ends; with it ends all that it started."""
    made = KoboshiDaemon(folder, config_text, inside, env)
    try:
        yield made.start()
    finally:
        made.close()
