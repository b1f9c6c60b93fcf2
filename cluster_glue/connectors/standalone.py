"""No clusterware: nobody to ask, and nobody to hand over to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster_glue.recovery.model import Escalate

if TYPE_CHECKING:
    from cluster_glue.recovery.engine import Watch

#: What ``on_exhausted`` may say on a machine alone.
ESCALATIONS = ("report",)


class Standalone:
    """A machine alone: we may always act, and what restarts cannot mend is reported."""

    async def permission(self, watch: Watch, timeout: float) -> str:  # noqa: ARG002 - the engine's contract
        """Nobody else decides here."""
        return ""

    async def escalate(self, watch: Watch, order: Escalate) -> None:
        """The machine has said it already; there is nobody to tell in another way."""
