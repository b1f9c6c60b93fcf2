"""A fault: one named cause, and who can mend it.

The kind decides what is done about it, everywhere: a restart mends a *resource* fault, nothing on this machine mends a
*host* fault, no restart anywhere mends a *configuration* fault, a *dependency* is somebody else's, and *ours* (a probe
that could not run) proves nothing about the server.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Who can mend a fault."""

    RESOURCE = "resource"
    HOST = "host"
    CONFIGURATION = "configuration"
    DEPENDENCY = "dependency"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, why, and the line that shows it.

    ``cause`` is a stable name (``killed``, ``port-taken``; ``unknown`` when nothing proves a name), ``reason`` one
    sentence for people, ``proof`` the line or number that shows it, ``advice`` what a person can do.
    """

    cause: str
    kind: Kind
    reason: str
    proof: str = ""
    advice: str = ""


def unknown(reason: str, kind: Kind = Kind.RESOURCE) -> Fault:
    """A fault whose cause nothing proves: never guess a name."""
    return Fault("unknown", kind, reason)
