"""The state diagram, drawn by walking ``step``: nothing in it is written by hand.

``python -m cluster_glue.recovery.diagram`` prints ``docs/recovery_machine.rst``; with ``dot`` as argument, the same as
a graph for Graphviz. The walk begins with a resource that nobody said anything about, lets each of :data:`HAPPENINGS`
happen to it, and goes on breadth first from each new kind of state.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

from cluster_glue.recovery.machine import next_deadline, step
from cluster_glue.recovery.model import (
    IN_FLIGHT,
    Answered,
    Ask,
    Cancel,
    Cleared,
    ConfigurationChanged,
    Died,
    Done,
    Escalate,
    Event,
    Failed,
    Found,
    Order,
    Paused,
    Permitted,
    Phase,
    ReloadAsked,
    RestartAsked,
    Resumed,
    Run,
    StartAsked,
    State,
    StopAsked,
    Ticked,
)
from cluster_glue.recovery.policy import Policy
from ocf.faults import Fault, Kind

_DEAD = Fault("killed", Kind.RESOURCE, "killed")
_BROKEN = Fault("broken", Kind.CONFIGURATION, "broken configuration")
_DISK = Fault("disk", Kind.HOST, "disk")

#: What each phase means, in one line for people.
MEANING = {
    Phase.IDLE: "nothing runs that we know of, nothing is in flight",
    Phase.STARTING: "a start is in flight",
    Phase.UP: "it serves",
    Phase.CHECKING: "a configuration test is in flight, before a planned restart or a new try",
    Phase.ASKING: "the clusterware is being asked whether we may act",
    Phase.CLEARING: "a stop is in flight, on the way to a new start",
    Phase.WAITING: "faulty, until the next try is due",
    Phase.OBSERVING: "faulty, and not ours to repair now",
    Phase.MISCONFIGURED: "down until its configuration is mended",
    Phase.BLOCKED: "down until what stands in its way is gone",
    Phase.STOPPING: "a stop is in flight, as asked",
    Phase.RELOADING: "a reload is in flight",
    Phase.FAILED: "given up or handed over; silent until somebody clears, starts or stops it",
}

#: On a machine alone, and under a cluster that is asked first; short, so that the walk is.
_POLICIES = (Policy(restart_limit=2, failure_threshold=1), Policy(lease=1e6, restart_limit=2, failure_threshold=1))

#: What may happen, in words: an event, or how to make it of the state, None where it cannot happen.
HAPPENINGS: dict[str, Event | Callable[[State], Event | None]] = {
    "start asked": StartAsked(),
    "stop asked": StopAsked(),
    "restart asked": RestartAsked(),
    "reload asked": ReloadAsked(),
    "cleared": Cleared(),
    "paused": lambda state: Paused(state.since + 1e5) if state.lease_until and state.paused_until is None else None,
    "resumed": lambda state: Resumed() if state.paused_until is not None else None,
    "died": Died(_DEAD),
    "failed": Failed(_DEAD, hard=True),
    "failed by the host": Failed(_DISK, hard=True),
    "answered": Answered(0.1),
    "found running": Found(True),
    "found gone": Found(False),
    "configuration changed": ConfigurationChanged(),
    "done": lambda state: Done(state.action) if state.phase in IN_FLIGHT else None,
    "done but failed": lambda state: Done(state.action, _DEAD) if state.phase in IN_FLIGHT else None,
    "done but misconfigured": lambda state: Done(state.action, _BROKEN) if state.phase in IN_FLIGHT else None,
    "done but blocked": lambda state: Done(state.action, _DISK) if state.phase in IN_FLIGHT else None,
    "permitted": lambda state: Permitted(state.action) if state.phase is Phase.ASKING else None,
    "refused": lambda state: Permitted(state.action, "not managed") if state.phase is Phase.ASKING else None,
    "deadline": lambda state: Ticked() if state.deadline is not None else None,
}

#: An edge: from, by what happened, to, with these orders.
Edge = tuple[Phase, str, Phase, str]


@cache
def walk() -> tuple[Edge, ...]:
    """All edges that can be reached, in the order of phases and happenings."""
    edges = {edge for policy in _POLICIES for edge in _walk(policy)}
    phases, happenings = list(Phase), list(HAPPENINGS)
    return tuple(sorted(edges, key=lambda e: (phases.index(e[0]), happenings.index(e[1]), phases.index(e[2]), e[3])))


def _walk(policy: Policy) -> set[Edge]:
    first = State()
    known, edges, ahead = {_kind_of(first)}, set(), deque([first])
    while ahead:
        state = ahead.popleft()
        for words, make in HAPPENINGS.items():
            event = make(state) if callable(make) else make
            if event is None:
                continue
            now = max(next_deadline(state) or 0.0, state.since) if isinstance(event, Ticked) else state.since
            after, orders = step(state, event, now, policy)
            acts = _acts(orders)
            if after.phase is not state.phase or acts:
                edges.add((state.phase, words, after.phase, acts))
            if _kind_of(after) not in known:
                known.add(_kind_of(after))
                ahead.append(after)
    return edges


def _kind_of(state: State) -> State:
    """What decides how a state goes on: all of it but times, numbers and words."""
    return replace(
        state,
        since=0.0,
        deadline=None if state.deadline is None else 0.0,
        action=0,
        restarts=(0.0,) * len(state.restarts),
        incident=min(state.incident, 1),
        incidents=0,
        paused_until=None if state.paused_until is None else 0.0,
        lease_until=None if state.lease_until is None else 0.0,
        tries=min(state.tries, 1),
        reason="",
        refusal="",
        slow=False,
        gentle=False,
        fault=None if state.fault is None else Fault("", state.fault.kind, ""),
    )


def _acts(orders: Iterable[Order]) -> str:
    words = []
    for order in orders:
        match order:
            case Run():
                words.append(order.action.value)
            case Cancel():
                words.append("cancel")
            case Ask():
                words.append("ask")
            case Escalate():
                words.append("escalate")
    return ", ".join(words)


def _merged(edges: Iterable[Edge]) -> dict[tuple[Phase, str, Phase], list[str]]:
    """What happened, for each phase, orders and next phase."""
    merged: dict[tuple[Phase, str, Phase], list[str]] = {}
    for begin, words, end, acts in edges:
        merged.setdefault((begin, acts, end), []).append(words)
    return merged


def dot(edges: Iterable[Edge]) -> str:
    """The graph in Graphviz' language. The stops that may be asked for anywhere are left out."""
    lines = ["digraph recovery {", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    lines += [f'  {phase.value} [tooltip="{MEANING[phase]}"];' for phase in Phase]
    usual = [edge for edge in edges if edge[1] != "stop asked" and edge[0] is not edge[2]]
    for (begin, acts, end), happened in _merged(usual).items():
        label = "\\n".join(happened) + (f"\\n/ {acts}" if acts else "")
        lines.append(f'  {begin.value} -> {end.value} [label="{label}"];')
    return "\n".join([*lines, "}", ""])


def page(edges: Iterable[Edge]) -> str:
    """``docs/recovery_machine.rst``."""
    lines = [
        ".. Generated by ``python -m cluster_glue.recovery.diagram``; edit cluster_glue/recovery/ instead.",
        "",
        "The recovery machine",
        "====================",
        "",
        "Each resource is in one of these phases; ``koboshi status`` shows which, and why. The tables are drawn by",
        "walking the machine from its first state on and letting everything happen to it that can happen: what they do",
        "not show does not occur. What changes neither the phase nor leads to an order is left out.",
        "",
        *_table(("phase", "what it means", "may be followed by"), [_row(edges, phase) for phase in Phase]),
        "",
        "In the tables below *order* is what the machine has done: an action on the server (``start``, ``stop``,",
        "``check`` its configuration, ``reload``), ``cancel`` the action in flight, ``ask`` the clusterware whether it",
        "may act, ``escalate``. Where the same happening is listed twice, the machine knows more than its phase: which",
        "fault it is, what is wanted, what is left of the budget, whether it is paused or leased. On a machine alone",
        "nobody is asked. *Deadline* is the time that the phase may take at most.",
    ]
    for phase in Phase:
        rows = [
            (", ".join(happened), acts or "—", "stays" if end is phase else end.value)
            for (begin, acts, end), happened in _merged(edges).items()
            if begin is phase
        ]
        lines += ["", phase.value, "-" * len(phase.value), "", *_table(("happens", "order", "next"), rows)]
    return "\n".join([*lines, ""])


def _row(edges: Iterable[Edge], phase: Phase) -> tuple[str, str, str]:
    follows = {end for begin, _, end, _ in edges if begin is phase and end is not phase}
    return f"**{phase.value}**", MEANING[phase], ", ".join(end.value for end in Phase if end in follows)


def _table(head: tuple[str, str, str], rows: Iterable[tuple[str, str, str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for first, *others in (head, *rows):
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
    return lines


def main(arguments: list[str]) -> int:
    """Print the page, or the graph. Returns the exit status."""
    if arguments not in ([], ["dot"]):
        sys.stderr.write("usage: python -m cluster_glue.recovery.diagram [dot]\n")
        return 2
    sys.stdout.write(dot(walk()) if arguments else page(walk()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
