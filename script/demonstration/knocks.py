"""The knocks: what is done to a server, what koboshi must make of it, and what came of it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cluster_glue.cli import words
from cluster_glue.journal_reader import Incident, Line
from resource_agents.processes import Process, alive, send

from .client import Client, Seen, judge, listener_of
from .servers import Actor, family, main_of
from .stage import Stage
from .telling import Teller

#: Seconds that koboshi is paused while orphans serve, and that a broken server is watched not to be tried again.
PAUSE, WATCH = 1.0, 1.0

#: Seconds until a server must be back, whatever was done to it.
BACK = 20.0

#: What koboshi did, as the table says it.
DONE = {
    "orphans-ended": "orphans ended",
    "leftovers-removed": "leftovers removed",
    "escalated": "handed over",
}


@dataclass(slots=True)
class Scene:
    """One knock on one server: what is there when it begins, and what is found out."""

    stage: Stage
    teller: Teller
    client: Client
    actor: Actor
    number: int  # the incident's
    fault: str = ""
    problems: list[str] = field(default_factory=list)
    cause: str = "-"
    detected: float | None = None
    outage: float | None = None
    done: str = "-"

    def cells(self) -> list[str]:
        """The table's row."""
        return [self.actor.title, self.fault, _ms(self.detected), _ms(self.outage), self.cause, self.done]

    def need(self, holds: bool, otherwise: str) -> None:
        """Something that is documented."""
        if not holds:
            self.problems.append(otherwise)


