"""Outcomes as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence

from cluster_glue.ocf_check.registry import Outcome, Verdict

Paint = Callable[[str, Verdict], str]


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    found = Counter(outcome.verdict for outcome in outcomes)
    return {"ok": found["ok"], "failed": found["failed"], "skipped": found["skipped"]}


def table(outcomes: Sequence[Outcome], width: int, paint: Paint = lambda text, _: text) -> str:
    """Case, verdict, seconds, and what was seen, wrapped to ``width`` columns; a failure is told with its promise."""
    column = max((len(outcome.case) for outcome in outcomes), default=4)
    indent = " " * (column + 19)
    lines = [f"{'case':{column}}  {'verdict':7}  {'s':>6}  what was seen"]
    for outcome in outcomes:
        seen = outcome.seen if outcome.verdict != "failed" else f"{outcome.seen} -- promised: {outcome.promise}"
        wrapped = textwrap.wrap(seen, max(30, width - len(indent)), break_on_hyphens=False) or [""]
        verdict = paint(f"{outcome.verdict:7}", outcome.verdict)
        lines.append(f"{outcome.case:{column}}  {verdict}  {outcome.seconds:6.1f}  {wrapped[0]}")
        lines += [indent + line for line in wrapped[1:]]
    lines.append(", ".join(f"{number} {verdict}" for verdict, number in counts(outcomes).items()))
    return "\n".join(lines)


def as_json(agent: str, outcomes: Sequence[Outcome]) -> str:
    cases = [
        {
            "case": outcome.case,
            "verdict": outcome.verdict,
            "seen": outcome.seen,
            "seconds": round(outcome.seconds, 3),
            "promise": outcome.promise,
        }
        for outcome in outcomes
    ]
    return json.dumps({"agent": agent, "counts": counts(outcomes), "cases": cases}, indent=2)
