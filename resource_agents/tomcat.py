"""Apache Tomcat: catalina.sh, jsvc (daemon.sh) and packaged layouts, any number of instances by CATALINA_BASE.

It is run in the foreground, so that the pid is the JVM's own: ``catalina.sh start`` says that all is well before the
JVM has read a line of configuration. An instance is known by ``-Dcatalina.base`` among the words of a Java program,
never by a pid file. TERM lets the JVM's shutdown hook stop Tomcat in order, without the second JVM that
``catalina.sh stop`` needs. There is no configuration test: ``configtest`` opens the connectors, and so fails beside the
instance that it is for.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from ocf.declarations import ParameterError, truth
from ocf.faults import Fault
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents import tomcat_dump, tomcat_start
from resource_agents.layouts import Address, Exchange, Layout, Request
from resource_agents.parsing import addresses, tomcat_config
from resource_agents.processes import Process, children, look
from resource_agents.server import Command, Rung, Server
from resource_agents.tomcat_parameters import PARAMETERS
from resource_agents.tomcat_signatures import SIGNATURES, records

#: AJP's CPING packet, and the CPONG that a living connector gives (measured on Tomcat 10.1).
CPING, CPONG = b"\x12\x34\x00\x01\x0a", b"\x41\x42\x00\x01\x09"


class Tomcat(Server):
    """One Tomcat instance."""

    name = "tomcat"
    title = "Apache Tomcat"
    signatures = SIGNATURES
    gentle = (Rung(signal.SIGTERM, 0.85),)
    backlog_directive = "acceptCount of the Connector"
    parameters = PARAMETERS

    def __init__(self, values: Mapping[str, str], instance: str = "default") -> None:
        super().__init__(values, instance)
        for name in ("max_stop_time", "catalina_rotatetime"):
            if self.values[name].startswith("-"):
                raise ParameterError(f"{name} = {self.values[name]} is below 0")

    @property
    def home(self) -> str:
        return self.values["catalina_home"].rstrip("/")

    @property
    def base(self) -> str:
        return self.values["catalina_base"].rstrip("/") or self.home

    @property
    def script(self) -> str:
        """The start script; empty when there is none."""
        found = (f"{self.home}/bin/catalina.sh", "/usr/sbin/tomcat", "/usr/sbin/tomcat6")
        return self.values["tomcat_start_script"] or next((path for path in found if os.path.exists(path)), "")

    @property
    def binary(self) -> str:
        if tomcat_start.way(self.script) is not tomcat_start.Start.JSVC:
            return f"{self.values['java_home'].rstrip('/')}/bin/java"
        beside = (f"{self.base}/bin/jsvc", f"{self.home}/bin/jsvc")
        return next((path for path in beside if os.access(path, os.X_OK)), _program("jsvc") or "/usr/bin/jsvc")

    @property
    def forks(self) -> bool:
        return self._systemd or tomcat_start.way(self.script) is tomcat_start.Start.SCRIPT

    def missing(self) -> str:
        if self._systemd:
            return "" if _program("systemctl") else "systemctl is not there"
        for name in ("catalina_home", "java_home"):
            if not self.values[name]:
                return f"{name} is not set"
            if not os.path.isdir(self.values[name]):
                return f"{name} {self.values[name]} is not a directory"
        for path in (f"{self.values['java_home'].rstrip('/')}/bin/java", self.binary, self.script):
            if not os.access(path, os.X_OK):
                return f"{path or 'a start script for Tomcat'} is not there or cannot be executed"
        rotates = truth(self.values["catalina_rotate_log"])
        return "rotatelogs is not there, which catalina_rotate_log needs" if rotates and not self._rotatelogs else ""

    def read_layout(self) -> Layout:
        conf = Path(self.base, "conf")
        setenv = tomcat_config.first((Path(self.base, "bin/setenv.sh"), Path(self.home, "bin/setenv.sh")))
        known = {
            **tomcat_config.options(f"{self.values['java_opts']} {self.values['catalina_opts']} {setenv}"),
            "catalina.base": self.base,
            "catalina.home": self.home,
            **tomcat_config.properties(tomcat_config.first((conf / "catalina.properties",))),
        }
        found = tomcat_config.read(str(conf / "server.xml"), known)
        return Layout(
            addresses=(*found.http, *found.ajp, *((found.shutdown,) if found.shutdown else ())),
            pidfile=self.values["catalina_pid"],
            user=self.values["tomcat_user"],
            error_log=self._log,
            request=self._request(found.http),
            exchanges=tuple(Exchange(address, CPING, CPONG) for address in found.ajp),
            files=(*found.files, str(conf / "catalina.properties")),
        )

    def _request(self, http: tuple[Address, ...]) -> Request | None:
        url, pattern = self.values["statusurl"], self.values["testregex"]
        if url:
            return Request(url if "://" in url else f"http://{url}", pattern=pattern)
        if not http:
            return None
        return Request(addresses.url(http[0]), expect=((100, 499),), pattern=pattern)

    def start_command(self) -> Command:
        if self._systemd:
            return Command(("systemctl", "start", f"tomcat@{self.values['tomcat_name']}"), PLAIN_ENVIRONMENT)
        environment = tomcat_start.environment(self.script, self.home, self.base, self.binary, self.values)
        return tomcat_start.command(self.script, self._rotatelogs, self.values, environment)

    def stop_command(self) -> Command | None:
        """Only a unit is stopped by command: systemd would answer a signal by a start of its own."""
        if not self._systemd:
            return None
        return Command(("systemctl", "stop", f"tomcat@{self.values['tomcat_name']}"), PLAIN_ENVIRONMENT)

    @property
    def ladder(self) -> tuple[Rung, ...]:
        seconds = self.values["max_stop_time"]
        return (Rung(signal.SIGTERM, 1.0, float(seconds) or math.inf),) if seconds else self.gentle

    def is_main(self, process: Process) -> bool:
        if not self.is_kin(process) or "org.apache.catalina.startup.Bootstrap" not in process.argv:
            return False
        if process.argv[-1] in ("stop", "configtest") or "-stop" in process.argv:
            return False
        names = [word for word in process.argv if word.startswith("-Dname=")]
        if names and f"-Dname={self.values['tomcat_name']}" not in names:
            return False
        parent = look(process.ppid)
        if parent is not None and self.is_kin(parent):
            return False
        orphaned = _runs(process, "jsvc") and process.pid != process.sid and not children(process.pid)
        return not orphaned

    def is_kin(self, process: Process) -> bool:
        """Any Java program of this very instance: a path of Java is shared by programs that are not Tomcat's."""
        if not _runs(process, "java", "jsvc"):
            return False
        bases = [word.partition("=")[2] for word in process.argv if word.startswith("-Dcatalina.base=")]
        return bool(self.base) and [os.path.realpath(base) for base in bases[-1:]] == [os.path.realpath(self.base)]

    def is_child(self, process: Process) -> bool:
        return self.is_kin(process)

    def before_kill(self, main: Process | None, seconds: float) -> None:
        for pid in (main.pid, *children(main.pid)) if main is not None else ():
            process = look(pid)
            if process is not None and self.is_kin(process):
                tomcat_dump.ask(process, self._log, seconds)

    def explain(self, lines: Iterable[str], reason: str) -> Fault | None:
        return super().explain(records(lines), reason)

    @property
    def _systemd(self) -> bool:
        return truth(self.values["force_systemd"])

    @property
    def _rotatelogs(self) -> str:
        return _program("rotatelogs") if truth(self.values["catalina_rotate_log"]) else ""

    @property
    def _log(self) -> str:
        if self._rotatelogs and not self.forks:
            return f"{self.base}/logs/catalina_{date.today().isoformat()}.log"
        return self.values["catalina_out"] or f"{self.base}/logs/catalina.out"


def _program(name: str) -> str:
    return shutil.which(name, path=PLAIN_ENVIRONMENT["PATH"]) or ""


def _runs(process: Process, *names: str) -> bool:
    program = os.path.basename(process.exe.removesuffix(" (deleted)") or process.argv[0])
    return program.startswith(names)


AGENT = Tomcat
