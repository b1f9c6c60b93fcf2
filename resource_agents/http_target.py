"""Where a health check goes, and the bytes of its request.

Addresses are read here, not with ``urllib.parse``, and names of this machine are resolved without a resolver: a health
check of a local server must neither wait for DNS nor pay for imports.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from resource_agents.layouts import Request

#: What socket.socket and its ``connect`` need: the address family, and the address in that family's form.
Endpoint = tuple[int, Any]

_PRINTABLE = re.compile(r"[^\x00-\x20\x7f]+")
_METHOD = re.compile(r"[A-Z]{1,20}")


class BadRequest(ValueError):
    """A check that cannot be asked: it proves nothing about the server. The message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """``path`` names a Unix socket; else ``host`` (no brackets; empty: this machine) and ``port`` count."""

    host: str
    port: int
    path: str = ""
    tls: bool = False
    resource: str = "/"
    authority: str = "localhost"
    where: str = ""
    credentials: str = ""


@lru_cache(maxsize=4096)
def locate(url: str) -> Target:
    """Read ``http://``, ``https://`` and ``unix:/socket[:/resource]``. Raises :class:`BadRequest`."""
    if not _PRINTABLE.fullmatch(url):
        raise BadRequest(f"{url!r} is no URL: it is empty or has spaces or control characters")
    if url.startswith("unix:/"):
        path, _, resource = url[5:].partition(":/")
        return Target("", 0, path, resource="/" + _escape(resource), where=f"unix:{path}")
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https") or not rest:
        raise BadRequest(f"{url!r} is no URL that can be asked: give http://, https:// or unix:/")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    userinfo, _, place = rest[:end].rpartition("@")
    resource = _escape(rest[end:])
    host, port = _split(place, 443 if scheme == "https" else 80, url)
    return Target(
        host=host,
        port=port,
        tls=scheme == "https",
        resource=resource if resource.startswith("/") else "/" + resource,
        authority=place,
        where=f"{scheme}://{place}{resource}",
        credentials=userinfo,
    )


def nearby(target: Target) -> list[Endpoint] | None:
    """The endpoints of a target that needs no resolver; None for any other."""
    if target.path:
        return [(socket.AF_UNIX, target.path)]
    if target.host in ("", "localhost"):
        return [(socket.AF_INET, ("127.0.0.1", target.port)), (socket.AF_INET6, ("::1", target.port, 0, 0))]
    for family, size in ((socket.AF_INET, 2), (socket.AF_INET6, 4)):
        try:
            socket.inet_pton(family, target.host)
        except (OSError, ValueError):
            continue
        return [(family, (target.host, target.port, 0, 0)[:size])]
    return None


def resolve(target: Target) -> list[Endpoint]:
    """Ask the resolver; may take long. Raises ``OSError``."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{target.host!r} is no host name: {error}") from None
    return [(family, address) for family, _, _, _, address in found]


def request_bytes(request: Request, target: Target) -> bytes:
    """The whole request. Raises :class:`BadRequest`."""
    if not _METHOD.fullmatch(request.method):
        raise BadRequest(f"{request.method!r} is no HTTP method")
    host = request.host or target.authority
    lines = [
        f"{request.method} {target.resource} HTTP/1.1",
        f"Host: {_ascii(host)}",
        "User-Agent: koboshi",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    credentials = f"{request.user}:{request.password}" if request.user else target.credentials
    if credentials:
        import base64

        lines.append("Authorization: Basic " + base64.b64encode(credentials.encode()).decode())
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _ascii(host: str) -> str:
    if not _PRINTABLE.fullmatch(host):
        raise BadRequest(f"{host!r} is no host name: it has spaces or control characters")
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise BadRequest(f"{host!r} is no host name: {error}") from None


def _escape(resource: str) -> str:
    """Non-ASCII characters as percent-encoded UTF-8; what is encoded already stays."""
    if resource.isascii():
        return resource
    return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in resource.encode())


def _split(place: str, port: int, url: str) -> tuple[str, int]:
    host, bracket, rest = place.partition("]")
    if bracket:
        host, given = host.removeprefix("["), rest.removeprefix(":")
    else:
        host, _, given = place.partition(":")
    if given:
        if not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
            raise BadRequest(f"{url!r} has no port between 1 and 65535 but {given!r}")
        port = int(given)
    if not host:
        raise BadRequest(f"{url!r} names no host")
    return host.replace("%25", "%"), port
