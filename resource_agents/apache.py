"""Apache httpd, with any of its process models (prefork, worker, event).

It is run in the foreground (``-DFOREGROUND``), so that the process that is spawned is the parent itself. WINCH lets it
finish the requests in hand (it closes its listeners and removes its pid file at once), TERM does not, USR1 rereads the
configuration: only after a good test, since a parent that finds its configuration broken ends.

The parent is told from its children, which have its argument list, by its process group: it makes itself a leader in
the background and in the foreground (APR, apr_proc_detach), and neither children nor their orphans ever lead one. A
parent whose command line is ``-k restart`` or ``-k graceful`` (they start a stopped server) is believed only when the
pid file names it, since the short-lived sender of that signal looks the same.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache

from ocf.declarations import ParameterError, truth
from ocf.faults import Fault
from resource_agents.apache_parameters import PARAMETERS
from resource_agents.apache_signatures import SIGNATURES
from resource_agents.layouts import ConfigurationUnreadable, Layout, Request
from resource_agents.parsing import apache_layout, doors
from resource_agents.parsing.apache_program import compiled
from resource_agents.parsing.envfiles import evaluated
from resource_agents.parsing.options import last, options
from resource_agents.parsing.patterns import extended
from resource_agents.processes import Process, look
from resource_agents.server import Command, Rung, Server

_CONFIGS = ("/etc/apache2/httpd.conf", "/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
_PROGRAMS = ("/sbin/httpd2", "/usr/sbin/httpd2", "/usr/sbin/apache2", "/sbin/httpd", "/usr/sbin/httpd")
_RARE = ("/usr/sbin/apache", "/opt/IBMHTTPServer/bin/httpd", "/usr/local/apache2/bin/httpd")
_MODELS = ("", "-prefork", "-worker", "-event", ".worker", ".event")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}

#: Options of httpd(8) that take a value, and those with which it answers a question and ends.
_VALUED, _QUESTIONS = "DCcdfkeE", frozenset("tSvVlLMh?")


class Apache(Server):
    """One Apache httpd, known by its program and its configuration file."""

    name = "apache"
    title = "Apache httpd"
    parameters = PARAMETERS
    signatures = SIGNATURES
    gentle = (Rung(signal.SIGWINCH, 0.5), Rung(signal.SIGTERM, 0.3))
    backlog_directive = "ListenBackLog"
    files_directive = "ulimit -n before httpd starts (LimitNOFILE of its unit)"
    program_names, program_parameter = ("httpd", "apache"), "httpd"
    reload_signal = signal.SIGUSR1

    def __init__(self, values: Mapping[str, str], instance: str = "default") -> None:
        super().__init__(values, instance)
        try:
            self._words = shlex.split(self.values["options"])
        except ValueError as error:
            raise ParameterError(f"options = {self.values['options']!r} cannot be read: {error}") from None
        doors.check_port(self.values["port"])
        self._pattern = extended(self.values["testregex"], "testregex")
        self._pattern10 = extended(self.values["testregex10"], "testregex10")

    @property
    def binary(self) -> str:
        given = self.values["httpd"]
        return doors.found((given, *_PROGRAMS, *_RARE)) or given or "/usr/sbin/httpd"

    @property
    def programs(self) -> frozenset[str]:
        return _real_programs(self.binary)

    @property
    def configfile(self) -> str:
        """The configuration file, absolute."""
        given = self.values["configfile"] or next((path for path in _CONFIGS if os.path.exists(path)), _CONFIGS[-1])
        return given if given.startswith("/") else os.path.join(compiled(self.binary).root, given)

    def start_command(self) -> Command:
        return self._command("-DFOREGROUND")

    def check_command(self) -> Command:
        return self._command("-t")

    def read_layout(self) -> Layout:
        said = self._said
        door = doors.choose(said.doors, self.values["port"], truth(self.values["use_ipv6"]))
        return Layout(
            addresses=doors.in_front(said.addresses, door),
            pidfile=said.pidfile,
            user=said.user,
            error_log=said.error_log,
            request=self._request(door),
            files=(*said.files, *self._envfiles()),
            semaphores=said.semaphores,
            writes=said.writes,
            names=said.names,
        )

    def checks_at(self, level: int) -> tuple[Request, ...]:
        if level < 10:
            return ()
        door = doors.choose(self._said.doors, self.values["port"])
        if self.values["testconffile"]:
            return (doors.tested(self.values["testconffile"], self.values["testname"], door),)
        return (doors.named(self.values["testurl"], self._pattern10, door),) if self.values["testurl"] else ()

    def is_main(self, process: Process) -> bool:
        if process.pid != process.pgid or process.uid not in (0, os.geteuid()) or not self.is_child(process):
            return False
        parent = look(process.ppid)
        if parent is not None and self.is_child(parent):
            return False
        asked = options(process.argv[1:], _VALUED)
        if last(asked, "k") in ("", "start"):
            return not any(letter in _QUESTIONS for letter, _ in asked)
        return last(asked, "k") in ("restart", "graceful") and doors.pid_in(self._pidfile()) == process.pid

    def is_child(self, process: Process) -> bool:
        """Whether it is an httpd with our configuration file, parent or child: they have the same argument list."""
        if not self.is_kin(process):
            return False
        asked = options(process.argv[1:], _VALUED)
        if not last(asked, "f").startswith("/"):
            program = compiled(self.binary)
            root = last(asked, "d") or program.root
            path = os.path.join(root, last(asked, "f") or program.configfile)
        else:
            path = last(asked, "f")
        return path == self.configfile or os.path.realpath(path) == os.path.realpath(self.configfile)

    def explain(self, lines: Iterable[str], reason: str) -> Fault | None:
        return super().explain(_sentences(lines), reason)

    def _pidfile(self) -> str:
        try:
            return self.layout.pidfile
        except ConfigurationUnreadable:
            return ""

    def _request(self, door: doors.Door | None) -> Request | None:
        if self.values["statusurl"]:
            return doors.named(self.values["statusurl"], self._pattern, door)
        if self.values["testurl"] and not self.values["testconffile"]:
            return doors.named(self.values["testurl"], self._pattern10, door)
        return doors.own(door, "?auto") if door else None

    def _command(self, mode: str) -> Command:
        return Command((self.binary, "-DSTATUS", mode, *self._options(), "-f", self.configfile), self._environment())

    def _options(self) -> list[str]:
        """The words given, and ServerRoot for an instance in Debian's way (/etc/apache2-NAME), as apache2ctl does."""
        folder = os.path.dirname(self.configfile)
        if folder.startswith("/etc/apache2-") and not last(options(self._words, _VALUED), "d"):
            return ["-d", folder, *self._words]
        return self._words

    def _envfiles(self) -> tuple[str, ...]:
        beside = os.path.join(os.path.dirname(self.configfile), "envvars")
        if "envfiles" not in self.given and os.path.isfile(beside):
            return (beside,)
        return tuple(self.values["envfiles"].split())

    def _base_environment(self) -> dict[str, str]:
        folder = os.path.dirname(self.configfile)
        return {**_ENVIRONMENT, "APACHE_CONFDIR": folder} if folder.startswith("/etc/apache2") else _ENVIRONMENT

    def _environment(self) -> dict[str, str]:
        try:
            return evaluated(self._envfiles(), self._base_environment())
        except ConfigurationUnreadable:  # Apache may do without; when it cannot, read_layout has the reason
            return self._base_environment()

    @cached_property
    def _said(self) -> apache_layout.Apache:
        asked = options(self._options(), _VALUED)
        binary, configfile = self.binary, self.configfile
        said = apache_layout.Asked(
            binary=binary,
            configfile=configfile,
            root=last(asked, "d") or compiled(binary).root or os.path.dirname(os.path.dirname(configfile)),
            environment=evaluated(self._envfiles(), self._base_environment()),
            defines=("STATUS", "FOREGROUND", *(value for letter, value in asked if letter == "D")),
            before=tuple(value for letter, value in asked if letter == "C"),
            after=tuple(value for letter, value in asked if letter == "c"),
        )
        return apache_layout.read(said)


def _sentences(lines: Iterable[str]) -> Iterator[str]:
    """The lines, one that ends with a colon together with the next: where a mistake is, and what it is."""
    begun = ""
    for line in lines:
        if line.rstrip().endswith(":") and not begun:
            begun = line.rstrip()
            continue
        yield f"{begun} {line.strip()}" if begun else line
        begun = ""
    if begun:
        yield begun


@lru_cache(maxsize=64)
def _real_programs(binary: str) -> frozenset[str]:
    """The program's real path, and those of its process models where a distribution has one program for each."""
    real = os.path.realpath(binary)
    return frozenset({real} | {os.path.realpath(binary + model) for model in _MODELS if os.path.exists(binary + model)})


AGENT = Apache