def _ms(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def kill_main(scene: Scene) -> None:
    """kill -9 of the main process; its workers live on."""
    everyone = _everyone(scene)
    old = listener_of(scene.actor.port)
    knock = scene.teller.knock(f"kill -9 the main process (pid {everyone[0].pid})")
    send(everyone[0].identity, signal.SIGKILL)
    _must_be_back(scene, knock, old, everyone, ["killed"])


def kill_everything(scene: Scene) -> None:
    """kill -9 of the main process and all workers."""
    everyone = _everyone(scene)
    old = listener_of(scene.actor.port)
    knock = scene.teller.knock(f"kill -9 everything ({_pids(everyone)})")
    _send_all(everyone, signal.SIGKILL)
    _must_be_back(scene, knock, old, everyone, ["killed"])


def leave_orphans(scene: Scene) -> None:
    """kill -9 of the main process while koboshi may not act: its orphans hold the port and answer."""
    everyone = _everyone(scene)
    old = listener_of(scene.actor.port)
    scene.stage.do("pause", scene.actor.name, **{"for": PAUSE, "reason": "so that orphans can be seen"})
    knock = scene.teller.knock(f"kill -9 the main process (pid {everyone[0].pid}); koboshi is paused for {PAUSE:g} s")
    send(everyone[0].identity, signal.SIGKILL)
    seen = _must_be_back(scene, knock, old, everyone, ["killed"])
    scene.need(seen.from_orphans > 0, "no orphan answered")
    scene.need(DONE["orphans-ended"] in scene.done, "it was not told that orphans were ended")


def freeze_workers(scene: Scene) -> None:
    """SIGSTOP to all workers: connections are accepted by the kernel and never answered."""
    everyone = _everyone(scene)
    old = listener_of(scene.actor.port)
    knock = scene.teller.knock(f"SIGSTOP to all workers ({_pids(everyone[1:])})")
    _send_all(everyone[1:], signal.SIGSTOP)
    _must_be_back(scene, knock, old, everyone, ["stopped"])


def break_configuration(scene: Scene) -> None:
    """A broken configuration, then kill -9: no restart can help until it is mended."""
    actor, stage = scene.actor, scene.stage
    everyone = _everyone(scene)
    old = listener_of(actor.port)
    actor.spoil()
    knock = scene.teller.knock(f"broke {actor.mistake}, then kill -9 the main process (pid {everyone[0].pid})")
    send(everyone[0].identity, signal.SIGKILL)
    stage.wait(lambda: stage.status(actor.name)["phase"] == "misconfigured", BACK, f"misconfigured {actor.title}")
    reason = str(stage.status(actor.name)["reason"])
    scene.need(actor.mistake in reason, f"file and line are not named: {reason}")
    settled = time.monotonic()
    stage.wait(lambda: time.monotonic() - settled > WATCH, WATCH * 5, "the look at what is not done")
    tries = stage.status(actor.name)["restarts"]
    scene.need(tries == 1, f"it was restarted {words.times(tries)} before anything was mended")
    mended = scene.teller.knock("put the sound configuration back")
    actor.mend()
    _must_be_back(scene, knock, old, everyone, ["killed", "config-error"], mended)
    scene.done = f"file and line told, not tried in vain; {scene.done}"


KNOCKS: tuple[tuple[str, Callable[[Scene], None]], ...] = (
    ("main process killed", kill_main),
    ("everything killed", kill_everything),
    ("orphans hold the port and serve", leave_orphans),
    ("workers frozen", freeze_workers),
    ("configuration broken, main process killed", break_configuration),
)


def _must_be_back(
    scene: Scene, knock: float, old: int, gone: list[Process], named: list[str], waiting_since: float = 0.0
) -> Seen:
    """Wait until the client gets a 200 from a new main process and the incident is closed; compare with the documents.

    The outage of a server that waits for somebody to mend something is counted ``waiting_since`` then.
    """
    stage, actor = scene.stage, scene.actor

    def back() -> Seen | None:
        seen = judge(scene.client.since(knock), knock, old)
        return seen if seen.back is not None else None

    def closed() -> tuple[Incident, list[Line]] | None:
        found = stage.incident(actor.name, scene.number)
        return found if found and found[0].outage is not None else None

    seen: Seen = stage.wait(back, BACK, f"a 200 from a new main process of {actor.title}")
    incident, timeline = stage.wait(closed, BACK, f"the end of incident {actor.name}-{scene.number}")
    stage.wait_up(actor.name)
    main = main_of(stage.status(actor.name)["main_pid"])
    scene.detected = max(0.0, incident.fell - knock)
    scene.outage = seen.outage if not waiting_since else max(0.0, (seen.back or 0.0) - waiting_since)
    causes = list(dict.fromkeys(line.cause for line in timeline if line.cause))
    scene.cause = ", then ".join(causes)
    scene.done = _done(incident)
    scene.need(
        causes[: len(named)] == named, f"the cause is {scene.cause}, not {', then '.join(named)}: {incident.reason}"
    )
    scene.need(incident.ending == "recovered", f"it ended as {incident.ending or 'open'}")
    scene.need(main is not None and main.identity != gone[0].identity, "the main process is not a new one")
    left = [process for process in gone if alive(process.identity)]
    scene.need(not left, f"still there: {_pids(left)}")
    if seen.from_orphans:
        scene.teller.say("client", f"{seen.from_orphans} answers from before, or from orphans: they count for nothing")
    return seen


def _done(incident: Incident) -> str:
    """What koboshi did, in words; each thing once."""
    restarts = incident.actions.count("restarting")
    others = [DONE[action] for action in dict.fromkeys(incident.actions) if action in DONE]
    return ", ".join([f"restarted {words.times(restarts)}" if restarts else "started", *others])


def _everyone(scene: Scene) -> list[Process]:
    main = main_of(scene.stage.status(scene.actor.name)["main_pid"])
    if main is None:
        raise RuntimeError(f"{scene.actor.title} has no main process")
    return family(main)


def _send_all(processes: Iterable[Process], number: int) -> None:
    for process in processes:
        send(process.identity, number)


def _pids(processes: Iterable[Process]) -> str:
    return ", ".join(str(process.pid) for process in processes)


def words_of(line: str) -> str:
    """A line of koboshi's without its clock and its name: the timeline has its own."""
    return re.sub(r"^\d\d:\d\d:\d\d\.\d\d\d (koboshi )?", "", line)
