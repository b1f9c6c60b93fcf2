"""No clusterware: nobody to ask, and nobody to hand over to but, where the administrator says so, a reboot.

The reboot and its guards are in :mod:`cluster_glue.connectors.reboot`.
"""

from __future__ import annotations

from cluster_glue.connectors.clusterware import Clusterware


class Standalone(Clusterware):
    """A machine alone: we may always act, and what restarts cannot mend is reported, or ends in a guarded reboot."""

    name = "standalone"
    title = "a machine alone"
    escalations = ("report", "reboot")


CONNECTOR = Standalone()
