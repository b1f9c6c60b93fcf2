"""What a web server's own configuration says: where it listens, what a healthy one answers, which files matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ocf.faults import Fault


@dataclass(frozen=True, slots=True)
class Address:
    """A listening address. ``host`` is an IP address without brackets; empty means every address."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """A health check over HTTP(S).

    ``expect`` are the good status codes (inclusive ranges), ``pattern`` a regular expression that the body must match
    (empty: any), searched in the first ``body_limit`` bytes. ``host`` overrides the Host header and SNI.
    """

    url: str
    method: str = "GET"
    host: str = ""
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    pattern: str = ""
    body_limit: int = 65536
    verify: bool = False
    redirects: int = 0
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A health check over a stream socket: connect, send ``send``, and the answer must begin with ``expect``.

    ``where`` is a TCP address, or the path of a Unix socket. An empty ``expect`` asks for no more than a connection.
    """

    where: Address | str
    send: bytes = b""
    expect: bytes = b""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the server's own configuration says, read without running it.

    ``request`` and every one of ``exchanges`` must succeed in a healthy server; without both, a listener is enough.
    ``files`` are all configuration files that were read (a change of one may mend a broken configuration),
    ``semaphores`` whether the server may leave SysV semaphore sets of ``user`` behind. ``writes`` are files without
    which it does not start when they cannot be opened for writing, ``names`` those by which TLS clients ask for it,
    each with the address.
    """

    addresses: tuple[Address, ...] = ()
    pidfile: str = ""
    user: str = ""
    error_log: str = ""
    request: Request | None = None
    exchanges: tuple[Exchange, ...] = ()
    files: tuple[str, ...] = ()
    semaphores: bool = False
    writes: tuple[str, ...] = ()
    names: tuple[tuple[Address, str], ...] = ()


class ConfigurationUnreadable(Exception):
    """The server's configuration could not be read; ``fault`` says what and where.

    ``files`` are those read so far, the one that failed included: a change of one may mend it.
    """

    def __init__(self, fault: Fault, files: Iterable[str] = ()) -> None:
        super().__init__(fault.reason)
        self.fault = fault
        self.files = tuple(files)
