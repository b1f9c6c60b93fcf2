"""Whether the interface that has an address is connected to anything (its carrier), and whether any of that changed.

An address whose cable is out answers on this machine and nowhere else: no probe from here can see it. Sources:
rtnetlink(7) (RTM_GETADDR) for the address, ``/sys/class/net/NAME/carrier`` (Documentation/ABI/testing/sysfs-class-net).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port id
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface index
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_RTM_GETADDR, _RTM_NEWADDR, _NLMSG_DONE, _NLMSG_ERROR = 22, 20, 3, 2
_REQUEST, _DUMP = 0x1, 0x300
#: Links, and addresses of both families (linux/rtnetlink.h, RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR).
_GROUPS = 0x1 | 0x10 | 0x100
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
#: Bytes of one answer; the kernel fills at most 32 KiB.
_ANSWER = 65536


class Links:
    """Remembers which interface has which address, and asks again when it has not; and which have had a carrier."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._connected: set[str] = set()

    def had(self, name: str) -> bool:
        """Whether that interface had a carrier in any look so far. One that never had is nothing that was lost."""
        return name in self._connected

    def down(self, host: str) -> str:
        """The name of the interface that has ``host`` and no carrier; empty when it has one, or nobody can tell."""
        name = self._names.get(host, "")
        if name and self._carries(name):
            return ""
        try:
            self._names = dict(_addresses())
        except OSError:
            return ""
        name = self._names.get(host, "")
        return name if name and not self._carries(name) else ""

    def _carries(self, name: str) -> bool:
        carrier = _carrier(name)
        if carrier:
            self._connected.add(name)
        return carrier is not False


class Changes:
    """The kernel's own word that an address came or went, or that a link changed. Silent where it cannot be had."""

    def __init__(self) -> None:
        self._kernel: socket.socket | None = None
        kinds = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with suppress(OSError):
            self._kernel = socket.socket(socket.AF_NETLINK, kinds, socket.NETLINK_ROUTE)
            self._kernel.bind((0, _GROUPS))

    def close(self) -> None:
        if self._kernel is not None:
            self._kernel.close()

    def any(self) -> bool:
        """Whether something changed since the last call."""
        changed = False
        if self._kernel is None:
            return False
        try:
            while self._kernel.recv(_ANSWER):
                changed = True
        except BlockingIOError:
            return changed
        except OSError:  # more than the socket could hold
            return True
        return changed


def _carrier(name: str) -> bool | None:
    """Whether it has one; None when it is not administratively up, or gone: then the address says what is wrong."""
    try:
        descriptor = os.open(f"/sys/class/net/{name}/carrier", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 2)[:1] == b"1"
    except OSError:  # EINVAL: down by its administrator
        return None
    finally:
        os.close(descriptor)


def _addresses() -> Iterator[tuple[str, str]]:
    """Each address of this network namespace with the name of its interface. Raises ``OSError``."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(1.0)
        size = _HEADER.size + _ADDRESS.size
        header = _HEADER.pack(size, _RTM_GETADDR, _REQUEST | _DUMP, 1, 0)
        kernel.send(header + _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        while True:
            data = kernel.recv(_ANSWER)
            place = 0
            while place < len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, place)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return
                if kind == _RTM_NEWADDR:
                    yield from _address(data[place + _HEADER.size : place + length])
                place += (length + 3) & ~3


def _address(message: bytes) -> Iterator[tuple[str, str]]:
    _, _, _, _, index = _ADDRESS.unpack_from(message)
    place, found = _ADDRESS.size, {}
    while place + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, place)
        found[kind] = message[place + _ATTRIBUTE.size : place + length]
        place += max(_ATTRIBUTE.size, (length + 3) & ~3)
    raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if raw is not None and len(raw) in (4, 16):
        yield str(ipaddress.ip_address(raw)), socket.if_indextoname(index)
