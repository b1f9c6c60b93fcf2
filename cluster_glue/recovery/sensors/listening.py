"""The listeners of one server: are they there, where the configuration says, and are they its own?

A listener that was there and is gone, although the configuration as it is now still has it, is a fact: a restart brings
it back. One that never was there since this main process began is a configuration that was not taken, and a listener
of somebody else is somebody else's: both are said, and no restart is made for them. One whose address has left this
machine stays where it is and hears nothing more: the machine's fault, where somebody else can take the service.
"""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from cluster_glue.recovery.sensors.conditions import HOLD, Reading
from cluster_glue.recovery.sensors.holders import Holder, Holders, descends, every_pid, introduce
from cluster_glue.recovery.sensors.links import Links
from cluster_glue.recovery.thresholds import Thresholds
from ocf.faults import Fault, Kind
from resource_agents.families import layout_of
from resource_agents.layouts import Address
from resource_agents.listeners import Listener, on, sockets_of
from resource_agents.processes import Process, children, look
from resource_agents.server import Server

#: Seconds that a listener may be on its way after a start, or a socket be passed on in a reload.
PATIENCE = 5.0

#: Children that are looked at for sockets; workers of one server hold the same ones.
SOME = 8


@dataclass(slots=True)
class Listening:
    """What is remembered about the listeners of one main process. ``make`` gives the server as configured now."""

    main: int
    make: Callable[[], Server]
    members: Callable[[], Iterable[int]]
    _seen: set[Address] = field(default_factory=set)
    _lost: dict[Address, float] = field(default_factory=dict)
    _links: Links = field(default_factory=Links)
    _holders: Holders = field(default_factory=Holders)
    _strangers: dict[int, bool] = field(default_factory=dict)  # by inode: asked already, is a stranger's

    def own(self, among: Iterable[Listener]) -> list[Listener]:
        """The listeners that the main process or one of its children has open, configured or not."""
        held: set[int] = set()
        for pid in (self.main, *children(self.main)[:SOME]):
            held |= sockets_of(pid)
        return [listener for listener in among if listener.inode in held]

    def readings(self, server: Server, listeners: list[Listener], limits: Thresholds, now: float) -> Iterator[Reading]:
        """What is wrong with the configured addresses."""
        addresses = layout_of(server).addresses
        here = on(addresses, listeners)
        holders = self._holders.find(
            {listener.inode for listener in here}, (lambda: (self.main,), lambda: children(self.main), every_pid)
        )
        self._strangers = {listener.inode: self._strange(listener.inode, holders) for listener in here}
        for address in addresses:
            meeting = on([address], here)
            foreign = [listener for listener in meeting if self._strangers[listener.inode]]
            own = any(
                listener.host in ("", address.host) for listener in meeting if not self._strangers[listener.inode]
            )
            if own:
                self._seen.add(address)
                self._lost.pop(address, None)
            if foreign:
                yield from self._foreign(server, address, holders[foreign[0].inode], own)
            elif not own:
                yield from self._missing(address, listeners, limits, now)

    def left(self, server: Server, limits: Thresholds) -> Iterator[Reading]:
        """Addresses on which it listened, and which this machine does not have any more, or nobody can reach."""
        hosts = {address.host for address in layout_of(server).addresses}
        listened = sorted(hosts & {address.host for address in self._seen})
        gone = [host for host in listened if not has(host)]
        for host in gone:
            yield _lasting("service-address-missing", host, gone_away(host), limits.address_lost_after)
        if limits.link_lost_after:
            cut = {host: name for host in listened if host not in gone and (name := self._links.down(host))}
            reached = any(host not in cut and not _is_loopback(host) and has(host) for host in hosts)
            for host, name in cut.items():
                counts = self._links.had(name) and not reached
                yield _lasting("link-lost", host, _cut(host, name), limits.link_lost_after, counts)

    def _strange(self, inode: int, holders: dict[int, Holder]) -> bool:
        """Whether somebody else's process has this socket. Asked once for each: it does not change hands unseen."""
        holder = holders.get(inode)
        if holder is None:  # a process that we may not look at
            return False
        if descends(holder.pid, self.main):
            return False
        known = self._strangers.get(inode)
        return holder.pid not in set(self.members()) if known is None else known

    def _foreign(self, server: Server, address: Address, holder: Holder, own: bool) -> Iterator[Reading]:
        process = look(holder.pid)
        if process is None:
            return
        who = introduce(process)
        fault = _orphaned(address, who, own) if server.is_kin(process) else _taken(address, who, process, own)
        yield Reading(f"{fault.cause} {address}", 1, 1, 1, fault)

    def _missing(
        self, address: Address, listeners: list[Listener], limits: Thresholds, now: float
    ) -> Iterator[Reading]:
        if address not in self._seen:
            elsewhere = ", ".join(str(Address(one.host, one.port)) for one in self.own(listeners)) or "nothing"
            words = f"it is configured to listen on {address} and does not; its processes listen on {elsewhere}"
            advice = "reload or restart it if its configuration was changed"
            fault = Fault("not-listening", Kind.CONFIGURATION, words, f"no listener on {address}", advice)
            yield Reading(f"not-listening {address}", 1, 1, 1, fault, hold=PATIENCE)
            return
        first = address not in self._lost
        gone = now - self._lost.setdefault(address, now)
        error = limits.listener_lost_after or math.inf
        if (first or gone >= error) and address not in layout_of(self.make()).addresses:
            self._seen.discard(address)  # reloaded by other hands with another configuration
            self._lost.pop(address, None)
            return
        words = f"its listener on {address} is gone, although its main process lives and its configuration has it"
        fault = Fault("listener-lost", Kind.RESOURCE, words, f"no listener on {address} for {gone:.3g} s")
        yield Reading(f"listener-lost {address}", gone, min(1.0, error), error, fault, patience=0.0, hold=0.0)


def has(host: str) -> bool:
    """Whether this machine has that address; True as well for what is none, or cannot be known."""
    try:
        version = ipaddress.ip_address(host).version
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except ValueError:
        return True
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _lasting(cause: str, host: str, fault: Fault, after: float, counts: bool = True) -> Reading:
    """What is handed over when it has lasted ``after`` seconds; when it does not count (or 0), said and no more."""
    error = 1 if counts and after else math.inf
    return Reading(f"{cause} {host}", 1, 1, error, fault, patience=0.0, hold=after or HOLD)


def _cut(host: str, name: str) -> Fault:
    words = f"the interface {name} that has its address {host} is connected to nothing"
    advice = "look at the cable, and at the port of the switch"
    return Fault("link-lost", Kind.HOST, words, f"/sys/class/net/{name}/carrier is 0", advice)


def gone_away(host: str) -> Fault:
    """The address of a server has left this machine."""
    words = f"the address {host} on which it listens is not on this machine any more"
    advice = "is the cluster's address up on this node?"
    return Fault("service-address-missing", Kind.HOST, words, f"bind to {host}: EADDRNOTAVAIL", advice)


def _taken(address: Address, who: str, process: Process, own: bool) -> Fault:
    part = "a part of the connections to" if own else "the connections to"
    words = f"{part} {address} go to somebody else: {who} listens there"
    return Fault("port-taken", Kind.HOST, words, f"pid {process.pid}", "end that process, or change one address")


def _orphaned(address: Address, who: str, own: bool) -> Fault:
    words = f"an orphan of an earlier instance holds {address}{' too' if own else ''}: {who}"
    return Fault("orphaned-children", Kind.RESOURCE, words, "", "koboshi restart RESOURCE ends it")
