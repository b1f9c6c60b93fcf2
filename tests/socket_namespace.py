"""Scenes of the socket sensor that need a network namespace: ``unshare -n python -m tests.socket_namespace``.

The first word names the scene, the second a folder. A scene that does not come true ends with a traceback.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cluster_glue.recovery.model import Answered, Event, Failed, Tell
from cluster_glue.recovery.probing import Probing
from cluster_glue.recovery.sensors.doubt import Doubt
from cluster_glue.recovery.watch import Watch
from ocf.faults import Kind
from resource_agents.http import Answer
from tests.socket_watch import watched
from tests.waiting import LONG


def sysctl(name: str, value: str) -> None:
    Path("/proc/sys/net/ipv4", name).write_text(value)


def ports(folder: Path) -> None:
    """Connections to a back end use up the ephemeral ports."""
    sysctl("ip_local_port_range", "40000 40099")
    with (
        watched(folder) as web,
        ExitStack() as stack,
        socket.create_server(("127.0.0.1", 9000), backlog=512) as backend,
    ):
        for number, level in ((75, "sighting"), (17, "degraded")):
            for _ in range(number):
                stack.enter_context(socket.create_connection(backend.getsockname()))
                stack.enter_context(backend.accept()[0])

            def told(level: str = level) -> list[Tell]:
                return [each for each in web.told if each.message == level and "127.0.0.1:9000" in each.detail]

            web.until(told, level)
            assert "ip_local_port_range" in told()[0].detail
        assert web.posted == []


def flood(folder: Path) -> None:
    """SYNs whose senders never answer, from the other end of a tun device."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
    subprocess.run(["ip", "addr", "add", "10.9.9.1/24", "dev", "tun0"], check=True)
    subprocess.run(["ip", "link", "set", "tun0", "up"], check=True)
    sysctl("tcp_syncookies", "0")
    sysctl("tcp_max_syn_backlog", "4096")
    with watched(folder, backlog=64) as web, socket.create_server(("10.9.9.1", 8999), backlog=64) as listener:
        web.sensor.forget("web")
        web.values["port"] = "10.9.9.1:8999"
        web.watch.server = web.watch.executor.make()
        web.sensor.watch(web.watch, os.getpid())
        for number in range(60):
            os.write(tun, syn("10.9.9.2", 20000 + number, "10.9.9.1", 8999))
        web.until(lambda: web.said("degraded", "syn-flood"), "the flood's words")
        assert "port 8999" in web.said("degraded", "syn-flood")[0]
        assert web.posted == []
        assert listener.fileno() >= 0


def elsewhere(folder: Path) -> None:
    """A server that went to another network namespace: nothing is said of listeners that cannot be seen."""
    with watched(folder) as web:
        web.sensor.forget("web")
        web.values["port"] = "127.0.0.1:1"
        web.watch.server = web.watch.executor.make()
        with subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE) as other:
            web.until(lambda: _network(other.pid) != _network(os.getpid()), "the other namespace")
            web.sensor.watch(web.watch, other.pid)
            for _ in range(8):
                web.look()
                threading.Event().wait(1)  # longer than a missing listener is waited for
            assert web.told == []
            descriptors = web.watch.sockets["descriptors"]
            assert isinstance(descriptors, dict)
            assert descriptors["used"] > 0
            other.communicate()


def address(folder: Path) -> None:
    """The address that it listens on goes while everything is at rest: the kernel says so, the next look sees it."""
    subprocess.run(["ip", "addr", "add", "10.9.9.3/32", "dev", "lo"], check=True)
    with watched(folder) as web, socket.create_server(("10.9.9.3", 8999)) as listener:
        web.values["port"] = "10.9.9.3:8999"
        web.watch.config = replace(web.watch.config, policy=replace(web.watch.config.policy, on_exhausted="failover"))
        web.watch.server = web.watch.executor.make()
        web.sensor.forget("web")
        web.sensor.watch(web.watch, os.getpid())
        web.look()
        assert web.told == []
        web.sensor._well_until = float("inf")  # nothing but the kernel's word may lead to the next
        subprocess.run(["ip", "addr", "del", "10.9.9.3/32", "dev", "lo"], check=True)
        web.until(lambda: web.faults("service-address-missing"), "the fact")
        apart = web.sensor.unreached("web")
        assert apart is not None
        assert apart.cause == "service-address-missing", "whatever it answers on this machine"
        subprocess.run(["ip", "addr", "add", "10.9.9.3/32", "dev", "lo"], check=True)
        assert web.sensor.unreached("web") is None
        assert listener.fileno() >= 0


