"""The file of web tests that ocf:heartbeat:apache and nginx know as ``testconffile``: blocks of ``test ... end``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from resource_agents.parsing import text
from resource_agents.parsing.faults import unreadable

_KEYS = frozenset({"url", "user", "password", "client", "client_opts", "match"})


@dataclass(frozen=True, slots=True)
class WebTest:
    """One test: ``url`` may begin with "/", ``match`` is an extended regular expression, ``host`` a Host header."""

    url: str
    match: str
    user: str = ""
    password: str = ""
    host: str = ""


def read(path: str, name: str) -> WebTest:
    """The test called ``name``, or the first one. Raises :class:`ConfigurationUnreadable`."""
    said: dict[str, str] | None = None
    for number, line in enumerate(text.read(path).splitlines(), 1):
        key, _, value = line.strip().partition(" ")
        value = value.strip()
        if said is None:
            said = {} if key == "test" and name in ("", value) else None
        elif key == "end":
            break
        elif key in _KEYS:
            said[key] = value
        elif key and not key.startswith("#"):
            raise unreadable(path, number, f"{key!r} is no keyword of a test")
    if said is None or not said.get("url") or not said.get("match"):
        raise unreadable(path, 0, f"it has no test {name!r} with url and match" if name else "it has no complete test")
    if bool(said.get("user")) != bool(said.get("password")):
        raise unreadable(path, 0, "a test needs user and password both, or neither")
    host = _host(said.get("client_opts", ""))
    return WebTest(said["url"], said["match"], said.get("user", ""), said.get("password", ""), host)


def _host(client_options: str) -> str:
    """The Host header among the options of curl or wget."""
    try:
        words = shlex.split(client_options)
    except ValueError:
        return ""
    for word in words:
        name, colon, value = word.removeprefix("--header=").removeprefix("-H").partition(":")
        if colon and name.strip().lower() == "host":
            return value.strip()
    return ""
