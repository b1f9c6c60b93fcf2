"""CLUSTERPRO X (EXPRESSCLUSTER X) for Linux.

Its scripts are ours (:mod:`cluster_glue.connectors.clusterpro_scaffold`): EXEC start and stop, a synchronous genw whose
exit status is our verdict, an optional preaction. While koboshi still repairs, genw says 0; when koboshi gives up, genw
says 1 and CLUSTERPRO's own ladder goes on. Each transition goes to its alert log. A direct ``clpgrp -m`` passes its
counters and suppressions by, so it happens only where the administrator says so; ``clpdown -r`` stops the cluster
service in an orderly way before the machine goes down.

Sources: public scripts and parameter lists of NEC's EXPRESSCLUSTER organisation. Never run on the real product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from cluster_glue.connectors import clusterpro_scaffold
from cluster_glue.connectors.clusterware import Clusterware, Generated, Request, Sketch, Subject
from cluster_glue.messages import Message
from ocf.conditions import CONDITIONS
from ocf.programs import Finished

#: Bytes of one alert; the product takes 511.
LONGEST_ALERT: Final = 480

#: CLUSTERPRO's level by syslog's severity.
LEVELS: Final = {"emerg": "ERR", "alert": "ERR", "crit": "ERR", "error": "ERR", "warning": "WARN"}

#: Why stop.sh runs, where the group leaves this server: what was spent here is forgotten.
LEAVING: Final = frozenset({"GROUPSTOP", "GROUPMOVE", "GROUPFAILOVER", "CLUSTERSHUTDOWN", "SERVERSHUTDOWN"})

#: Why stop.sh runs, where somebody waits for the service on another server.
URGENT: Final = frozenset({"GROUPFAILOVER"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a script has to do. ``status`` is its exit status where it does nothing; ``said`` goes to its log.

    ``urgent``: somebody waits for the service on another server. ``keeps``: it will be started here again, so that the
    restarts that were spent stay spent.
    """

    act: bool
    status: int = 0
    said: str = ""
    urgent: bool = False
    keeps: bool = False


def to_start(env: Mapping[str, str]) -> Plan:
    """What start.sh does, from the ``CLP_*`` variables."""
    event, disk, server = (env.get(f"CLP_{name}", "") for name in ("EVENT", "DISK", "SERVER"))
    if not event:
        return Plan(False, 1, "NO_CLP")
    if disk != "SUCCESS":
        return Plan(False, 1, f"ERROR_DISK from {event}")
    if event == "RECOVER":
        return Plan(False, 0, "RECOVER: this server came back into the cluster; nothing is started")
    known = "" if event in ("START", "FAILOVER") else " (an event unknown to koboshi, taken as START)"
    return Plan(True, 0, f"{event} on {server or 'an unnamed server'}{known}")


def to_stop(env: Mapping[str, str]) -> Plan:
    """What stop.sh does. A disk that cannot be reached is no reason to leave processes behind."""
    event, factor = env.get("CLP_EVENT", ""), env.get("CLP_FACTOR", "")
    if not event:
        return Plan(False, 1, "NO_CLP")
    said = f"stop from {event}: {factor or 'for an unnamed reason'}"
    return Plan(True, 0, said, factor in URGENT, factor not in LEAVING)


def to_recover(env: Mapping[str, str]) -> Plan:
    """What preaction.sh does: a restart on CLUSTERPRO's demand; before its other rungs, nothing."""
    action = env.get("CLP_ACTION", "")
    if not action:
        return Plan(False, 0, "NO_CLP")
    count = {"RECOVERY": "RECOVERYCOUNT", "RESTART": "RESTARTCOUNT", "FAILOVER": "FAILOVERCOUNT"}.get(action, "")
    said = f"{action} {env.get(f'CLP_{count}', '')}".strip()
    return Plan(action == "RECOVERY", 0, said)


class Clusterpro(Clusterware):
    """See the head of the file."""

    name = "clusterpro"
    title = "CLUSTERPRO X"
    escalations = ("report", "failover", "reboot")
    asked: ClassVar[Mapping[str, int]] = {name: int(row.plan != "nothing") for name, row in CONDITIONS.items()}
    waits = True
    places = ("/usr/sbin", "/opt/nec/clusterpro/bin")

    def question(self, subject: Subject) -> tuple[str, ...]:
        """Where does the group run?"""
        return ("clpgrp", "-n", subject.package)

    def authority(self, subject: Subject, answer: Finished) -> str:
        if answer.status is None:
            return f"CLUSTERPRO was not to be asked: {answer.problem}"
        if answer.status:
            said = " ".join(answer.output.split())[:200]
            return f"clpgrp -n {subject.package} failed with {answer.status}: {said or 'it said nothing'}"
        places = {_short(word) for word in answer.output.split()}
        return "" if _short(subject.node) in places else f"group {subject.package} does not run on {subject.node}"

    def told(self, subject: Subject, how: str, reason: str) -> tuple[Request, ...]:  # noqa: ARG002
        if how == "reboot":
            return (Request(("clpdown", "-r"), 60.0, again=False),)
        if how == "failover" and subject.glue.direct_failover:
            return (Request(("clpgrp", "-m", subject.package), 60.0, again=False),)
        return ()

    def announced(self, subject: Subject, message: Message, line: str) -> tuple[Request, ...]:  # noqa: ARG002
        level = LEVELS.get(message.severity, "INFO")
        words = ("clplogcmd", "-m", alert_text(line), "-i", message.id.removeprefix("KOB"), "-l", level)
        return (Request((*words, "--alert", "--syslog"), again=False),)

    def reminder(self, subject: Subject) -> str:
        return f"after the repair, move the group back when it suits: clpgrp -m {subject.package}"

    def scaffold(self, sketch: Sketch) -> tuple[Generated, ...]:
        return clusterpro_scaffold.files(sketch)


def alert_text(line: str) -> str:
    """A line as CLUSTERPRO takes it: ASCII, one line, and short. It never begins like an option."""
    plain = " ".join(line.encode("ascii", "replace").decode("ascii").split())
    plain = "".join(char if char.isprintable() else "?" for char in plain)
    return f"koboshi: {plain}"[:LONGEST_ALERT]


def _short(name: str) -> str:
    return name.split(".")[0].lower()


CONNECTOR = Clusterpro()
