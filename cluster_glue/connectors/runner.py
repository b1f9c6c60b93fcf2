"""Carries the connectors' command lines out: in threads, with deadlines, never so that the engine's loop waits.

Each resource has its clusterware: what a cluster handed over through an OCF executable is Pacemaker's, unless a
``[resource.NAME]`` table says whose it is. No answer, a refusal or nonsense mean: do not act. What was told is noted in
``<runtime>/handed/NAME.json``, so that it can be taken back after the resource and even this daemon are gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster_glue.config_model import NAME, Config, Settings
from cluster_glue.connectors.carrying import aside, asked, problem_of
from cluster_glue.connectors.clusterware import Clusterware, Request, Subject, load
from cluster_glue.connectors.reboot import Rebooter, write_out
from cluster_glue.glue_model import Glue
from cluster_glue.messages import CATALOGUE, incident_id, render
from cluster_glue.recovery.model import Escalate, Phase, Tell
from resource_agents import mandates

if TYPE_CHECKING:
    from cluster_glue.recovery.engine import Engine
    from cluster_glue.recovery.watch import Watch

#: Seconds for which a permission is fresh enough to hand over without asking again.
FRESH: Final = 1.0

#: Seconds until what could not be taken back is tried again.
AGAIN: Final = 60.0

#: Seconds to ask before a hand-over, and to learn this node's name.
ASK: Final = 2.0

#: Messages that reach the clusterware's own log, by the first digit of their ids.
ANNOUNCED: Final = frozenset("1234")

#: Announcements in flight at the same time; a cluster that does not take them must not collect threads.
MOST: Final = 8


class Connectors:
    """The engine's :class:`~cluster_glue.recovery.engine.Connector` and one of its observers."""

    def __init__(
        self, runtime: Path, state: Path, config: Callable[[], Config], tell: Callable[[str, Tell], None]
    ) -> None:
        self.engine: Engine
        self.before_reboot: Callable[[], object] = lambda: None
        self._config, self._tell = config, tell
        self._handed = runtime / "handed"
        self._rebooter = Rebooter(state, runtime)
        self._nodes: dict[str, str] = {}
        self._permitted: dict[str, float] = {}
        self._announcing = 0
        self._taking: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the engine's questions ----------------------------------------------------------------------------------------

    async def permission(self, watch: Watch, timeout: float) -> str:
        """Why we may not act on ``watch``; empty when we may."""
        end = time.monotonic() + timeout * 0.9
        self._permitted.pop(watch.name, None)
        ware, subject = await self._subject(watch.name, watch.mandate, timeout)
        brake = next((path for path in brakes(ware, subject) if os.path.exists(path)), None)
        if brake is not None:
            return f"{brake} exists: maintenance"
        question = ware.question(subject)
        if question:
            if not subject.node:
                return f"{ware.title} was not to be asked for this node's name: {' '.join(ware.identify())} failed"
            answer = await aside(partial(asked, Request(question, max(0.1, end - time.monotonic())), ware))
            if no := ware.authority(subject, answer):
                return no
        self._permitted[watch.name] = time.monotonic()
        return ""

    async def escalate(self, watch: Watch, order: Escalate) -> None:
        """Hand over as the policy says, and say how it went. Never raises."""
        try:
            await self._hand_over(watch, order)
        except Exception as error:  # the next answer to the cluster says the same
            self._say(watch, order, "hand-over-failed", f"{type(error).__name__}: {error}")

    async def _hand_over(self, watch: Watch, order: Escalate) -> None:
        ware, subject = await self._subject(watch.name, watch.mandate, ASK)
        if order.how == "reboot":
            await self._reboot(ware, subject, watch, order)
            return
        if order.how == "report":
            return
        began = time.monotonic()
        requests = ware.told(subject, order.how, order.fault.reason)
        if requests and ware.question(subject) and began - self._permitted.get(watch.name, 0.0) > FRESH:
            no = await self.permission(watch, ASK)
            if no:
                self._say(watch, order, "escalated", f"{ware.title} is not pushed, it will ask: {no}")
                return
        if not all(request.again for request in requests) and self._noted(watch.name) == order.incident:
            requests = ()  # an earlier daemon said it, or was about to: twice would be worse than not at all
        if requests:
            self._note(watch.name, ware, subject, order.incident)
        for request in requests:
            finished = await aside(partial(asked, request, ware))
            if not finished.ok:
                self._say(watch, order, "hand-over-failed", f"{request.argv[0]}: {problem_of(finished)}")
                return
        took = (time.monotonic() - began) * 1000
        said = f"{ware.title} was told in {took:.0f} ms" if requests else f"{ware.title} hears of it when it asks next"
        reminder = ware.reminder(subject)
        self._say(watch, order, "escalated", f"{said}; {reminder}" if reminder else said)

    async def _reboot(self, ware: Clusterware, subject: Subject, watch: Watch, order: Escalate) -> None:
        healthy = [one.name for one in self.engine.watches.values() if one is not watch and one.state.phase is Phase.UP]
        incident = incident_id(watch.name, order.incident)
        requests = ware.told(subject, "reboot", order.fault.reason)
        no = (self._rebooter.guard() if not requests else "") or await aside(
            lambda: self._rebooter.begin(incident, healthy, subject.settings)
        )
        if no:
            self._say(watch, order, "reboot-suppressed", no)
            return
        self._say(watch, order, "rebooting", order.fault.reason)
        await aside(self.before_reboot)
        if requests:
            await aside(write_out)
            for request in requests:
                finished = await aside(partial(asked, request, ware))
                if not finished.ok:
                    self._say(watch, order, "hand-over-failed", f"{request.argv[0]}: {problem_of(finished)}")
            return
        if await aside(self._rebooter.orderly):
            await asyncio.sleep(subject.settings.reboot_patience)
        self._say(watch, order, "hand-over-failed", await aside(self._rebooter.force))

    # -- what was told is taken back -----------------------------------------------------------------------------------

    def attend(self, watch: Watch) -> None:
        """The cluster started it here again: what keeps it away is taken back."""
        due = time.monotonic() >= self._not_before.get(watch.name, 0.0)
        if due and watch.state.phase in (Phase.STARTING, Phase.UP) and self.handed(watch.name):
            self._take_back(watch.name, by_operator=False)

    def leave(self, watch: Watch) -> None:
        """What was told stays told: it is the cluster's to know."""

    def handed(self, name: str) -> bool:
        """Whether ``name`` was handed over and that was not taken back."""
        return name not in self._taking and bool(NAME.fullmatch(name)) and self._note_of(name).exists()

    def all_handed(self) -> list[str]:
        """All resources that were handed over, whether they are still watched here or not."""
        return sorted(path.stem for path in self._handed.glob("*.json"))

    def clear(self, name: str) -> bool:
        """An operator says that ``name`` may run here again; whether there was anything to take back."""
        if not self.handed(name):
            return False
        self._take_back(name, by_operator=True)
        return True

    def _take_back(self, name: str, by_operator: bool) -> None:
        self._taking.add(name)
        self._spawn(self._withdraw(name, by_operator))

    async def _withdraw(self, name: str, by_operator: bool) -> None:
        self._not_before[name] = time.monotonic() + AGAIN
        try:
            ware, subject = await self._handed_as(name)
            for request in ware.withdrawn(subject, by_operator):
                finished = await aside(partial(asked, request, ware))
                if not finished.ok:
                    detail = f"not taken back: {request.argv[0]}: {problem_of(finished)}"
                    self._tell(name, Tell("hand-over-failed", detail))
                    return
            self._note_of(name).unlink(missing_ok=True)
            self._not_before.pop(name)
            self._tell(name, Tell("taken-back", f"{ware.title} may run it on {subject.node} again"))
        except (OSError, ValueError, LookupError, TypeError) as error:
            self._tell(name, Tell("hand-over-failed", f"not taken back: {error}"))
        finally:
            self._taking.discard(name)

    async def _handed_as(self, name: str) -> tuple[Clusterware, Subject]:
        """To whom it was handed over, and as what: as it was noted, else as it would be now. Raises ``LookupError``."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._note_of(name).read_text(encoding="utf-8"))
            glue, settings = self._glue(name), self._config().settings
            subject = Subject(name, str(note["node"]), glue, settings, str(note.get("called", "")))
            return load(str(note["clusterware"])), subject
        watch = self.engine.watches.get(name)
        return await self._subject(name, watch.mandate if watch is not None else "", ASK)

    def _noted(self, name: str) -> int:
        """The incident whose hand-over was noted last; 0: none."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads(self._note_of(name).read_text(encoding="utf-8"))["incident"])
        return 0

    def _note(self, name: str, ware: Clusterware, subject: Subject, incident: int) -> None:
        note = {"clusterware": ware.name, "node": subject.node, "called": subject.called, "incident": incident}
        fresh = self._handed / f"{name}.new"  # a full disk must not leave half a note
        with suppress(OSError):
            self._handed.mkdir(mode=0o700, exist_ok=True)
            fresh.write_text(json.dumps(note), encoding="utf-8")
            fresh.replace(self._note_of(name))

    def _note_of(self, name: str) -> Path:
        return self._handed / f"{name}.json"

    # -- what is said --------------------------------------------------------------------------------------------------

    def announce(self, name: str, told: Tell) -> None:
        """Bring what was said about a resource into its clusterware's own log, where it has one. Never waits."""
        message = CATALOGUE[told.message]
        watch = self.engine.watches.get(name) if name else None
        if watch is None or message.id[3] not in ANNOUNCED or self._announcing >= MOST:
            return
        ware, _, glue = self._join(name, "pacemaker" if watch.mandate else "")
        subject = Subject(name, self._nodes.get(ware.name, os.uname().nodename), glue, self._config().settings)
        for request in ware.announced(subject, message, render(name, told)):
            self._announcing += 1  # here and not in the task: a burst is told before any of its tasks begins
            self._spawn(self._announce(ware, request))

    async def _announce(self, ware: Clusterware, request: Request) -> None:
        try:
            await aside(partial(asked, request, ware))  # the cluster may be down: its log is not worth a word
        finally:
            self._announcing -= 1

    def _say(self, watch: Watch, order: Escalate, message: str, detail: str) -> None:
        self._tell(watch.name, Tell(message, detail, order.incident, order.fault))

    # -- who is who ----------------------------------------------------------------------------------------------------

    async def _subject(self, name: str, mandate: str, timeout: float) -> tuple[Clusterware, Subject]:
        ware, settings, glue = self._join(name, "pacemaker" if mandate else "")
        node = self._nodes.get(ware.name, "")
        if not node:
            words = ware.identify()
            answer = await aside(partial(asked, Request(words, timeout * 0.45), ware)) if words else None
            node = os.uname().nodename if answer is None else answer.output.strip() if answer.ok else ""
            if node:
                self._nodes[ware.name] = node
        return ware, Subject(name, node, glue, settings, str(mandates.read(Path(mandate)).get("resource", "")))

    def _join(self, name: str, otherwise: str) -> tuple[Clusterware, Settings, Glue]:
        config, glue = self._config(), self._glue(name)
        chosen = glue.connector or (config.settings.connector if name in config.resources else otherwise)
        return load(chosen or "standalone"), config.settings, glue

    def _glue(self, name: str) -> Glue:
        resource = self._config().resources.get(name)
        return Glue() if resource is None else resource.glue

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def brakes(ware: Clusterware, subject: Subject) -> tuple[str, ...]:
    """Files that forbid every act of ours as long as they exist."""
    flag = subject.glue.maintenance_flag
    return (*((flag,) if flag else ()), *ware.brakes(subject))
