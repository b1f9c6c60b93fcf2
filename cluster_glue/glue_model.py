"""What joins one resource with what is around it: a clusterware, a load balancer. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _setting(default: Any, doc: str, unit: str = "") -> Any:
    return field(default=default, metadata={"doc": doc, "unit": unit})


@dataclass(frozen=True, slots=True)
class Glue:
    """The part of a ``[resource.NAME]`` table that is about neighbours. The words are checked where they are read."""

    connector: str = _setting("", "the clusterware of this resource, where it is not the one of [koboshi]")
    package: str = _setting(
        "",
        "the cluster's name for what holds it (CLUSTERPRO's group, Serviceguard's package); empty: its own name",
    )
    shared_configuration: bool = _setting(
        False, "every node reads the same configuration files, so that a broken one is broken everywhere (Serviceguard)"
    )
    direct_failover: bool = _setting(
        False, "move the group with clpgrp when restarts cannot help, in place of waiting for genw (CLUSTERPRO)"
    )
    generic_resource: str = _setting("", "the generic resource that is set up or down as we know it (Serviceguard)")
    maintenance_flag: str = _setting("", "a file; as long as it exists, nothing is repaired and no watcher ends")
    agent_check: str = _setting("", "ADDRESS:PORT where HAProxy's agent check is answered; empty: nowhere")
    readiness: str = _setting("", "ADDRESS:PORT where readiness is answered over HTTP with 200 or 503; empty: nowhere")
    drain_wait: float = _setting(
        0.0, "time between saying drain to the load balancer and a stop that was asked for", "s"
    )
