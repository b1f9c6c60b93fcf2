"""The certificates that servers really serve: said some days before one expires, and when it has.

Each TLS address of a server is asked once an hour, by a handshake without verification, for every name that its
configuration knows; sooner when it was configured anew, when a date is reached, or while something is amiss. An expired
certificate is words and never a fault that the machine of recovery hears: no restart and no move renews it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from cluster_glue.recovery.model import Phase, Tell
from cluster_glue.recovery.sensors.conditions import Board, Finding, Reading
from cluster_glue.recovery.sensors.subject import near
from cluster_glue.recovery.sensors.validity import Validity, read
from ocf.faults import Fault, Kind
from resource_agents.families import layout_of
from resource_agents.http_target import Target, nearby
from resource_agents.http_tls import context
from resource_agents.layouts import Address, Layout

if TYPE_CHECKING:
    from cluster_glue.recovery.watch import Watch

#: Seconds between two rounds of the sensor, and between two handshakes with a server: usually, and while it has a
#: certificate of which something is to be said.
ROUND, EVERY, SOON = 2.0, 3600.0, 60.0

#: Seconds for one handshake; names that one server is asked for.
TIMEOUT, MOST = 3.0, 50

_DAY = 86400.0


@dataclass(slots=True)
class _Subject:
    watch: Watch
    main: int
    board: Board
    layout: Layout | None = None
    due: float = 0.0  # on CLOCK_MONOTONIC


@dataclass(frozen=True, slots=True)
class Served:
    """What one place serves; ``validity`` None when it could not be had."""

    place: str
    validity: Validity | None


class Certificates:
    """The sensor; ``tell`` gets the words."""

    def __init__(self, tell: Callable[[str, Tell], None], clock: Callable[[], float] = time.time) -> None:
        self._tell, self._clock = tell, clock
        self._subjects: dict[str, _Subject] = {}

    def watch(self, watch: Watch, main: int) -> None:
        """Look at what this resource serves, whose main process is ``main``."""
        self._subjects[watch.name] = _Subject(watch, main, Board(watch.name))

    def forget(self, name: str) -> None:
        """Look at it no more."""
        self._subjects.pop(name, None)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(ROUND)
            for subject in list(self._subjects.values()):
                try:
                    await self._look(subject)
                except Exception as error:  # no reason to lose the other sensors for
                    subject.due = time.monotonic() + EVERY
                    words = f"certificates cannot be looked at: {type(error).__name__} {error}"
                    self._tell(subject.watch.name, Tell("sensor-lost", words))

    async def _look(self, subject: _Subject) -> None:
        layout = layout_of(subject.watch.server)
        if subject.layout is not layout:
            subject.layout, subject.due = layout, 0.0
        doors = list(islice(_doors(layout), MOST))
        if not doors or time.monotonic() < subject.due or subject.watch.state.phase is not Phase.UP:
            return
        subject.due = time.monotonic() + EVERY
        served = await asyncio.to_thread(_ask, subject.main, doors)
        name = subject.watch.name
        if self._subjects.get(name) is not subject:
            return
        for finding in judge(subject.board, served, self._clock(), subject.watch.config.thresholds.certificate_days):
            if finding.tell is not None:
                self._tell(name, finding.tell)
        subject.due = time.monotonic() + _wait(subject, served, self._clock())


def judge(board: Board, served: Iterable[Served], wall: float, days: float) -> list[Finding]:
    """What is new about these certificates at ``wall``, when ``days`` before the end shall be warned of."""
    unknown: set[str] = set()
    places: dict[Validity, list[str]] = {}
    for one in served:
        if one.validity is None:
            unknown.add(_key(one.place))
        else:
            places.setdefault(one.validity, []).append(one.place)
    return board.judge([_reading(where, dates, wall, days) for dates, where in places.items()], wall, unknown)


def _reading(places: list[str], validity: Validity, wall: float, days: float) -> Reading:
    """The share of the days of warning, so that it is over some days above them, as everything else is."""
    where = places[0] + (f" and {len(places) - 1} more" if len(places) > 1 else "")
    left = (validity.ends - wall) / _DAY
    if left <= 0:
        words = f"the certificate served at {where} expired {_days(-left)} ago, on {_date(validity.ends)}"
        cause, value = "certificate-expired", math.inf
    elif validity.begins > wall:
        words = f"the certificate served at {where} is valid only from {_date(validity.begins)} on"
        cause, value = "certificate-not-yet-valid", math.inf
    else:
        words = f"the certificate served at {where} expires in {_days(left)}, on {_date(validity.ends)}"
        cause, value = "certificate-expires", days / left
    advice = "renew it and reload the server; a restart with the same certificate changes nothing"
    if cause == "certificate-not-yet-valid":
        advice = "is the clock of this machine right?"
    fault = Fault(cause, Kind.CONFIGURATION, words, f"notAfter {_date(validity.ends)}", advice)
    return Reading(_key(places[0]), value, 1.0, math.inf, fault, hold=0.0)


def _wait(subject: _Subject, served: Iterable[Served], wall: float) -> float:
    """Seconds until it is worth asking again."""
    if subject.board.levels():
        return SOON
    warning = subject.watch.config.thresholds.certificate_days * _DAY
    ahead = [one.validity.ends - warning - wall for one in served if one.validity is not None]
    return min(EVERY, max(SOON, min(ahead, default=EVERY)))


def _doors(layout: Layout) -> Iterator[tuple[Address, str]]:
    """Where to ask for which certificate: each TLS address for its own, and for that of each name."""
    for address in layout.addresses:
        if address.tls:
            yield address, ""
            yield from ((address, name) for place, name in layout.names if place == address)


def _ask(main: int, doors: list[tuple[Address, str]]) -> list[Served]:
    """All of them, one after the other; those of a server in another network namespace cannot be had."""
    mute = set() if near(main) else {address for address, _ in doors}
    found = []
    for address, name in doors:
        validity = None
        if address not in mute:
            try:
                validity = read(fetch(address, name))
            except OSError:
                mute.add(address)  # it is not asked again and again
            except ValueError:  # a name that cannot be asked for, or no certificate
                pass
        found.append(Served(f"{address} for {name}" if name else str(address), validity))
    return found


def fetch(address: Address, name: str, timeout: float = TIMEOUT) -> bytes:
    """The certificate (DER) that is served there to clients that ask for ``name``. Raises ``OSError``."""
    problem = OSError("it has no address")
    for family, place in nearby(Target(address.host, address.port)) or ():
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.settimeout(timeout)
            try:
                plain.connect(place)
                with context(False).wrap_socket(plain, server_hostname=name or None) as tls:
                    return tls.getpeercert(binary_form=True) or b""
            except OSError as error:  # ssl.SSLError is one
                problem = error
    raise problem


def _key(place: str) -> str:
    return f"certificate {place}"


def _date(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC"


def _days(days: float) -> str:
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
