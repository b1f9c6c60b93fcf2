"""What a cluster manager hands to an agent: the action, the parameters, the time there is.

Source: OCF resource agent API 1.1, and Pacemaker's own habits: the timeout comes in milliseconds, an interval of 0 or
none means a probe, ``OCF_CHECK_LEVEL`` comes without the parameters' prefix, ``__OCF_ACTION`` does not come at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "OCF_RESKEY_"

#: Seconds that an operation has when nobody says; Pacemaker's default operation timeout.
DEFAULT_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an agent. ``timeout`` is seconds; ``probe``: a monitor that is not recurring; ``level`` its depth."""

    action: str
    instance: str
    values: Mapping[str, str]
    timeout: float = DEFAULT_TIMEOUT
    probe: bool = False
    level: int = 0


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
        instance=env.get("OCF_RESOURCE_INSTANCE", "default").replace("/", "_").replace(":", "_") or "default",
        values=values,
        timeout=milliseconds / 1000 if milliseconds > 0 else DEFAULT_TIMEOUT,
        probe=_number(env.get(PREFIX + "CRM_meta_interval")) == 0,
        level=level,
    )


def _number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
