"""What a cluster manager hands to an agent: the action, the parameters, the time there is.

Source: OCF resource agent API 1.1, and Pacemaker's own habits: the timeout comes in milliseconds, an interval of 0 or
none means a probe, ``OCF_CHECK_LEVEL`` comes without the parameters' prefix, ``__OCF_ACTION`` does not come at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "OCF_RESKEY_"

#: Seconds that an operation has when nobody says; Pacemaker's default operation timeout.
DEFAULT_TIMEOUT = 20.0

#: Letters of the longest name that is kept as it is.
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an agent. ``timeout`` and ``interval`` are seconds; ``level`` is the depth of a monitor.

    ``resource`` is the cluster's own name for what ``instance`` names in files; empty: it is the same.
    """

    action: str
    instance: str
    values: Mapping[str, str]
    timeout: float = DEFAULT_TIMEOUT
    interval: float = 0.0
    level: int = 0
    resource: str = ""

    @property
    def probe(self) -> bool:
        """Whether it is a monitor that does not recur: what is there, on whatever node?"""
        return self.action in ("monitor", "status") and not self.interval


def read(argv: list[str], env: Mapping[str, str]) -> Call:
    """The call that ``argv`` (without the program) and ``env`` make; further arguments are ignored, as OCF demands."""
    values = {
        name.removeprefix(PREFIX): value
        for name, value in env.items()
        if name.startswith(PREFIX) and not name.startswith((PREFIX + "CRM_meta_", PREFIX + "OCF_CHECK_LEVEL"))
    }
    milliseconds = _number(env.get(PREFIX + "CRM_meta_timeout"))
    level = _number(env.get("OCF_CHECK_LEVEL")) or _number(env.get(PREFIX + "OCF_CHECK_LEVEL"))
    return Call(
        action=argv[0] if argv else "",
        instance=instance_of(env.get("OCF_RESOURCE_INSTANCE", "")),
        values=values,
        timeout=milliseconds / 1000 if milliseconds > 0 else DEFAULT_TIMEOUT,
        interval=max(0, _number(env.get(PREFIX + "CRM_meta_interval"))) / 1000,
        level=level,
        resource=env.get("OCF_RESOURCE_INSTANCE", ""),
    )


def instance_of(name: str) -> str:
    """A resource's name as part of file names; an instance of a clone comes as ``NAME:NUMBER``."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name)
    if not plain[:1].isalnum():
        plain = f"r{plain}" if plain else "default"
    return plain if len(plain) <= LONGEST_NAME else f"{plain[: LONGEST_NAME - 9]}-{zlib.crc32(name.encode()):08x}"


def _number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
