"""From what is the matter to the exit code, with the reason beside each row.

What the codes lead to is Pacemaker's scheduler as it is, not as its table says (``tests/live/test_ocf_conditions.py``
asks ``crm_simulate`` for each row): 1 and 7 restart here, 2, 4 and 5 move away from this node, 6 stops the resource on
every node. So 6 is for values that are wrong in themselves, whatever node reads them, and never for files, programs,
ports or syntax, all of which differ from node to node.
"""

from __future__ import annotations

from dataclasses import dataclass

from ocf.codes import (
    OCF_DEGRADED,
    OCF_ERR_CONFIGURED,
    OCF_ERR_GENERIC,
    OCF_ERR_INSTALLED,
    OCF_ERR_PERM,
    OCF_ERR_UNIMPLEMENTED,
    OCF_NOT_RUNNING,
    OCF_SUCCESS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One row: ``code`` is the answer, ``why`` the reason for it, ``plan`` what the scheduler makes of it.

    Plans are for a recurring monitor, unless ``action`` names another: ``nothing``, ``restart`` (on the same node),
    ``move`` (to another node), ``stop`` (on every node), ``fence`` (the node is reset).
    """

    name: str
    code: int
    plan: str
    why: str
    action: str = "monitor"


_ROWS = (
    Condition("running", OCF_SUCCESS, "nothing", "it answers as it should"),
    Condition("done", OCF_SUCCESS, "nothing", "the action did what it was asked; for stop: nothing is left"),
    Condition("repairing", OCF_SUCCESS, "nothing", "a local repair within its budget is under way; moving costs more"),
    Condition("degraded", OCF_DEGRADED, "nothing", "the same, said openly, for those who asked for it"),
    Condition("stopped", OCF_NOT_RUNNING, "restart", "no process of it lives and nothing listens in its place"),
    Condition("outside-says-no", OCF_NOT_RUNNING, "restart", "an administrator's own check failed; as with the peer"),
    Condition("failed", OCF_ERR_GENERIC, "restart", "it runs and does not serve, or only parts of it run"),
    Condition("exhausted", OCF_ERR_GENERIC, "restart", "restarts are spent; with migration-threshold=1 it moves"),
    Condition("hopeless", OCF_ERR_INSTALLED, "move", "the fault is this machine's: another one may serve"),
    Condition("misconfigured", OCF_ERR_INSTALLED, "move", "files differ from node to node: another one may serve"),
    Condition("missing", OCF_ERR_INSTALLED, "move", "software differs from node to node"),
    Condition("forbidden", OCF_ERR_PERM, "move", "this node does not let us"),
    Condition("wrong-parameter", OCF_ERR_CONFIGURED, "stop", "the value is wrong in itself, on every node"),
    Condition("unimplemented", OCF_ERR_UNIMPLEMENTED, "restart", "no such action; nobody schedules one"),
    Condition("start-failed", OCF_ERR_GENERIC, "move", "a failed start counts as infinitely many", "start"),
    Condition("not-stopped", OCF_ERR_GENERIC, "fence", "what SIGKILL does not end may still write somewhere", "stop"),
)

CONDITIONS = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an action found: the condition, and the one sentence that goes with it (empty: nothing to say)."""

    condition: str
    reason: str = ""

    @property
    def code(self) -> int:
        """The exit code for it."""
        return CONDITIONS[self.condition].code

    @property
    def good(self) -> bool:
        """Whether a cluster has nothing to do about it."""
        return CONDITIONS[self.condition].plan == "nothing"
