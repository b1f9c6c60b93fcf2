"""What may be said on the control socket: requests are checked here, so that garbage never reaches the engine."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from cluster_glue.messages import sanitise

LONGEST_REQUEST: Final = 65536

#: Requests that name a resource, and those that do not.
ABOUT_A_RESOURCE: Final = frozenset({"start", "stop", "restart", "reload", "clear", "resume", "pause", "drain"})
ABOUT_THE_DAEMON: Final = frozenset({"ping", "status", "reload-config"})

#: What belongs to a cluster's action, and of which type it is.
OCF_FIELDS: Final[dict[str, Any]] = {
    "action": str,
    "instance": str,
    "mandate": str,
    "timeout": int | float,
    "interval": int | float,
}

#: An instance becomes part of file names.
INSTANCE: Final = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9._:-]{0,254}")

#: The name of a mandate's file (:mod:`resource_agents.mandates`).
MANDATE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}@[0-9a-f]{1,16}\.json")

#: Seconds; no cluster waits longer for an action.
LONGEST_ACTION: Final = 86400.0

#: Seconds; a pause ends by itself, and this one is as good as for ever.
LONGEST_PAUSE: Final = 366 * 86400.0


def understand(line: bytes) -> dict[str, Any] | str:
    """The request in ``line``, with only the fields that belong to it; or why there is none, in words."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return "the request is not JSON"
    if not isinstance(request, dict):
        return "the request is not a JSON object"
    do = request.get("do")
    if do == "ocf":
        return _ocf(request)
    if not isinstance(do, str) or do not in ABOUT_A_RESOURCE | ABOUT_THE_DAEMON:
        return f"there is no request {sanitise(str(do), 60)!r}"
    if do in ABOUT_THE_DAEMON:
        return {"do": do}
    resource = request.get("resource")
    if not isinstance(resource, str) or not 0 < len(resource) <= 64:
        return f"{do} needs a resource's name"
    understood: dict[str, Any] = {"do": do, "resource": sanitise(resource, 64)}
    if do == "pause":
        seconds, reason = request.get("for"), request.get("reason", "")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return "pause needs a time in seconds"
        if not 0 < seconds <= LONGEST_PAUSE:
            return f"a pause lasts more than 0 and at most {LONGEST_PAUSE:g} s"
        understood |= {"for": float(seconds), "reason": sanitise(str(reason or ""), 200)}
    return understood


def _ocf(request: dict[str, Any]) -> dict[str, Any] | str:
    """A cluster's action, as :mod:`resource_agents.entry` sends it; what it is about is in the mandate."""
    understood: dict[str, Any] = {"do": "ocf"}
    for field, kind in OCF_FIELDS.items():
        value = request.get(field)
        if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
            return f"an ocf request needs a proper {field}"
        understood[field] = value
    if not INSTANCE.fullmatch(understood["instance"]):
        return "an ocf request names an instance in 1 to 255 letters, digits and ._:-, not beginning with a dot"
    if understood["mandate"] and not MANDATE.fullmatch(understood["mandate"]):
        return "an ocf request names a mandate as INSTANCE@TOKEN.json"
    if not (0 < understood["timeout"] <= LONGEST_ACTION and 0 <= understood["interval"] <= LONGEST_PAUSE):
        return f"an ocf request has a timeout above 0 and at most {LONGEST_ACTION:g} s, and an interval of 0 or more"
    return understood


def encode(reply: dict[str, Any]) -> bytes:
    """A reply as one line. Raises ``TypeError`` or ``ValueError`` for what JSON cannot say."""
    return json.dumps(reply, allow_nan=False).encode() + b"\n"


def no(error: str, remedy: str) -> dict[str, Any]:
    """The reply that says no."""
    return {"ok": False, "error": sanitise(error), "remedy": sanitise(remedy)}
