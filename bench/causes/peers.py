"""Programs at the other end: ``python -m bench.causes.peers WHAT ...``, in a network namespace of the bench's own.

``answer HOST PORT SECONDS`` is a back end that leaves it to its client to close the connection; ``ask COUNT URL`` are
clients that ask one after the other; ``flood HOST PORT`` asks for connections in the names of hosts that do not exist;
``track`` fills the kernel's table of connections.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.socket_namespace import syn

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"


def answer(host: str, port: str, seconds: str) -> None:
    """Answer each connection once after ``seconds``; whoever asked closes it."""

    def one(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65536)
            time.sleep(float(seconds))
            client.sendall(ANSWER)
            client.recv(1)

    with socket.create_server((host, int(port)), backlog=512) as server:
        print("ready", flush=True)
        while True:
            threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()


def ask(count: str, url: str) -> None:
    """So many clients, each with one request after the other."""
    where = urlsplit(url)
    request = f"GET {where.path or '/'} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()

    def one() -> None:
        while True:
            with suppress(OSError), socket.create_connection((where.hostname, where.port), 30) as client:
                client.settimeout(30)
                client.sendall(request)
                while client.recv(65536):
                    pass

    for _ in range(int(count)):
        threading.Thread(target=one, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


def flood(host: str, port: str) -> None:
    """SYNs without end from hosts of the same network that do not exist."""
    network = host.rpartition(".")[0]
    print("ready", flush=True)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        while True:
            for number in range(5000):
                source = f"{network}.{100 + number % 100}"
                with suppress(OSError):
                    raw.sendto(syn(source, 1024 + number, host, int(port)), (host, 0))
            time.sleep(0.5)


def track() -> None:
    """Entries that the kernel may not drop (assured), until there is no room (nfnetlink_conntrack.h); they stay."""
    most = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:  # NETLINK_NETFILTER
        for first in range(0, most, 200):
            netlink.send(b"".join(_entry(number) for number in range(first, min(first + 200, most))))
    print("ready", flush=True)
    threading.Event().wait()


def _entry(number: int) -> bytes:
    """A message that makes a UDP entry (IPCTNL_MSG_CT_NEW) of which both sides have spoken, for an hour."""
    port, host = struct.pack(">H", 1024 + number % 60000), socket.inet_aton(f"198.18.{number // 60000}.1")
    there, service = socket.inet_aton("198.19.0.1"), struct.pack(">H", 53)
    forth, back = _tuple(host, there, port, service), _tuple(there, host, service, port)
    status, timeout = struct.pack(">I", 2 | 4 | 8), struct.pack(">I", 3600)
    body = struct.pack("=BBH", socket.AF_INET, 0, 0) + _nest(1, forth) + _nest(2, back)
    body += _attribute(3, status) + _attribute(7, timeout)
    return struct.pack("=IHHII", 16 + len(body), 1 << 8, 0x601, number, 0) + body


def _tuple(source: bytes, target: bytes, source_port: bytes, target_port: bytes) -> bytes:
    ports = _attribute(1, bytes((socket.IPPROTO_UDP,))) + _attribute(2, source_port) + _attribute(3, target_port)
    return _nest(1, _attribute(1, source) + _attribute(2, target)) + _nest(2, ports)


def _nest(kind: int, content: bytes) -> bytes:
    return _attribute(kind | 0x8000, content)


def _attribute(kind: int, content: bytes) -> bytes:
    padded = content + bytes(-len(content) % 4)
    return struct.pack("=HH", 4 + len(content), kind) + padded


PEERS: dict[str, Callable[..., None]] = {"answer": answer, "ask": ask, "flood": flood, "track": track}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
