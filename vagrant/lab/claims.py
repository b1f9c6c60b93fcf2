"""What a scenario may claim: each claim is a sentence, and gives the reason why it is not true (empty: it is).

=====================================================  =============================================================
``SERVICE answers from NODE``                          the client's latest answers are good and that node's
``SERVICE answers``                                    from whichever node
``SERVICE is down``                                    the client's latest answers are bad
``SERVICE was bad for at most TIME``                   all that the client missed since the mark, put together
``SERVICE moved [at most] N times``                    changes of the answering node since the mark
``SERVICE was never answered by NODE``                 since the mark
``Pacemaker runs RESOURCE on NODE|nowhere``            its own view
``Pacemaker counts N failures of RESOURCE on NODE``    its fail count (``some``: at least one)
``Pacemaker recorded TASK RESULT of RESOURCE on NODE`` its operation history, as crm_mon shows it
``Pacemaker did N TASKs of RESOURCE on NODE``          starts or stops since the mark, from the executor's own log
``Pacemaker did nothing to RESOURCE``                  neither start nor stop anywhere since the mark
``Pacemaker fenced NODE N times``                      since the mark
``Pacemaker fenced NODE before RESOURCE ran on NODE``  since the mark, as the node that it moved to tells it
``NODE is online|offline|on|off``                      for the cluster, or for the power switch
``koboshi said MESSAGE N times on NODE``               entries of its journal since the mark (``never``, ``some``)
``NODE: COMMAND``                                      a shell command ends with 0
=====================================================  =============================================================
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable

from vagrant.lab.answers import ROW, SERVICES, Client, moves, outage
from vagrant.lab.bringing_up import HOME, until
from vagrant.lab.cluster import Cluster
from vagrant.lab.machines import Lab, LabError, environment

#: Prints koboshi's journal since ``argv[1]`` as JSON; run in a node.
_JOURNAL = """
import json, os, sqlite3, sys
path, entries = "/var/lib/koboshi/journal.sqlite", []
if os.path.exists(path):
    journal = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    words = "select at, resource, message, detail from entry where at >= ? order by id"
    entries = journal.execute(words, (float(sys.argv[1]),)).fetchall()
