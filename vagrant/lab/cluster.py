"""What Pacemaker itself says and has recorded: ``crm_mon``'s XML, fail counts, and each node's own log."""

from __future__ import annotations

import calendar
import re
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from vagrant.lab.machines import Lab, LabError

#: What is written after each action (pacemaker-controld, log_executor_event).
_RESULT = re.compile(
    r"^(\w{3} +\d+ [\d:.]+) (\S+) +pacemaker-controld.*Result of (\w+) operation for (\S+) on (\S+): (.*?) \|.*rc=(\d+)"
)
#: What the scheduler means to do (pacemaker-schedulerd, log_action).
_PLAN = re.compile(r"^(\w{3} +\d+ [\d:.]+) (\S+) +pacemaker-schedulerd.*notice: (?:Actions: )?\* (.*)$")
_FENCED = re.compile(r"^(\w{3} +\d+ [\d:.]+) (\S+) +pacemaker-\w+.*notice: Operation '(\w+)' targeting (\S+) by")


@dataclass(frozen=True, slots=True)
class Operation:
    """One finished action, from its node's own log. ``at`` is seconds of the epoch."""

    at: float
    node: str
    resource: str
    task: str
    code: int
    words: str


def moment(stamp: str, utc: bool = False) -> float:
    """Seconds of the epoch for a time in Pacemaker's log, which names neither year nor zone."""
    year = time.localtime().tm_year
    head, _, fraction = stamp.partition(".")
    whole = time.strptime(f"{year} {head}", "%Y %b %d %H:%M:%S")
    return (calendar.timegm(whole) if utc else time.mktime(whole)) + float(f"0.{fraction or 0}")


class Cluster:
    """The cluster of ``lab``, asked on the first node that answers."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def status(self) -> ElementTree.Element:
        """``crm_mon``'s XML with all there is. Raises :class:`LabError` when no node answers."""
        for node in self._lab.nodes:
            try:
                answer = self._lab.run(node, ["crm_mon", "-1", "--output-as=xml", "--include=all"], 10)
            except LabError:
                continue
            if answer.returncode == 0 and "<nodes>" in answer.stdout:
                return ElementTree.fromstring(answer.stdout[answer.stdout.index("<pacemaker-result") :])
        raise LabError("no node's crm_mon answers")

    def online(self) -> list[str]:
        """The nodes that the cluster counts on; none where nobody could be asked."""
        try:
            return self.counted()
        except LabError:
            return []

    def counted(self) -> list[str]:
        """The nodes that the cluster counts on. Raises :class:`LabError` when no node answers."""
        return [
            node.get("name", "")
            for node in self.status().iterfind("./nodes/node")
            if (node.get("online"), node.get("pending"), node.get("unclean")) == ("true", "false", "false")
        ]

    def where(self, resource: str) -> list[str]:
        """The nodes on which Pacemaker believes it to run."""
        for found in self.status().iter("resource"):
            if found.get("id") == resource and found.get("active") == "true":
                return [node.get("name", "") for node in found.iter("node")]
        return []

    def fail_count(self, resource: str, node: str) -> int:
        """Failures that Pacemaker counted; INFINITY is 1000000."""
        for history in self.status().iterfind(f"./node_history/node[@name='{node}']/resource_history"):
            if history.get("id") == resource:
                return int(history.get("fail-count", "0").replace("INFINITY", "1000000"))
        return 0

    def recorded(self, resource: str, node: str) -> list[str]:
        """The operations in Pacemaker's history: ``task rc_text``."""
        path = f"./node_history/node[@name='{node}']/resource_history[@id='{resource}']/operation_history"
        return [f"{found.get('task')} {found.get('rc_text')}" for found in self.status().iterfind(path)]

    def operations(self, since: float, tasks: tuple[str, ...] = ("start", "stop")) -> list[Operation]:
        """What the nodes' executors did since then, oldest first; also of nodes that are off now."""
        found = []
        for node in self._lab.nodes:
            for line in self.log(node):
                match = _RESULT.match(line)
                if match and match[3] in tasks and (at := moment(match[1], self._lab.utc)) >= since - 0.01:
                    found.append(Operation(at, match[5], match[4], match[3], int(match[7]), match[6]))
        return sorted(found, key=lambda each: each.at)

    def decisions(self, since: float) -> list[tuple[float, str, str]]:
        """What the scheduler planned and whom it fenced: when, said by which node, in its own words."""
        found = []
        for node in self._lab.nodes:
            for line in self.log(node):
                match = _PLAN.match(line)
                words = " ".join(match[3].split()) if match else ""
                if not match and (match := _FENCED.match(line)):
                    words = f"fencing: {match[3]} of {match[4]}"
                if match and (at := moment(match[1], self._lab.utc)) >= since:
                    found.append((at, node, words))
        return sorted(found)

    def log(self, node: str) -> list[str]:
        """Pacemaker's log of a node, whether it is on or off."""
        return self._lab.read(node, "/var/log/pacemaker/pacemaker.log").splitlines()
