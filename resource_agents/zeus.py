"""Zeus Web Server 3.x/4.x, and the traffic manager that came from it (Zeus, Riverbed, Brocade, Pulse, Ivanti).

Neither product could be obtained: never run against the real thing. Sourced are the directories, the scripts, the log's
form and the site files; process names, pid file and the site files' address keys are not, and can all be overridden.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ocf.declarations import Parameter, ParameterError
from ocf.faults import Fault, Kind
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.layouts import Address, ConfigurationUnreadable, Layout, Request
from resource_agents.parsing import zeus_config
from resource_agents.processes import Process, children, look
from resource_agents.server import Command, Server, Signature

_UNVERIFIED = "Not verified with the real product; override it where yours differs."
_PIDFILES = ("web/internal/pid", "zxtm/internal/pid")


class Zeus(Server):
    """The web server of one ZEUSHOME. Its administration server is another program and is left alone by signals."""

    name: ClassVar[str] = "zeus"
    title: ClassVar[str] = "Zeus Web Server and Zeus/Riverbed/Ivanti Traffic Manager"
    reload_signal = signal.SIGHUP
    # Severities and components are documented; a child's silence and the operating system's words are not verified.
    signatures = (
        Signature(r"\bFATAL:", "fatal", Kind.RESOURCE, "the product's own message says why"),
        Signature(r"\bSERIOUS:.*(?:CGId|zeus\.isapi)", "helper-process-failure", Kind.RESOURCE),
        Signature(r"(?i)child.*(?:not respond|did not answer|has not answered).*second", "child-stuck", Kind.RESOURCE,
                  "the parent replaces a stuck child itself: wait"),
        Signature(r"\bSERIOUS:.*(?i:address already in use)", "port-taken", Kind.HOST, "see who listens: ss -ltnp"),
        Signature(r"\bSERIOUS:.*(?i:cannot assign requested address)", "service-address-missing", Kind.HOST),
    )  # fmt: skip
    parameters = (
        Parameter("zeushome", "string", "/usr/local/zeus", "ZEUSHOME, where the product is installed", unique=True),
        Parameter("start_cmd", "string", "", "command that starts it; $ZEUSHOME/start-zeus if empty"),
        Parameter("stop_cmd", "string", "", "command that stops it; $ZEUSHOME/stop-zeus if empty, none: signals only",
                  "Tried first at a gentle stop; its exit status is not believed, signals follow."),
        Parameter("restart_cmd", "string", "", "command that takes new settings; HUP to the server if empty",
                  "Such as $ZEUSHOME/restart-zeus, which ends the server for a moment. That HUP is enough is known for "
                  "the traffic manager only."),
        Parameter("process_pattern", "string", r"zeus\.(web|zxtm)", "regular expression: name of the server's program",
                  f"The whole bare name must match. {_UNVERIFIED}"),
        Parameter("helper_pattern", "string", r"zeus\.(cgid|statd|eventd|autoscaler)",
                  "regular expression: names of helper programs that end with the server", _UNVERIFIED),
        Parameter("pidfile", "string", "", "pid file, its first word is the pid; searched below ZEUSHOME if empty",
                  f"Only a hint: processes are told by program and parent. {_UNVERIFIED}"),
        Parameter("configdir", "string", "", "directory of the running sites; $ZEUSHOME/web/conf/runningsites if empty",
                  "An empty directory means that no site runs, which is not a fault."),
        Parameter("address_keys", "string", "address ip ipaddress ip_address bind",
                  "keys of a site's file that may hold its address, best first", _UNVERIFIED),
        Parameter("port_keys", "string", "port listen_port",
                  "keys of a site's file that may hold its port, best first", _UNVERIFIED),
        Parameter("statusurl", "string", "", "URL or path to ask; / on the first site if empty", reloadable=True),
        Parameter("testregex", "string", "", "regular expression that the page must match", reloadable=True),
        Parameter("port", "integer", "", "port to ask where the sites' files do not tell", reloadable=True),
        Parameter("errorlog", "string", "", "error log; $ZEUSHOME/web/log/errors if empty"),
        Parameter("grace", "integer", "5", "seconds in which the parent process may replace a child", _UNVERIFIED,
                  reloadable=True),
    )  # fmt: skip

    @cached_property
    def home(self) -> Path:
        return Path(self.values["zeushome"] or "/usr/local/zeus")

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        try:
            return re.compile(self.values["process_pattern"]), re.compile(self.values["helper_pattern"])
        except re.error as error:
            raise ParameterError(f"process_pattern or helper_pattern is not a regular expression: {error}") from None

    # -- what the configuration says ---------------------------------------------------------------------------------

    def read_layout(self) -> Layout:
        sites = Path(self.values["configdir"] or self.home / "web/conf/runningsites")
        words = self.values["address_keys"].lower().split(), self.values["port_keys"].lower().split()
        try:
            found = zeus_config.read_sites(sites, *words)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
            raise ConfigurationUnreadable(Fault("config-error", Kind.CONFIGURATION, reason, reason)) from None
        if not found and self.values["port"]:
            found = (Address("", int(self.values["port"])),)
        tunables = self.home / ("web/global.cfg" if (self.home / "web/global.cfg").exists() else "zxtm/global.cfg")
        return Layout(
            addresses=found,
            pidfile=self._pidfile,
            error_log=self.values["errorlog"] or str(self.home / "web/log/errors"),
            request=self._request(found),
            files=(str(tunables), *(str(path) for path in zeus_config.site_files(sites))),
        )

    @property
    def _pidfile(self) -> str:
        if self.values["pidfile"]:
            return self.values["pidfile"]
        places = [str(self.home / place) for place in _PIDFILES]
        return next((path for path in places if os.path.exists(path)), places[0])

    def _request(self, addresses: tuple[Address, ...]) -> Request | None:
        wanted = self.values["statusurl"] or "/"
        if not wanted.startswith("/"):
            return Request(wanted, expect=((200, 399), (401, 401)), pattern=self.values["testregex"])
        port = self.values["port"]
        chosen = next((each for each in addresses if not port or each.port == int(port)), None)
        if chosen is None:
            return None
        place = Address(chosen.host or "127.0.0.1", chosen.port)
        url = f"{'https' if chosen.tls else 'http'}://{place}{wanted}"
        return Request(url, expect=((200, 399), (401, 401)), pattern=self.values["testregex"])

    # -- commands ----------------------------------------------------------------------------------------------------

    @cached_property
    def binary(self) -> str:
        places = ("web/bin/zeus.web", "zxtm/bin/zeus.zxtm")
        return str(next((self.home / place for place in places if (self.home / place).exists()), self.home / places[0]))

    def _command(self, parameter: str, script: str) -> Command:
        argv = tuple(shlex.split(self.values[parameter])) or (str(self.home / script),)
        return Command(argv, {**PLAIN_ENVIRONMENT, "ZEUSHOME": str(self.home)})

    def start_command(self) -> Command:
        return self._command("start_cmd", "start-zeus")

    def stop_command(self) -> Command | None:
        return None if self.values["stop_cmd"] == "none" else self._command("stop_cmd", "stop-zeus")

    def reload_command(self) -> Command | None:
        return self._command("restart_cmd", "restart-zeus") if self.values["restart_cmd"] else None

    @property
    def forks(self) -> bool:
        return True

    @property
    def grace(self) -> float:
        return float(self.values["grace"] or 0)

    def missing(self) -> str:
        script = self.start_command().argv[0]
        return "" if os.access(script, os.X_OK) else f"{script} is not there or not executable"

    # -- processes ---------------------------------------------------------------------------------------------------

    def _runs(self, process: Process | None, *patterns: re.Pattern[str]) -> bool:
        """Whether a living process runs a program of this ZEUSHOME whose bare name matches."""
        if process is None or process.dead:
            return False
        exe = process.exe.removesuffix(" (deleted)") or (process.argv[0] if process.argv else "")
        inside = os.path.realpath(exe).startswith(os.path.realpath(self.home) + "/")
        return inside and any(pattern.fullmatch(os.path.basename(exe)) for pattern in patterns)

    def is_main(self, process: Process) -> bool:
        """The topmost of its kind that leads its group, has children of its kind, or is named by the pid file.

        Orphans of a killed parent are topmost as well, but they lead nothing and have nobody below them.
        """
        server, _ = self._patterns
        if not self._runs(process, server) or self._runs(look(process.ppid), server):
            return False
        if process.pid in (process.pgid, process.sid) or self._named() == process.pid:
            return True
        return any(self._runs(look(pid), server) for pid in children(process.pid))

    def is_kin(self, process: Process) -> bool:
        return self._runs(process, *self._patterns)

    def claims(self, process: Process) -> bool:
        return self.is_kin(process)

    def is_child(self, process: Process) -> bool:
        return self.is_kin(process)

    def _named(self) -> int:
        try:
            with open(self._pidfile, "rb") as file:
                return int(file.read(64).split()[0])
        except (OSError, ValueError, IndexError):
            return 0


AGENT = Zeus
