"""Ways to ask a web server that its configuration offers, and the request that is made of one.

Of a server for which nobody named a page, any answer below 500 is good, and so are 501 (a method it does not know) and
502 to 504 (a gateway's word about others): it answers, and more a restart could not mend.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocf.declarations import ParameterError
from resource_agents.layouts import Address, Request
from resource_agents.parsing import addresses, webtests
from resource_agents.parsing.faults import unreadable
from resource_agents.parsing.patterns import extended

ANSWERS = ((200, 499), (501, 504))


@dataclass(frozen=True, slots=True)
class Door:
    """A way in: an address, a path that the server answers by itself ("" when there is none), and the host name."""

    address: Address
    path: str = ""
    host: str = ""


def choose(doors: Sequence[Door], port: str = "", ipv6: bool = False) -> Door | None:
    """The best door, on this port and over IPv6 where asked for; None when there is no door at all."""
    known = [door for door in doors if not port or door.address.port == int(port)]
    if ipv6:
        known = [replace(d, address=replace(d.address, host=d.address.host or "::1")) for d in known]
        known.sort(key=lambda door: ":" not in door.address.host)
    if not known and port:
        return Door(Address("::1" if ipv6 else "127.0.0.1", int(port)))
    return known[0] if known else None


def own(door: Door, query: str = "") -> Request:
    """The health request where nobody named one: the status page, else no more than the head of ``/``."""
    if door.path:
        return Request(addresses.url(door.address, door.path + query), host=door.host, expect=ANSWERS)
    return Request(addresses.url(door.address), method="HEAD", host=door.host, expect=ANSWERS)


def named(url: str, pattern: str, door: Door | None) -> Request:
    """The request for a URL that was given; one without a scheme belongs to the server's own address."""
    if "://" in url or url.startswith("unix:"):
        return Request(url, pattern=pattern)
    address = door.address if door else Address("", 80)
    return Request(addresses.url(address, f"/{url.lstrip('/')}"), pattern=pattern)


def tested(path: str, name: str, door: Door | None) -> Request:
    """The request of a file of web tests. Raises :class:`ConfigurationUnreadable`."""
    test = webtests.read(path, name)
    try:
        pattern = extended(test.match, "match")
    except ParameterError as error:
        raise unreadable(path, 0, str(error)) from None
    return replace(named(test.url, pattern, door), user=test.user, password=test.password, host=test.host)


def in_front(known: tuple[Address, ...], door: Door | None) -> tuple[Address, ...]:
    """All addresses, the one that is asked first."""
    if door is None:
        return known
    asked = [each for each in known if each == door.address] or [a for a in known if a.port == door.address.port]
    return tuple(dict.fromkeys([*asked, *known]))


def check_port(port: str) -> None:
    """Raises :class:`ParameterError` for a number that is no port."""
    if port and not 0 < int(port) < 65536:
        raise ParameterError(f"port = {port} is no port: give 1 to 65535")


def pid_in(path: str) -> int:
    """The number in a pid file; 0 when there is none."""
    try:
        with open(path, "rb") as file:
            return int(file.read(64).split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def found(candidates: Sequence[str]) -> str:
    """The first of these files that can be executed; empty when none can."""
    return next((path for path in candidates if os.path.isfile(path) and os.access(path, os.X_OK)), "")
