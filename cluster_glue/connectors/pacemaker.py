"""Pacemaker.

Asked, it takes OCF's codes. Told, it gets a transient node attribute that a location rule turns into "not here": the
quickest way there is, idempotent, without a fail count or a constraint to clear, and gone when the node restarts. The
next monitor's exit code says the same, so nothing depends on it. The other push, ``crm_resource --fail``, needs no
rule, but must be said only once, of a resource that is still here: it is not repeated.

An instance of a clone is called ``NAME:NUMBER``. A rule cannot speak of one instance, so that the attribute is NAME's:
it keeps the whole clone from this node.
"""

from __future__ import annotations

import re
from typing import Final

from cluster_glue.connectors import crm_mon, pacemaker_scaffold
from cluster_glue.connectors.clusterware import Clusterware, Generated, Request, Sketch, Subject
from ocf.programs import Finished

#: Sections that decide; without the rest the answer of a large cluster is short.
STATUS: Final = ("crm_mon", "--output-as=xml", "--exclude=all", "--include=summary,options,nodes,resources")


def attribute_of(resource: str) -> str:
    """The node attribute of a resource; what could not stand in one is written as its code point."""
    plain = re.sub(r"[^A-Za-z0-9._-]", lambda match: f".x{ord(match[0]):x}.", crm_mon.without_number(resource))
    return f"koboshi-{plain}"


class Pacemaker(Clusterware):
    """See the head of the file."""

    name = "pacemaker"
    title = "Pacemaker"
    escalations = ("report", "failover")

    def identify(self) -> tuple[str, ...]:
        return ("crm_node", "-n")

    def question(self, subject: Subject) -> tuple[str, ...]:
        return (*STATUS, f"--resource={subject.there}")

    def authority(self, subject: Subject, answer: Finished) -> str:
        if answer.status is None:
            return f"Pacemaker was not to be asked: {answer.problem}"
        try:
            return crm_mon.refusal(answer.output, subject.there, subject.node)
        except crm_mon.Nonsense as nonsense:
            return f"crm_mon's answer (exit status {answer.status}) is of no use: {nonsense}"

    def told(self, subject: Subject, how: str, reason: str) -> tuple[Request, ...]:  # noqa: ARG002
        match subject.settings.push if how == "failover" else "none":
            case "attribute":
                return (Request(("attrd_updater", "-n", attribute_of(subject.there), "-U", "0", "-d", "0")),)
            case "fail":
                words = ("crm_resource", "--fail", "--resource", subject.there, "--node", subject.node)
                return (Request(words, again=False),)
        return ()

    def withdrawn(self, subject: Subject, by_operator: bool) -> tuple[Request, ...]:
        """A start by the cluster needs no cleanup: the operator's own led to it."""
        requests = [Request(("attrd_updater", "-n", attribute_of(subject.there), "-D"))]
        if by_operator:
            words = ("crm_resource", "--cleanup", "--resource", subject.there, "--node", subject.node)
            requests.append(Request(words, 30.0))
        return tuple(requests)

    def reminder(self, subject: Subject) -> str:
        return f"after the repair: koboshi clear {subject.resource}, on this node"

    def scaffold(self, sketch: Sketch) -> tuple[Generated, ...]:
        return pacemaker_scaffold.files(sketch, attribute_of(sketch.resource.name))


CONNECTOR = Pacemaker()
