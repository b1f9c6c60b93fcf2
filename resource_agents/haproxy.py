"""HAProxy: a master with a worker (``-W``), or one process.

Run in the foreground (``-db``). A worker ends when its master is gone, and the master ends when its worker dies. USR1
lets the connections in hand end, TERM does not; USR2 makes a master load the configuration anew, and would kill a
HAProxy without one. HAProxy is asked what it answers by itself: monitor-uri, else its stats socket. A page of a backend
would blame it for what others do.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from typing import ClassVar

from ocf.declarations import Parameter, truth
from ocf.faults import Kind
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.command_lines import real
from resource_agents.layouts import Exchange, Layout, Request
from resource_agents.parsing import addresses, haproxy_config
from resource_agents.processes import Process, children, look
from resource_agents.server import Command, Rung, Server, Signature

_FREE = "end what holds the address, or bind another one"


class Haproxy(Server):
    """One HAProxy, known by its program and its configuration files."""

    program_names, program_parameter = ("haproxy",), "binary"
    name = "haproxy"
    title = "HAProxy load balancer"
    gentle = (Rung(signal.SIGUSR1, 0.5), Rung(signal.SIGTERM, 0.2))
    backlog_directive = "backlog"
    files_directive = "ulimit-n of the global section, or fd-hard-limit,"
    reload_signal = signal.SIGUSR2
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "configfile",
            "string",
            "/etc/haproxy/haproxy.cfg",
            "configuration files and folders, in order",
            "Several are separated by spaces, as words of a shell are. Of a folder, the *.cfg files are read.",
            unique=True,
        ),
        Parameter("binary", "string", "", "HAProxy program", "Empty: haproxy in the usual directories."),
        Parameter("options", "string", "", "further words of the command line, such as -S /run/haproxy-master.sock"),
        Parameter(
            "master_worker",
            "boolean",
            "true",
            "run a master with a worker",
            "Without a master HAProxy cannot load a changed configuration while it runs.",
        ),
        Parameter(
            "statusurl",
            "string",
            "",
            "URL that says whether HAProxy works",
            "Empty: monitor-uri of a frontend, else 'show info' on the first stats socket, else a connection.",
            reloadable=True,
        ),
        Parameter("testregex", "string", "", "regular expression that the page must match", reloadable=True),
    )
    signatures: ClassVar[tuple[Signature, ...]] = (
        Signature(r"cannot bind socket.*Address already in use", "port-taken", Kind.HOST, _FREE),
        Signature(r"cannot bind socket.*Cannot assign requested", "service-address-missing", Kind.HOST),
        Signature(r"cannot bind socket.*Permission denied", "no-privilege-for-port", Kind.CONFIGURATION),
        Signature(r"cannot bind UNIX socket", "socket-path", Kind.HOST, "make the directory of the socket"),
        Signature(r"cannot bind", "bind-failed", Kind.HOST),
        Signature(r"\[ALERT\].*(SSL certificate|private key)", "certificate-or-key", Kind.CONFIGURATION),
        Signature(r"cannot find (user|group) id", "user-or-group", Kind.CONFIGURATION),
        Signature(r"could not resolve address", "name-resolution", Kind.DEPENDENCY),
        Signature(r"Cannot open configuration file", "config-missing", Kind.CONFIGURATION),
        Signature(r"\[ALERT\].* config : ", "config-error", Kind.CONFIGURATION),
        Signature(
            r"Cannot raise FD limit", "fd-limit", Kind.CONFIGURATION, "raise the limit of open files or lower maxconn"
        ),
        Signature(r"Cannot chroot", "chroot-missing", Kind.HOST),
        Signature(r"Cannot create pidfile", "pid-file", Kind.HOST, "make the directory of the pid file"),
        Signature(r"(?i)worker .* exited with code (?!0 )\d+", "worker-died", Kind.RESOURCE),
        Signature(r"has no server available", "backend-down", Kind.DEPENDENCY, "HAProxy works; its servers do not"),
    )

    @property
    def binary(self) -> str:
        path = PLAIN_ENVIRONMENT["PATH"]
        return self.values["binary"] or shutil.which("haproxy", path=path) or "/usr/sbin/haproxy"

    @property
    def _configured(self) -> tuple[str, ...]:
        return tuple(word for path in shlex.split(self.values["configfile"]) for word in ("-f", path))

    def read_layout(self) -> Layout:
        said = haproxy_config.read(self._configured[1::2], PLAIN_ENVIRONMENT)
        request = self._request(said)
        exchanges: tuple[Exchange, ...] = ()
        if said.stats:
            exchanges = (Exchange(said.stats, b"show info\n", b"Name: HAProxy"),)
        elif request is None and said.addresses:
            exchanges = (Exchange(said.addresses[0]),)
        return Layout(
            addresses=said.addresses,
            pidfile=said.pidfile,
            user=said.user,
            request=request,
            exchanges=exchanges,
            files=said.files,
        )

    def _request(self, said: haproxy_config.Haproxy) -> Request | None:
        url = self.values["statusurl"] or (addresses.url(*said.monitor) if said.monitor else "")
        return Request(url, pattern=self.values["testregex"]) if url else None

    def start_command(self) -> Command:
        master = ("-W",) if truth(self.values["master_worker"]) else ()
        own = shlex.split(self.values["options"])
        return Command((self.binary, *master, "-db", *self._configured, *own), PLAIN_ENVIRONMENT)

    def check_command(self) -> Command:
        return Command((self.binary, "-c", *self._configured), PLAIN_ENVIRONMENT)

    @property
    def reloads_with(self) -> int | None:
        return self.reload_signal if truth(self.values["master_worker"]) else None

    def is_main(self, process: Process) -> bool:
        if not self.is_child(process):
            return False
        parent = look(process.ppid)
        if parent is not None and self.is_child(parent):
            return False
        single = not {"-W", "-Ws"} & set(process.argv)
        return single or process.pid == process.sid or bool(children(process.pid))

    def is_child(self, process: Process) -> bool:
        """Master and worker have the same words; a reload puts more of them in front."""
        if not self.is_kin(process):
            return False
        ours = [os.path.realpath(path) for path in self._configured[1::2]]
        return [real(process, path) for path in _files(process.argv)] == ours


def _files(argv: tuple[str, ...]) -> list[str]:
    """The configuration files of a HAProxy command line: ``-f`` takes words up to the next option, ``--`` the rest."""
    found: list[str] = []
    taking = rest = False
    for word in argv[1:]:
        if rest or (taking and not word.startswith("-")):
            found.append(word)
        else:
            taking, rest = word == "-f", word == "--"
    return found


AGENT = Haproxy
