"""Hosts as configuration files spell them, as the socket table shows them, and as a URL wants them."""

from __future__ import annotations

from resource_agents.layouts import Address


def listened(host: str) -> str:
    """A configured host as an :class:`Address` has it; a name other than localhost stays a name."""
    host = host.strip().strip("[]")
    if host == "localhost":
        return "127.0.0.1"
    return "" if host in ("0.0.0.0", "::", "*") else host


def url(address: Address, path: str = "/") -> str:
    """The URL of ``path`` on this machine at this address."""
    host = f"[{address.host}]" if ":" in address.host else address.host or "localhost"
    return f"{'https' if address.tls else 'http'}://{host}:{address.port}{path}"
