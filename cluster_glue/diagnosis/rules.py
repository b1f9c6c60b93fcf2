"""Evidence in, at most one named cause out. No proof, no name: then what was seen stands as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from cluster_glue.diagnosis.causes import STRONG
from cluster_glue.diagnosis.evidence import DIED, START_FAILED, Evidence
from cluster_glue.diagnosis.hints import LAST, WEAK
from cluster_glue.diagnosis.rule import Rule
from cluster_glue.messages import sanitise
from ocf.faults import Fault, Kind
from resource_agents.server import Server

#: Words of a server that only say that it has much to do.
LOADED: Final = frozenset({"worker-limit-reached", "scoreboard-full", "thread-pool-rejecting"})

#: Words of a server that tell of its load or its children, and never why its main process ended.
HARMLESS: Final = LOADED | frozenset(
    {
        *("child-crash-loop", "hung-child-at-stop", "child-kill-storm"),
        *("threads-stuck", "child-fatal", "stop-port-dead", "worker-died"),
    }
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the evidence is about: pids of the main process and of its family, and its ports."""

    main: int = 0
    family: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()


def name(evidence: Evidence, seen: Fault, server: Server | None, subject: Subject) -> Fault:
    """The fault with the cause that the evidence proves; ``seen`` as it is when nothing proves a name."""
    for rule in STRONG:
        if (fault := prove(rule, evidence, subject)) is not None:
            return fault
    said = _said(evidence, seen, server) if server is not None else None
    if said is not None and said.cause not in LOADED:
        return said
    for rule in WEAK:
        if (fault := prove(rule, evidence, subject)) is not None:
            return fault
    if said is not None:
        return said
    return next((fault for rule in LAST if (fault := prove(rule, evidence, subject)) is not None), seen)


def prove(rule: Rule, evidence: Evidence, subject: Subject) -> Fault | None:
    """The fault that one rule proves; None when it does not."""
    if evidence.moment not in rule.moments:
        return None
    known = {
        "main": str(subject.main or "0"),
        "family": _any_of((subject.main, *subject.family)),
        "ports": _any_of(subject.ports),
    }
    line, groups = _search(evidence.lines(rule.proof[0]), rule.proof[1], known)
    if line is None:
        return None
    for item, pattern in rule.also:
        more, found = _search(evidence.lines(item), pattern, {**known, **groups})
        if more is None:
            return None
        groups = {**groups, **found}
    words = {name: value or "?" for name, value in groups.items()}
    reason = re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], "?"), rule.reason)
    return Fault(rule.cause, rule.kind, sanitise(reason), sanitise(line), rule.advice)


def _said(evidence: Evidence, seen: Fault, server: Server) -> Fault | None:
    """What the server's own words name, as far as they can explain this moment."""
    if evidence.moment == DIED and any(re.search(r"^exit status -(9|15) ", line) for line in evidence.lines("exit")):
        return None
    reason = seen.reason.removesuffix(f": {seen.cause}")  # of an earlier look at the same words
    for item in ("output", "log"):
        lines: Iterable[str] = evidence.lines(item)
        fault = server.explain(lines, reason)
        if fault is not None and not _explains(fault, evidence):
            lines = [line for line in lines if (one := server.explain([line], "")) is None or _explains(one, evidence)]
            fault = server.explain(lines, reason)
        if fault is not None and _explains(fault, evidence):
            return replace(fault, reason=sanitise(fault.reason))
    return None


def _explains(fault: Fault, evidence: Evidence) -> bool:
    """A dependency explains only an answer that blames a gateway, a configuration nothing that runs on."""
    match evidence.moment:
        case "stalled" if fault.kind is Kind.DEPENDENCY:
            return any(re.search(r"status 50[234]$", line) for line in evidence.lines("probe"))
        case "stalled":
            return fault.kind is not Kind.CONFIGURATION
        case "died":
            return fault.kind is not Kind.DEPENDENCY and fault.cause not in HARMLESS
    return evidence.moment == START_FAILED


def _search(lines: Iterable[str], pattern: str, known: dict[str, str]) -> tuple[str | None, dict[str, str]]:
    """The first line with the pattern, and its groups; braces with a known name are filled in first."""
    for key, value in known.items():
        filled = value if key in ("family", "ports") else re.escape(value or "")
        pattern = pattern.replace("{" + key + "}", filled)
    compiled = re.compile(pattern)
    for line in lines:
        if (match := compiled.search(line)) is not None:
            return line, match.groupdict()
    return None, {}


def _any_of(numbers: Iterable[int]) -> str:
    return "(?:" + "|".join(str(number) for number in numbers if number) + ")" if any(numbers) else "(?:0)"
