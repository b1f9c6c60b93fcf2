"""nginx: a master and its workers, or one process (``master_process off``).

It is run in the foreground (``daemon off``), unless its configuration has a ``daemon`` directive, which may not be said
twice. QUIT lets it finish the requests in hand, TERM does not, HUP rereads the configuration.

A master says so in its title, with the whole command line behind it; workers and their orphans say only what they are.
Of two masters with one configuration, as during an upgrade of the program (USR2), the older one is the main process
until it ends. An orphaned worker is this instance's when it holds none but addresses of this configuration, or writes
to its error log. Linux gives a title no more room than command line and environment had: one that was cut off within
the path is believed when the pid file and the addresses agree.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from ocf.declarations import ParameterError
from ocf.metadata import DEFAULT_OPERATIONS, Operation
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.layouts import ConfigurationUnreadable, Layout, Request
from resource_agents.listeners import listening, sockets_of
from resource_agents.nginx_parameters import PARAMETERS
from resource_agents.nginx_signatures import SIGNATURES
from resource_agents.parsing import doors, nginx_layout
from resource_agents.parsing.options import last, options, rejoined
from resource_agents.parsing.patterns import extended
from resource_agents.processes import Process, look
from resource_agents.server import Command, Rung, Server

#: Options of nginx(8) that take a value, and those with which it does something else than serve.
_VALUED, _ERRANDS = "spcge", frozenset("?hvVtTs")

_MASTER = "nginx: master process "


class Nginx(Server):
    """One nginx, known by its program and its configuration file."""

    program_names, program_parameter = ("nginx",), "httpd"
    name = "nginx"
    title = "nginx"
    parameters = PARAMETERS
    signatures = SIGNATURES
    operations = (*DEFAULT_OPERATIONS, Operation("monitor", 60, 61, 30))
    gentle = (Rung(signal.SIGQUIT, 0.5), Rung(signal.SIGTERM, 0.3))
    backlog_directive = "backlog= of the listen directive"
    files_directive = "worker_rlimit_nofile"
    reload_signal = signal.SIGHUP

    def __init__(self, values: Mapping[str, str], instance: str = "default") -> None:
        super().__init__(values, instance)
        try:
            self._words = shlex.split(self.values["options"])
        except ValueError as error:
            raise ParameterError(f"options = {self.values['options']!r} cannot be read: {error}") from None
        doors.check_port(self.values["port"])
        self._pattern10 = extended(self.values["status10regex"], "status10regex")
        self._pattern20 = extended(self.values["test20regex"], "test20regex")

    @property
    def binary(self) -> str:
        return self.values["httpd"] or shutil.which("nginx", path=PLAIN_ENVIRONMENT["PATH"]) or "/usr/sbin/nginx"

    @property
    def prefix(self) -> str:
        """The folder that relative paths count from."""
        return last(options(self._words, _VALUED), "p") or nginx_layout.compiled(self.binary).prefix

    @property
    def configfile(self) -> str:
        """The configuration file, absolute."""
        return os.path.join(self.prefix, self.values["configfile"] or nginx_layout.compiled(self.binary).configfile)

    @property
    def forks(self) -> bool:
        return self._daemon() is True

    def start_command(self) -> Command:
        foreground = "daemon off;" if self._daemon() is None else ""
        return Command((self.binary, *self._arguments(foreground)), PLAIN_ENVIRONMENT)

    def check_command(self) -> Command:
        return Command((self.binary, "-t", *self._arguments()), PLAIN_ENVIRONMENT)

    def command_at(self, level: int) -> Command | None:
        line = self.values["external_monitor30_cmd"]
        return Command(("/bin/sh", "-c", line), PLAIN_ENVIRONMENT) if level >= 30 and line else None

    def read_layout(self) -> Layout:
        said = self._said
        door = doors.choose(said.doors, self.values["port"])
        return Layout(
            addresses=doors.in_front(said.addresses, door),
            pidfile=said.pidfile,
            user=said.user,
            error_log=said.error_log,
            request=self._request(door),
            files=said.files,
            writes=said.writes,
            names=said.names,
        )

    def checks_at(self, level: int) -> tuple[Request, ...]:
        if level < 10:
            return ()
        door = doors.choose(self._said.doors, self.values["port"])
        checks = []
        if self.values["status10url"]:
            checks.append(doors.named(self.values["status10url"], self._pattern10, door))
        elif door is not None and door.path:
            checks.append(replace(doors.named(door.path, self._pattern10, door), host=door.host))
        if level >= 20 and self.values["test20conffile"]:
            checks.append(doors.tested(self.values["test20conffile"], self.values["test20name"], door))
        elif level >= 20 and self.values["test20url"]:
            checks.append(doors.named(self.values["test20url"], self._pattern20, door))
        return tuple(checks)

    def is_main(self, process: Process) -> bool:
        if process.uid not in (0, os.geteuid()) or not self._is_configured(process):
            return False
        parent = look(process.ppid)
        return parent is None or not self._is_configured(parent)

    def is_child(self, process: Process) -> bool:
        title = process.argv[0]
        serves = self.is_kin(process) and title.startswith("nginx: ") and not title.startswith(_MASTER)
        return serves and self._holds_ours(process)

    def _is_at_work(self, process: Process) -> bool:
        """Whether the pid file names it and it serves our addresses: for a title that was cut off in the path."""
        try:
            pidfile = self.layout.pidfile
        except ConfigurationUnreadable:
            return False
        return doors.pid_in(pidfile) == process.pid and self._holds_ours(process)

    def _holds_ours(self, process: Process) -> bool:
        try:
            layout = self.layout
        except ConfigurationUnreadable:
            return False
        ours = {(address.host, address.port) for address in layout.addresses}
        sockets = sockets_of(process.pid)
        held = {(listener.host, listener.port) for listener in listening() if listener.inode in sockets}
        return bool(held) and (held <= ours or _has_open(process.pid, layout.error_log))

    def _is_configured(self, process: Process) -> bool:
        """Whether it is an nginx that serves, or is about to, with our configuration file."""
        if not self.is_kin(process):
            return False
        title = process.argv[0]
        if title.startswith("nginx: ") and not title.startswith(_MASTER):
            return False
        words = rejoined(title.removeprefix(_MASTER)) if title.startswith(_MASTER) else list(process.argv)
        asked = options(words[1:], _VALUED)
        if any(letter in _ERRANDS for letter, _ in asked):
            return False
        program = nginx_layout.compiled(self.binary)
        path = os.path.join(last(asked, "p") or program.prefix, last(asked, "c") or program.configfile)
        if path == self.configfile or os.path.realpath(path) == os.path.realpath(self.configfile):
            return True
        return title.endswith(path) and self.configfile.startswith(path) and self._is_at_work(process)

    def _arguments(self, directives: str = "") -> list[str]:
        """The words after the program; of several ``-g`` nginx heeds only the last, so all are made one."""
        asked = options(self._words, _VALUED)
        given = " ".join(part for part in (directives, last(asked, "g")) if part)
        others = [f"-{letter}{value}" for letter, value in asked if letter not in "cg"]
        return ["-c", self.configfile, *others, *(["-g", given] if given else [])]

    def _daemon(self) -> bool | None:
        try:
            return self._said.daemon
        except ConfigurationUnreadable:
            return None

    @cached_property
    def _said(self) -> nginx_layout.Nginx:
        return nginx_layout.read(self.binary, self.configfile, self.prefix, last(options(self._words, _VALUED), "g"))

    def _request(self, door: doors.Door | None) -> Request | None:
        if self.values["status10url"]:
            return doors.named(self.values["status10url"], self._pattern10, door)
        if self.values["test20url"] and not self.values["test20conffile"]:
            return doors.named(self.values["test20url"], self._pattern20, door)
        return doors.own(door) if door else None


def _has_open(pid: int, path: str) -> bool:
    """Whether the process has this file open; a file that was removed meanwhile counts."""
    if not path:
        return False
    try:
        targets = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    return path in (target.removesuffix(" (deleted)") for target in targets)


AGENT = Nginx
