"""What a server's log says of itself that matters although it answers: told as a warning, and never acted on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cluster_glue.messages import sanitise
from ocf.faults import Fault
from resource_agents.server import Server


def heard(server: Server, lines: Iterable[str]) -> list[Fault]:
    """The faults that these lines tell of, by the server's signatures that are omens; each cause once."""
    known = [signature for signature in server.signatures if signature.omen]
    found: dict[str, Fault] = {}
    for line in lines:
        for signature in known:
            if re.search(signature.pattern, line):
                reason = f"it answers, but its log tells of {signature.cause}"
                fault = Fault(signature.cause, signature.kind, reason, sanitise(line.strip()), signature.advice)
                found.setdefault(signature.cause, fault)
                break
    return list(found.values())
