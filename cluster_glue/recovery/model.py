"""What the recovery machine speaks of: states, events, orders. Values only.

Nouns are values, past participles are events (something happened), imperatives are orders (do this). Times are seconds
on one clock that never jumps (``CLOCK_BOOTTIME`` in the engine, anything that grows in a simulation).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ocf.faults import Fault


class Wanted(Enum):
    """What the cluster or the operator asked for last. Unknown (after a reboot) means: do not act."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class Phase(Enum):
    """Where the resource is. Wanted is not phase."""

    IDLE = "idle"
    STARTING = "starting"
    UP = "up"
    CHECKING = "checking"
    ASKING = "asking"
    CLEARING = "clearing"
    WAITING = "waiting"
    OBSERVING = "observing"
    MISCONFIGURED = "misconfigured"
    BLOCKED = "blocked"
    STOPPING = "stopping"
    RELOADING = "reloading"
    FAILED = "failed"


class Action(Enum):
    """What the executor can do to a server."""

    START = "start"
    STOP = "stop"
    CHECK = "check"
    RELOAD = "reload"


IN_FLIGHT = {
    Phase.STARTING: Action.START,
    Phase.CHECKING: Action.CHECK,
    Phase.CLEARING: Action.STOP,
    Phase.STOPPING: Action.STOP,
    Phase.RELOADING: Action.RELOAD,
}


@dataclass(frozen=True, slots=True)
class State:
    """Everything the machine knows about one resource; small enough to be saved before each order."""

    wanted: Wanted = Wanted.UNKNOWN
    phase: Phase = Phase.IDLE
    since: float = 0.0  # when this phase began
    deadline: float | None = None  # when a Ticked is due for this phase
    action: int = 0  # number of the latest action or question; a Done with another number is stale
    restarts: tuple[float, ...] = ()  # times of the restarts inside the window
    tries: int = 0  # restarts in a row without a stable run between
    failures: int = 0  # failed probes in a row
    successes: int = 0  # good probes in a row while in doubt
    slow: bool = False
    dead: bool = False  # the main process is known to be gone: answers prove nothing, only a look at it does
    fault: Fault | None = None  # what is wrong now, or was wrong last while an incident is open
    incident: int = 0  # number of the open incident; 0 = none
    incidents: int = 0  # number of the latest incident
    paused_until: float | None = None
    lease_until: float | None = None
    reason: str = ""  # why we are in this phase, in words
    gentle: bool = False  # the stop in flight may take its time
    planned: bool = False  # the start or restart in flight was asked for: no budget, and no pause holds it back
    cancelled: bool = False  # the action in flight is not wanted any more; its end is awaited
    owed: bool = False  # the hand-over was ordered and is not known to be done
    refusal: str = ""  # why we only observe, as it was told last
    tested: bool = False  # a configuration test that passes is news: it failed before, or the files changed
    changed: bool = False  # the configuration changed after the latest start or test began


# ---- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartAsked:
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class StopAsked:
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class RestartAsked:
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class ReloadAsked:
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class Cleared:
    """An operator says that the machine may try again: budget and hand-over are forgotten."""

    by: str = "operator"


@dataclass(frozen=True, slots=True)
class Paused:
    until: float
    reason: str = ""
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class Resumed:
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class Died:
    """The main process is gone: a hard fact."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Failed:
    """A sensor saw a fault. Hard facts act at once, soft signs need ``failure_threshold`` in a row.

    Soft signs are the probe's alone, since a good answer takes them back; every other sensor makes up its mind itself.
    """

    fault: Fault
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A probe got a good answer after ``took`` seconds."""

    took: float


@dataclass(frozen=True, slots=True)
class Done:
    """Action ``number`` ended; ``fault`` says why it failed, None that it did what it was told."""

    number: int
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Permitted:
    """The clusterware's answer to question ``number``: an empty ``refusal`` lets us act."""

    number: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The cluster asked after the resource: its lease runs anew."""


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """The server's configuration files are not what they were."""


@dataclass(frozen=True, slots=True)
class Found:
    """A look at the machine itself: is the server's own main process there?"""

    running: bool
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The ``Escalate`` of this incident was carried out: it need not be ordered again after an interruption."""

    incident: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed; only the clock reading given to ``step`` counts."""


Event = (
    StartAsked | StopAsked | RestartAsked | ReloadAsked | Cleared | Paused | Resumed | Died | Failed | Answered | Done
    | Permitted | Renewed | ConfigurationChanged | Found | HandedOver | Ticked
)  # fmt: skip


# ---- orders ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """Do this to the server, within ``timeout`` seconds, and answer with ``Done(number)``."""

    action: Action
    number: int
    timeout: float
    gentle: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End action ``number`` as soon as it can be ended; its ``Done`` is still awaited."""

    number: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the clusterware whether we may act; answer with ``Permitted(number)``."""

    number: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Escalate:
    """Restarts cannot help: hand over, once for each ``incident``. ``how`` is the policy's ``on_exhausted``.

    Answer with ``HandedOver(incident)``; interrupted before that, :func:`~cluster_glue.recovery.machine.resume` orders
    it again with the same incident number.
    """

    how: str
    fault: Fault
    incident: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Say it: ``message`` names an entry of the catalogue, ``detail`` is its one sentence."""

    message: str
    detail: str
    incident: int = 0
    fault: Fault | None = None


Order = Run | Cancel | Ask | Escalate | Tell
Step = tuple[State, tuple[Order, ...]]