print(json.dumps(entries))
"""
#: The name of a command that a scenario began, by which clear.sh knows it.
_BEGUN = "lab.begun"


class View:
    """All that claims are about: the lab, what the client saw, what Pacemaker says, from the mark on."""

    def __init__(self, lab: Lab, client: Client) -> None:
        self.lab, self.client, self.cluster = lab, client, Cluster(lab)
        self.since = time.time()
        self._begun: list[subprocess.Popen[bytes]] = []

    def mark(self) -> None:
        """The past begins here."""
        self.since = time.time()

    def ready(self) -> None:
        """The past begins now, and the client has seen that all is well."""
        self.mark()

        def at_home() -> bool:
            return not any(_answers(self, service, HOME) for service in SERVICES)

        until(at_home, 30 * self.lab.pace, f"answers of {' and '.join(SERVICES)} from {HOME}")

    def begin(self, node: str, command: str) -> None:
        """Start a command and go on."""
        words = [*self.lab.entry(node), "/bin/sh", "-c", command, _BEGUN]
        null = subprocess.DEVNULL
        self._begun.append(subprocess.Popen(words, stdin=null, stdout=null, stderr=null, env=environment(), cwd="/"))

    def end(self) -> None:
        """End what was begun."""
        for process in self._begun:
            process.terminate()
            process.wait(10)

    def journal(self, node: str) -> list[tuple[float, str, str, str]]:
        """What koboshi said since the mark: when, about which resource, which message, in what words.

        Raises :class:`LabError` when it cannot be read, which must not be taken for silence.
        """
        done = self.lab.run(node, [self.lab.python, "-I", "-S", "-c", _JOURNAL, str(self.since)], 20)
        if done.returncode:
            last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
            raise LabError(f"koboshi's journal on {node} could not be read: {last}")
        return [tuple(entry) for entry in json.loads(done.stdout)]


#: Why it is not true; empty when it is.
Claim = Callable[[View], str]
_READERS: list[tuple[re.Pattern[str], Callable[..., str]]] = []


def _claim(pattern: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    def enter(reader: Callable[..., str]) -> Callable[..., str]:
        _READERS.append((re.compile(pattern), reader))
        return reader

    return enter


def read(words: str) -> Claim:
    """The claim that a sentence makes. Raises ``ValueError`` when there is none such."""
    for pattern, reader in _READERS:
        match = pattern.fullmatch(words)
        if match:
            return lambda view: _true(reader, view, *match.groups())
    raise ValueError(f"nothing claims {words!r}; vagrant/lab/claims.py lists what can be claimed")


def _true(reader: Callable[..., str], view: View, *words: str) -> str:
    try:
        return reader(view, *words)
    except LabError as error:  # a node that cannot be asked proves nothing
        return str(error)


# ---- the client's view -----------------------------------------------------------------------------------------------


@_claim(r"(\w+) answers from (node\d+)")
def _answers(view: View, service: str, node: str) -> str:
    latest = view.client.answers(service, view.since)[-ROW:]
    if len(latest) == ROW and all(each.good and each.who == node for each in latest):
        return ""
    return "the latest answers: " + (
        ", ".join(f"{'' if each.good else 'bad: '}{each.who}" for each in latest) or "none"
    )


@_claim(r"(\w+) answers")
def _serves(view: View, service: str) -> str:
    latest = view.client.answers(service, view.since)[-ROW:]
    return "" if len(latest) == ROW and all(each.good for each in latest) else "it does not"


@_claim(r"(\w+) is down")
def _down(view: View, service: str) -> str:
    latest = view.client.answers(service, view.since)[-ROW:]
    return "" if latest and not any(each.good for each in latest) else "it answers"


@_claim(r"(\w+) was bad for at most (\d+(?:\.\d+)?)s")
def _bad(view: View, service: str, most: str) -> str:
    total = outage(view.client.answers(service, view.since))
    return "" if total <= float(most) * view.lab.pace else f"the client missed it for {total:.2f} s"


@_claim(r"(\w+) moved (at most )?(\d+) times?")
def _moved(view: View, service: str, most: str | None, times: str) -> str:
    nodes = moves(view.client.answers(service, view.since))
    moved, wanted = len(nodes) - 1, int(times)
    right = 0 <= moved <= wanted if most else moved == wanted
    return "" if right else f"it was answered by {', then '.join(nodes) or 'nobody'}"


@_claim(r"(\w+) was never answered by (node\d+)")
def _never(view: View, service: str, node: str) -> str:
    return f"{node} answered" if node in moves(view.client.answers(service, view.since)) else ""


# ---- Pacemaker's view ------------------------------------------------------------------------------------------------


@_claim(r"Pacemaker runs (\S+) on (node\d+)|Pacemaker runs (\S+) nowhere")
def _runs(view: View, resource: str | None, node: str | None, nowhere: str | None) -> str:
    where = view.cluster.where(resource or nowhere or "")
    return "" if where == ([node] if node else []) else f"it runs {' and '.join(where) or 'nowhere'}"


@_claim(r"Pacemaker counts (\d+|some|no) failures? of (\S+) on (node\d+)")
def _counts(view: View, wanted: str, resource: str, node: str) -> str:
    found = view.cluster.fail_count(resource, node)
    return _number(wanted, found, "failures")


@_claim(r"Pacemaker recorded (\w+) '(.+)' of (\S+) on (node\d+)")
def _recorded(view: View, task: str, result: str, resource: str, node: str) -> str:
    found = view.cluster.recorded(resource, node)
    said = {each.casefold() for each in found}  # Pacemaker 3 says OK, 2 said ok
    return "" if f"{task} {result}".casefold() in said else f"its history: {', '.join(found) or 'empty'}"


@_claim(r"Pacemaker did (\d+|some|no) (start|stop)s? of (\S+) on (node\d+)")
def _did(view: View, wanted: str, task: str, resource: str, node: str) -> str:
    done = [each for each in view.cluster.operations(view.since) if (each.resource, each.node) == (resource, node)]
    return _number(wanted, sum(1 for each in done if each.task == task), f"{task}s")


@_claim(r"Pacemaker did nothing to (\S+)")
def _nothing(view: View, resource: str) -> str:
    done = [each for each in view.cluster.operations(view.since) if each.resource == resource]
    return "; ".join(f"{each.task} on {each.node}: {each.words}" for each in done)


@_claim(r"Pacemaker fenced (node\d+) (\d+) times?")
def _fenced(view: View, node: str, times: str) -> str:
    found = max(Counter(teller for _, teller in _fencings(view, node)).values(), default=0)
    return "" if found == int(times) else f"it was fenced {found} times"


@_claim(r"Pacemaker fenced (node\d+) before (\S+) ran on (node\d+)")
def _fenced_before(view: View, fenced: str, resource: str, node: str) -> str:
    fencings = [at for at, teller in _fencings(view, fenced) if teller == node]
    ran = [each for each in view.cluster.operations(view.since, ("start",)) if each.node == node]
    starts = [each.at for each in ran if each.resource == resource and not each.code]
    if not fencings or not starts:
        return f"{node} tells of {len(fencings)} fencings and {len(starts)} starts"
    return "" if fencings[0] < starts[0] else f"it ran {fencings[0] - starts[0]:.1f} s before"


def _fencings(view: View, node: str) -> list[tuple[float, str]]:
    """When it was fenced, said by which node: each that lives tells of each."""
    words = {f"fencing: {action} of {node}" for action in ("reboot", "off")}
    return [(at, teller) for at, teller, said in view.cluster.decisions(view.since) if said in words]


@_claim(r"(node\d+) is (online|offline|on|off)")
def _is(view: View, node: str, state: str) -> str:
    if state in ("on", "off"):
        return "" if view.lab.ask(f"status {node}") == state else f"it is not {state}"
    online = view.cluster.counted()
    return "" if (node in online) == (state == "online") else f"online are {' and '.join(online) or 'none'}"


# ---- the nodes' view -------------------------------------------------------------------------------------------------


@_claim(r"koboshi said (\S+) (\d+ times?|some times|never) on (node\d+)")
def _said(view: View, message: str, times: str, node: str) -> str:
    said = [(resource, detail) for _, resource, name, detail in view.journal(node) if name == message]
    problem = _number(times.split()[0].replace("never", "no"), len(said), "times")
    return problem and f"{problem}: {said}"


@_claim(r"(node\d+): (.+)")
def _command(view: View, node: str, command: str) -> str:
    done = view.lab.run(node, command, 30)
    return "" if done.returncode == 0 else f"it ended with {done.returncode}: {done.stdout.strip()}"


def _number(wanted: str, found: int, what: str) -> str:
    right = found > 0 if wanted == "some" else found == (0 if wanted == "no" else int(wanted))
    return "" if right else f"{found} {what}"
