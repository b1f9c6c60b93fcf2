"""The administrator's flag file on a machine alone, where no clusterware is asked before a repair: it is a pause.

Pure but for the question whether the file exists.
"""

from __future__ import annotations

import os

from cluster_glue.recovery.model import Paused, Resumed, State

#: Until when (seconds since boot) a pause lasts that ends with its flag file: not in this machine's life.
FLAGGED = 1e10

#: Seconds before the end of an operator's own pause in which the flag takes its place.
ENDING = 1.0


def heed(flag: str, state: State, now: float) -> Paused | Resumed | None:
    """What ``flag`` (empty: none is configured any more) changes; None: nothing."""
    there, until = bool(flag) and os.path.exists(flag), state.paused_until
    if there and (until is None or until <= now + ENDING):
        return Paused(FLAGGED, f"{flag} exists", "maintenance_flag")
    if not there and until == FLAGGED:
        return Resumed("maintenance_flag")
    return None
