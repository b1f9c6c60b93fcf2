"""How full is too full: the numbers by which sockets, descriptors and tables are judged, for each resource.

Shares are percent of a limit that the kernel enforces. A warning is only said. An error is said with what mends it;
only a leak that was at its error for ``leak_hold`` seconds, and that a restart ends, makes one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any


class ThresholdError(ValueError):
    """Thresholds that contradict each other."""


def _number(default: float, unit: str, low: float, doc: str, high: float = math.inf) -> Any:
    return field(default=default, metadata={"doc": doc, "unit": unit, "low": low, "high": high})


def _share(default: float, doc: str) -> Any:
    return _number(default, "%", 1, doc, 100)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of one resource. Raises :class:`ThresholdError` when an error would come before its warning."""

    stall_after: float = _number(
        0.8,
        "s",
        0,
        "time without progress that proves a stall of an idle server in whose queue somebody waits; 0 = never",
    )
    listener_lost_after: float = _number(
        3.0, "s", 0, "time that a listener which was there may be missing before the server is restarted; 0 = never"
    )
    address_lost_after: float = _number(
        1.0, "s", 0, "time that an address it listens on may be missing here before the cluster gets it; 0 = never"
    )
    link_lost_after: float = _number(
        5.0, "s", 0, "time without a carrier on the interface of its address before the cluster gets it; 0 = never"
    )
    queue_warning: float = _share(50, "accept queue in use, of its limit")
    queue_error: float = _share(90, "accept queue in use, of its limit")
    descriptors_warning: float = _share(80, "open files of a process, of its limit")
    descriptors_error: float = _share(95, "open files of a process, of its limit")
    tasks_warning: float = _share(80, "processes and threads, of the limit of the control group or the user")
    tasks_error: float = _share(95, "processes and threads, of the limit of the control group or the user")
    close_wait_warning: int = _number(
        100, "connections", 1, "connections left open although the client closed long ago"
    )
    close_wait_error: int = _number(1000, "connections", 1, "connections left open although the client closed long ago")
    close_wait_age: float = _number(60.0, "s", 0.1, "time in CLOSE_WAIT after which a connection counts as left open")
    half_open_warning: float = _share(50, "half-open connections (SYN_RECV) on a port, of its listener's queue limit")
    half_open_error: float = _share(90, "half-open connections (SYN_RECV) on a port, of its listener's queue limit")
    ports_warning: float = _share(70, "ephemeral ports in use towards one back end, of the port range")
    ports_error: float = _share(90, "ephemeral ports in use towards one back end, of the port range")
    machine_warning: float = _share(
        80, "connection tracking table, system file table, TCP memory, tasks of the machine"
    )
    machine_error: float = _share(95, "connection tracking table, system file table, TCP memory, tasks of the machine")
    certificate_days: float = _number(
        14.0, "days", 0, "days before a certificate that it serves expires; 0 = say it only when it has expired"
    )
    leak_hold: float = _number(60.0, "s", 1, "time that a leak must be at its error before the server is restarted")

    def __post_init__(self) -> None:
        for item in fields(self):
            value, low, high = getattr(self, item.name), item.metadata["low"], item.metadata["high"]
            if not math.isfinite(value):
                raise ThresholdError(f"{item.name} = {value:g} is not a finite number")
            if not low <= value <= high:
                bounds = f"at least {low:g}" + (f" and at most {high:g}" if math.isfinite(high) else "")
                raise ThresholdError(f"{item.name} = {value:g} must be {bounds} {item.metadata['unit']}")
            if item.type == "int" and value != int(value):
                raise ThresholdError(f"{item.name} = {value:g} must be a whole number of {item.metadata['unit']}")
            if item.name.endswith("_error"):
                name = item.name.removesuffix("_error") + "_warning"
                warning = getattr(self, name)
                if warning > value:
                    raise ThresholdError(
                        f"{name} = {warning:g} is above {item.name} = {value:g}: the error would come first"
                    )
