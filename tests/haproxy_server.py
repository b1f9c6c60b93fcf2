"""A private HAProxy on a free loopback port, with a stats socket and a monitor URI."""

from __future__ import annotations

from pathlib import Path

from resource_agents.haproxy import Haproxy
from tests.ports import free_port
from tests.private_server import PrivateServer

CONFIGURATION = """\
global
    stats socket {folder}/stats.sock
    pidfile {folder}/pid
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    monitor-uri /alive
"""


class HaproxyServer(PrivateServer):
    """HAProxy below ``folder``, with or without a master; ``more`` lines of configuration follow the usual ones."""

    def __init__(self, folder: Path, more: str = "", **values: str) -> None:
        self.port = free_port()
        self.configfile = folder / "haproxy.cfg"
        self.configfile.write_text(CONFIGURATION.format(folder=folder, port=self.port) + more)
        super().__init__(folder, lambda: Haproxy({"configfile": str(self.configfile), **values}))