def asked(folder: Path) -> None:
    """A probe of an address that has left this machine fails for that reason, and not as a stall that restarts mend.

    One of an address that this machine never had fails for its own reason.
    """
    posted: list[Event] = []

    async def same(_: Watch, event: Answered | Failed) -> Answered | Failed:
        return event

    async def failing(watch: Watch, had: bool) -> Failed:
        doubt = Doubt()
        probing = Probing(watch, doubt, lambda _: None, lambda _, event: posted.append(event), lambda *_: None, same)
        if had:
            subprocess.run(["ip", "addr", "add", "10.9.9.3/32", "dev", "lo"], check=True)
        probing.begin()
        if had:
            async with asyncio.timeout(LONG):
                while not any(isinstance(event, Answered) for event in posted):
                    probing.suspect()
                    await asyncio.sleep(0.05)
            subprocess.run(["ip", "addr", "del", "10.9.9.3/32", "dev", "lo"], check=True)
        async with asyncio.timeout(LONG):
            while not any(isinstance(event, Failed) for event in posted):
                probing.suspect()
                await asyncio.sleep(0.05)
        probing.end()
        return next(event for event in posted if isinstance(event, Failed))

    async def coming_back(watch: Watch) -> None:
        """Whoever leaves a missing address to the cluster hears nothing of the probes that fail meanwhile."""
        asked: list[None] = []
        probing = Probing(watch, Doubt(), lambda _: None, lambda _, e: posted.append(e), lambda *_: None, same)
        ask = probing._ask

        async def counted() -> Answer:
            asked.append(None)
            return await ask()

        probing._ask = counted  # type: ignore[method-assign]
        probing.begin()
        for there in (True, False, True):
            subprocess.run(["ip", "addr", "add" if there else "del", "10.9.9.3/32", "dev", "lo"], check=True)
            before, told = len(asked), len(posted)
            async with asyncio.timeout(LONG):
                while (len(posted) == told) if there else (len(asked) < before + 4):
                    probing.suspect()
                    await asyncio.sleep(0.05)
            assert probing.failing is not there
        probing.end()
        assert all(isinstance(event, Answered) for event in posted), posted

    with watched(folder) as web, ThreadingHTTPServer(("", 8999), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        web.values["statusurl"] = "http://10.9.9.3:8999/"
        web.watch.server = web.watch.executor.make()
        for on_exhausted, had, there in (("failover", True, False), ("report", True, True), ("failover", False, True)):
            policy = replace(web.watch.config.policy, on_exhausted=on_exhausted)
            web.watch.config = replace(web.watch.config, policy=policy)
            posted.clear()
            event = asyncio.run(failing(web.watch, had))
            assert (event.fault.kind is Kind.HOST) is not there, event
            assert (event.fault.cause == "service-address-missing") is not there
            assert not event.hard
        limits = replace(web.watch.config.thresholds, address_lost_after=0)
        policy = replace(web.watch.config.policy, on_exhausted="failover")
        web.watch.config = replace(web.watch.config, policy=policy, thresholds=limits)
        posted.clear()
        asyncio.run(coming_back(web.watch))
        server.shutdown()


def _network(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def syn(source: str, port: int, target: str, target_port: int) -> bytes:
    """An IPv4 packet that asks for a connection."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack(">HHIIBBHHH", port, target_port, 1, 0, 5 << 4, 2, 64240, 0, 0)
    total = _sum(addresses + struct.pack(">BBH", 0, 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", total) + tcp[18:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), port, 0, 64, 6, 0) + addresses
    return head[:10] + struct.pack(">H", _sum(head)) + head[12:] + tcp


def _sum(data: bytes) -> int:
    total = sum(int(word) for word in struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


SCENES = {"address": address, "asked": asked, "ports": ports, "flood": flood, "elsewhere": elsewhere}

if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    SCENES[sys.argv[1]](Path(sys.argv[2]))
