"""lighttpd: one process, or a parent and its workers.

Run in the foreground (``-D``). The parent of workers signals its whole process group when it ends, so it must lead a
session of its own. INT lets it finish the requests in hand, TERM does not, USR1 reloads the configuration.
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from ocf.declarations import Parameter
from ocf.faults import Kind
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.command_lines import real
from resource_agents.layouts import ConfigurationUnreadable, Layout, Request
from resource_agents.parsing import addresses, lighttpd_config
from resource_agents.processes import Process, children, look
from resource_agents.server import Command, Rung, Server, Signature

#: Options of a lighttpd that only reads its configuration, and is no server: such a one may run at any time.
_LOOKING = frozenset({"-t", "-tt", "-p", "-V", "-v", "-h"})


class Lighttpd(Server):
    """One lighttpd, known by its program and its configuration file."""

    program_names, program_parameter = ("lighttpd",), "httpd"
    name = "lighttpd"
    title = "lighttpd web server"
    gentle = (Rung(signal.SIGINT, 0.6), Rung(signal.SIGTERM, 0.2))
    backlog_directive = "server.listen-backlog"
    files_directive = "server.max-fds"
    reload_signal = signal.SIGUSR1
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("configfile", "string", "/etc/lighttpd/lighttpd.conf", "configuration file", unique=True),
        Parameter("httpd", "string", "", "lighttpd program", "Empty: lighttpd in the usual directories."),
        Parameter("port", "integer", "", "port to ask", "Empty: the first that the configuration file opens."),
        Parameter(
            "statusurl",
            "string",
            "",
            "URL that says whether lighttpd works",
            "Empty: the status.status-url of the configuration file, or / where there is none, for which any answer "
            "below 500 is a good one.",
            reloadable=True,
        ),
        Parameter("testregex", "string", "", "regular expression that the page must match", reloadable=True),
    )
    signatures: ClassVar[tuple[Signature, ...]] = (
        Signature(r"can't bind to socket: .*Address already in use", "port-taken", Kind.HOST),
        Signature(r"can't bind to socket: .*Cannot assign requested", "service-address-missing", Kind.HOST),
        Signature(r"can't bind to socket: .*Permission denied", "no-privilege-for-port", Kind.CONFIGURATION),
        Signature(r"can't bind to socket: ", "bind-failed", Kind.HOST),
        Signature(r"opening configfile .* failed", "config-missing", Kind.CONFIGURATION),
        Signature(r"source: .* line: \d+ pos: \d+ parser failed", "config-error", Kind.CONFIGURATION),
        Signature(r"Undefined config variable|Duplicate config variable", "config-error", Kind.CONFIGURATION),
        Signature(r"include file not found|server\.document-root is not set", "config-error", Kind.CONFIGURATION),
        Signature(r"can't find (user|group)name", "user-or-group", Kind.CONFIGURATION),
        Signature(r"dlopen\(\) failed for", "module-missing", Kind.HOST, "install the package with this module"),
        Signature(r"opening errorlog .* failed", "log-unwritable", Kind.HOST),
        Signature(r"opening pid-file failed", "pid-file", Kind.HOST, "make the directory of server.pid-file"),
        Signature(r"(?i)No space left on device", "disk-full", Kind.HOST),
        Signature(r"sockets disabled, out-of-fds", "fd-limit", Kind.RESOURCE, "raise server.max-fds"),
        Signature(
            r"sockets disabled, connection limit reached",
            "connection-limit",
            Kind.RESOURCE,
            "raise server.max-connections",
        ),
    )

    @property
    def binary(self) -> str:
        path = PLAIN_ENVIRONMENT["PATH"]
        return self.values["httpd"] or shutil.which("lighttpd", path=path) or "/usr/sbin/lighttpd"

    def read_layout(self) -> Layout:
        said = lighttpd_config.read(self.values["configfile"], PLAIN_ENVIRONMENT)
        return Layout(
            addresses=said.addresses,
            pidfile=said.pidfile,
            user=said.user,
            error_log=said.error_log,
            request=self._request(said),
            files=said.files,
            writes=tuple(filter(None, (said.error_log, said.pidfile))),
        )

    def _request(self, said: lighttpd_config.Lighttpd) -> Request | None:
        pattern = self.values["testregex"]
        if self.values["statusurl"] or not said.addresses:
            return Request(self.values["statusurl"], pattern=pattern) if self.values["statusurl"] else None
        asked = said.addresses[0]
        if self.values["port"]:
            asked = replace(asked, port=int(self.values["port"]))
        if said.status_path:
            return Request(addresses.url(asked, said.status_path), pattern=pattern)
        return Request(addresses.url(asked), expect=((100, 499),), pattern=pattern)

    def start_command(self) -> Command:
        return Command((self.binary, "-D", "-f", self.values["configfile"]), PLAIN_ENVIRONMENT)

    def check_command(self) -> Command:
        return Command((self.binary, "-tt", "-f", self.values["configfile"]), PLAIN_ENVIRONMENT)

    def is_main(self, process: Process) -> bool:
        if not self._configured(process):
            return False
        parent = look(process.ppid)
        if parent is not None and self._configured(parent):
            return False
        return not self._workers or process.pid == process.sid or bool(children(process.pid))

    def is_child(self, process: Process) -> bool:
        return self._configured(process)

    def _configured(self, process: Process) -> bool:
        """Whether it is a lighttpd with our configuration file; workers have the argument list of their parent."""
        if not self.is_kin(process):
            return False
        words = (*process.argv[1:], "")
        if _LOOKING & set(words):
            return False
        named = [words[at + 1] if word == "-f" else word[2:] for at, word in enumerate(words) if word.startswith("-f")]
        return bool(named) and real(process, named[-1]) == os.path.realpath(self.values["configfile"])

    @cached_property
    def _workers(self) -> bool:
        try:
            return bool(lighttpd_config.read(self.values["configfile"], PLAIN_ENVIRONMENT).workers)
        except ConfigurationUnreadable:
            return False


AGENT = Lighttpd
