"""Running sites of a Zeus Web Server: one plain file per virtual server, ``key value`` lines, ``!`` joins key parts.

The format is documented (manual page sites, runningsites); the names of the keys that hold address and port are not,
in anything that could be read. They are therefore given by the caller.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from resource_agents.layouts import Address

_ANY = frozenset({"", "*", "0.0.0.0", "::", "any", "all"})


def read_site(path: Path) -> dict[str, str]:
    """Keys and values of one site's file. Raises ``OSError``."""
    pairs: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.strip().partition(" ")
        if key and not key.startswith("#"):
            pairs[key.lower()] = value.strip()
    return pairs


def site_files(directory: Path) -> list[Path]:
    """The files of the running sites; empty when there is no site, or no such directory."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [directory / name for name in names if not name.startswith(".") and (directory / name).is_file()]


def address_of(site: dict[str, str], address_keys: Iterable[str], port_keys: Iterable[str]) -> Address | None:
    """Where a site listens; None when none of the keys holds a port."""
    port = next((site[key] for key in port_keys if site.get(key, "").isdigit()), "")
    if not port or not 0 < int(port) < 65536:
        return None
    hosts = next((site[key] for key in address_keys if site.get(key)), "").split()
    host = hosts[0].strip("[]") if hosts else ""
    return Address("" if host.lower() in _ANY else host, int(port), site.get("security!enabled", "").lower() == "yes")


def read_sites(directory: Path, address_keys: Iterable[str], port_keys: Iterable[str]) -> tuple[Address, ...]:
    """Addresses of all running sites, each once. Raises ``OSError`` when a file cannot be read."""
    addresses, ports = tuple(address_keys), tuple(port_keys)
    found = [address_of(read_site(path), addresses, ports) for path in site_files(directory)]
    return tuple(dict.fromkeys(each for each in found if each))
