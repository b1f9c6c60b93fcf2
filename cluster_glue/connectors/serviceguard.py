"""Serviceguard, on Linux and HP-UX's paths.

There a service is a process, and its end is the failure: so the watcher is the ``service_cmd``, and letting it end is
how a failover is asked for (:attr:`foreground`). The package's script starts, stops and validates; its exit status 1
keeps the package from every node, 2 from this one only, so the diagnosis chooses. No ``cm*`` command is ever run about
our own package: ``cmhaltpkg`` would forbid the failover, and from a script of the package it may hang.

Sources: HP's manuals and manual pages, as named in docs/serviceguard.rst. Never run on the real product.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from cluster_glue.connectors import serviceguard_scaffold
from cluster_glue.connectors.clusterware import Clusterware, Generated, Request, Sketch, Subject
from cluster_glue.glue_model import Glue
from cluster_glue.messages import Message

#: Where Serviceguard says where it is.
CONF: Final = "/etc/cmcluster.conf"

#: Exit statuses of the package's script.
DONE, NOWHERE, ELSEWHERE = 0, 1, 2

#: What each condition means to the package: all is well, no node can run it, another node may.
ASKED: Final = {
    "running": DONE,
    "done": DONE,
    "repairing": DONE,
    "degraded": DONE,
    "stopped": ELSEWHERE,
    "outside-says-no": ELSEWHERE,
    "failed": ELSEWHERE,
    "exhausted": ELSEWHERE,
    "hopeless": ELSEWHERE,
    "misconfigured": ELSEWHERE,
    "missing": ELSEWHERE,
    "forbidden": ELSEWHERE,
    "wrong-parameter": NOWHERE,
    "unimplemented": NOWHERE,
    "start-failed": ELSEWHERE,
    "not-stopped": NOWHERE,
}

#: Messages that turn the generic resource, if one is named.
GENERIC: Final = {
    **dict.fromkeys(("up", "recovered", "adopted", "normal"), "up"),
    **dict.fromkeys(("exhausted", "hopeless", "misconfigured"), "down"),
}

#: Paths where CONF is silent, by the family of the system (its manuals).
LINUX: Final = {"SGCONF": "/usr/local/cmcluster/conf", "SGSBIN": "/usr/local/cmcluster/bin"}
HP_UX: Final = {"SGCONF": "/etc/cmcluster", "SGSBIN": "/usr/sbin"}

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def status_of(condition: str, glue: Glue) -> int:
    """The exit status of start and validate."""
    if condition == "misconfigured" and glue.shared_configuration:
        return NOWHERE
    return ASKED[condition]


def hurried(env: Mapping[str, str]) -> bool:
    """Whether a stop must be short: the package failed, and another node waits for it."""
    return env.get("SG_HALT_REASON", "") == "failure"


def places_in(text: str, family: Mapping[str, str] = LINUX) -> dict[str, str]:
    """The variables of ``/etc/cmcluster.conf``, a shell file: assignments, quotes, comments, earlier variables."""
    found = dict(family)
    for line in text.splitlines():
        match = _ASSIGNMENT.match(line)
        if match is None:
            continue
        for part in line.split(";") if ";" in line else [line]:
            if (single := _ASSIGNMENT.match(part)) is not None:
                found[single[1]] = _value(single[2], found)
    return found


def _value(text: str, known: Mapping[str, str]) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return ""
    value = words[0] if words else ""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: known.get(match[1] or match[2], ""), value)


class Serviceguard(Clusterware):
    """See the head of the file."""

    name = "serviceguard"
    title = "Serviceguard"
    escalations = ("report", "failover")
    asked = ASKED
    places = ("/usr/local/cmcluster/bin", "/opt/cmcluster/bin")

    def announced(self, subject: Subject, message: Message, line: str) -> tuple[Request, ...]:  # noqa: ARG002
        """The generic resource of the administrator's, set when our verdict changes."""
        state = GENERIC.get(message.name)
        if not subject.glue.generic_resource or state is None:
            return ()
        return (Request(("cmsetresource", "-r", subject.glue.generic_resource, "-s", state)),)

    def reminder(self, subject: Subject) -> str:
        package, node = subject.package, subject.node or "NODE"
        return (
            f"node {node} is barred for package {package} then; after the repair: cmmodpkg -e -n {node} {package},"
            f" and cmmodpkg -e {package} if switching is off"
        )

    def scaffold(self, sketch: Sketch) -> tuple[Generated, ...]:
        conf = places_in(sketch.options.get("cmcluster.conf", ""))
        return serviceguard_scaffold.files(sketch, conf)


CONNECTOR = Serviceguard()
