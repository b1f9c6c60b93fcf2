"""The one way a reader of configuration says that it cannot read: file, line, what is wrong."""

from __future__ import annotations

from ocf.faults import Fault, Kind
from resource_agents.layouts import ConfigurationUnreadable


def unreadable(path: str, line: int, problem: str, *, missing: bool = False) -> ConfigurationUnreadable:
    """The exception to raise; ``line`` 0 where there is none, ``missing`` when the file itself is not there."""
    place = f"{path}:{line}" if line else path
    cause = "config-missing" if missing else "config-error"
    return ConfigurationUnreadable(Fault(cause, Kind.CONFIGURATION, f"{place}: {problem}", place))
