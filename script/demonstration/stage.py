"""The stage: a private folder, one koboshi with places of its own, and a clean floor afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster_glue.client import AskError, ask
from cluster_glue.journal_reader import Incident, JournalUnreadable, Line, Reader
from resource_agents.cgroups import place, tag_of


class Stage:
    """Made by its constructor, cleared by :meth:`clear`; ``heard`` gets each line that koboshi says."""

    def __init__(self, koboshi: Path, heard: Callable[[str], None]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="koboshi-demo-"))
        self.folder.chmod(0o711)  # Apache's and nginx's workers run as another user
        self.runtime, self.state = self.folder / "run", self.folder / "state"
        self._koboshi, self._heard = koboshi, heard
        self._daemon: subprocess.Popen[str] | None = None

    def raise_curtain(self, config: str) -> None:
        """Start koboshi and wait until it answers. Raises ``RuntimeError``."""
        path = self.folder / "koboshi.toml"
        path.write_text(config, encoding="utf-8")
        places = {"KOBOSHI_RUNTIME_DIR": str(self.runtime), "KOBOSHI_STATE_DIR": str(self.state)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KOBOSHI_", "NOTIFY_"))}
        self._daemon = subprocess.Popen(
            [self._koboshi, "run", "-c", path],
            env=kept | places,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self._daemon.stdout,), daemon=True).start()
        self.wait(self._ready, 15.0, "koboshi's first answer")

    def clear(self) -> None:
        """Remove what is left on this machine once every process is gone: control groups and the folder."""
        group = place(tag_of(self.runtime), "any")
        if group is not None:
            for below in group.path.parent.glob("*/"):
                with suppress(OSError):
                    below.rmdir()
            with suppress(OSError):
                group.path.parent.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- koboshi -------------------------------------------------------------------------------------------------------

    def do(self, verb: str, resource: str, **more: object) -> None:
        """Ask koboshi for something. Raises ``RuntimeError`` when it refuses."""
        reply = self._ask({"do": verb, "resource": resource, **more})
        if not reply["ok"]:
            raise RuntimeError(f"koboshi refuses to {verb} {resource}: {reply.get('error')}")

    def status(self, resource: str) -> dict[str, Any]:
        """What koboshi has to say about one resource."""
        reply = self._ask({"do": "status"})
        return next(dict(one) for one in reply["resources"] if one["name"] == resource)

    def incident(self, resource: str, number: int) -> tuple[Incident, list[Line]] | None:
        """An incident of the journal with its timeline; None while it is not there."""
        with suppress(JournalUnreadable), Reader(self.state / "journal.sqlite") as reader:
            return reader.incident(f"{resource}-{number}")
        return None

    def latest(self, resource: str) -> int:
        """The number of the latest incident of a resource; 0 before the first."""
        with suppress(JournalUnreadable), Reader(self.state / "journal.sqlite") as reader:
            return reader.last_numbers().get(resource, 0)
        return 0

    def wait(self, condition: Callable[[], Any], within: float, what: str) -> Any:
        """The first true value of ``condition``. Raises ``RuntimeError`` after ``within`` seconds."""
        deadline = time.monotonic() + within
        while True:
            value = condition()
            if value:
                return value
            if self._daemon is not None and self._daemon.poll() is not None:
                raise RuntimeError(f"koboshi ended with {self._daemon.returncode} while {what} was awaited")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come within {within:g} s")
            time.sleep(0.01)

    def wait_up(self, resource: str) -> None:
        """Wait until koboshi has it up. Raises ``RuntimeError``."""
        self.wait(lambda: self.status(resource)["phase"] == "up", 30.0, f"{resource} up")

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return ask(self.runtime / "control.sock", request, 10.0)
        except AskError as error:
            raise RuntimeError(str(error)) from None

    def _ready(self) -> bool:
        with suppress(RuntimeError):
            return bool(self._ask({"do": "ping"})["ok"])
        return False

    def _listen(self, lines: Any) -> None:
        for line in lines:
            self._heard(line.rstrip("\n"))
