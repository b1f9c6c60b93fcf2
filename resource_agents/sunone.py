"""Sun ONE / iPlanet / Sun Java System / Oracle iPlanet Web Server, 6.0, 6.1 and 7.0.

A watchdog owns the listening sockets, a primordial replaces dead workers, workers serve. State is read from processes
(exactly ``-d INSTANCE/config``) and an HTTP answer; the exit statuses of the scripts are not believed: startserv says 0
when a stranger has the old pid, stopserv says 0 when it looked in the wrong place and 1 when it stopped the hard way.
A stop is signals to the watchdog that was found; stopserv would signal whatever the pid file names.

Facts: a 7.0-style server observed running. 6.x from its manuals only: never run against the real product.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ocf.declarations import Parameter
from ocf.faults import Fault
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.layouts import Address, Layout, Request
from resource_agents.parsing import sunone_config
from resource_agents.processes import Process
from resource_agents.server import Command, Rung, Server
from resource_agents.sunone_family import Family, Names, assess, belongs, gather, option, replaceable
from resource_agents.sunone_signatures import SIGNATURES

_UNVERIFIED = "Releases 6.0 and 6.1 were never at hand: what is said of them comes from their manuals."

#: Seconds that an orderly end takes besides the waiting for busy sessions; 1 to 2 were seen.
LITTLE_MORE = 5.0

_PLACES = ("lib", "bin/https/bin", "bin/https/lib", "bin")


class SunOne(Server):
    """One instance (``https-NAME``) of the server."""

    name: ClassVar[str] = "sunone"
    title: ClassVar[str] = "Sun ONE / iPlanet Web Server 6.x and 7.0"
    signatures = SIGNATURES
    reload_signal = signal.SIGHUP
    parameters = (
        Parameter("instance_dir", "string", "", "directory of the instance, https-NAME", required=True, unique=True),
        Parameter("version", "string", "auto", "release: auto, 6.0, 6.1 or 7.0",
                  f"auto looks at the scripts. {_UNVERIFIED}"),
        Parameter("server_root", "string", "", "directory of the installed product; found by itself if empty"),
        Parameter("binary", "string", "", "path of the watchdog's program; found by itself if empty"),
        Parameter("watchdog_names", "string", "webservd-wdog uxwdog", "names of the watchdog's program"),
        Parameter("server_names", "string", "webservd ns-httpd", "names of the server's program"),
        Parameter("start_cmd", "string", "", "command that starts it (bin/startserv, or start for 6.x)"),
        Parameter("stop_cmd", "string", "", "command tried first at a stop; normally signals are better",
                  "stopserv signals whatever the pid file names and waits up to 60 s. Only set this where "
                  "a stop needs more than the server's own end; its exit status is not believed."),
        Parameter("reload_cmd", "string", "", "command that reloads (bin/reconfig; 6.x: HUP to the watchdog)"),
        Parameter("configtest_cmd", "string", "", "command that tests the configuration (startserv --configtest)"),
        Parameter("pidfile", "string", "", "pid file; from the configuration if empty"),
        Parameter("temp_path", "string", "", "directory of pid file and sockets; from the configuration if empty"),
        Parameter("statusurl", "string", "", "URL or path to ask; / on the first listener if empty", reloadable=True),
        Parameter("testregex", "string", "", "regular expression that the page must match", reloadable=True),
        Parameter("port", "integer", "", "ask the listener with this port", reloadable=True),
        Parameter("user", "string", "", "user who runs the start command; ours if empty",
                  "As root the server itself changes to the user of its configuration."),
        Parameter("grace", "integer", "5", "seconds in which the product's own watchdog may mend a fault",
                  "Workers and the primordial are replaced in under 0.3 s, up to 2 s after a crash.", reloadable=True),
    )  # fmt: skip

    # -- where things are --------------------------------------------------------------------------------------------

    @cached_property
    def directory(self) -> Path:
        return Path(os.path.normpath(self.values["instance_dir"]))

    @property
    def release(self) -> str:
        given = self.values["version"]
        return sunone_config.release_of(self.directory) if given in ("", "auto") else given

    @property
    def names(self) -> Names:
        words = self.values
        return Names(frozenset(words["watchdog_names"].split()), frozenset(words["server_names"].split()))

    @property
    def root(self) -> Path:
        """The product's directory: as given, as the start script says, or above the instance."""
        if self.values["server_root"]:
            return Path(self.values["server_root"])
        try:
            script = Path(self.start_command().argv[0]).read_text(encoding="utf-8", errors="replace")
        except OSError:
            script = ""
        found = re.search(r"""^\s*\w*INSTALL_ROOT=["']?(/[^"'\n]*)""", script, re.MULTILINE)
        return Path(found.group(1)) if found else self.directory.parent

    def _installed(self, names: Iterable[str]) -> list[Path]:
        places = [self.root / place / name for name in sorted(names) for place in _PLACES]
        return [path for path in places if path.is_file()]

    @cached_property
    def binary(self) -> str:
        if self.values["binary"]:
            return self.values["binary"]
        found = self._installed(self.names.watchdogs)
        first = "uxwdog" if self.release == "6.0" else "webservd-wdog"
        return str(found[0] if found else self.root / _PLACES[0] / first)

    @property
    def programs(self) -> frozenset[str]:
        return frozenset(os.path.realpath(path) for path in (Path(self.binary), *self._installed(self.names.servers)))

    def missing(self) -> str:
        script = self.start_command().argv[0]
        return super().missing() or ("" if os.access(script, os.X_OK) else f"{script} is not there or not executable")

    # -- what the configuration says ---------------------------------------------------------------------------------

    def read_layout(self) -> Layout:
        found = sunone_config.read(self.directory)
        return Layout(
            addresses=found.listeners,
            pidfile=self.values["pidfile"] or found.pidfile,
            user=found.user,
            error_log=found.error_log,
            request=self._request(found.listeners),
            files=found.files,
        )

    def _request(self, listeners: tuple[Address, ...]) -> Request | None:
        wanted = self.values["statusurl"] or "/"
        if not wanted.startswith("/"):
            return self._ask(wanted)
        chosen = [each for each in listeners if not self.values["port"] or each.port == int(self.values["port"])]
        if not chosen:
            return None
        host = chosen[0].host or "127.0.0.1"
        place = replace(chosen[0], host=host)
        return self._ask(f"{'https' if place.tls else 'http'}://{place}{wanted}")

    def _ask(self, url: str) -> Request:
        # 401: the default ACL protects directories without an index page, and the server that says so serves
        return Request(url, expect=((200, 399), (401, 401)), pattern=self.values["testregex"])

    @property
    def temp_path(self) -> str:
        """Where pid file and sockets are, even while server.xml cannot be parsed; empty for a 6.x without TempDir."""
        if self.values["temp_path"]:
            return self.values["temp_path"]
        if self.release == "7.0":
            return sunone_config.temp_path_anyway(self.directory)
        return sunone_config.read_magnus(self.directory / "config" / "magnus.conf").get("tempdir", "")

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """TERM to the watchdog, as long as a worker may wait for its busy sessions and a little more."""
        magnus = sunone_config.read_magnus(self.directory / "config" / "magnus.conf")
        return (Rung(signal.SIGTERM, 0.7, sunone_config.terminate_timeout(magnus) + LITTLE_MORE),)

    def leftovers(self) -> tuple[str, ...]:
        """A living stranger, or a zombie, with the old pid makes startserv believe that the server runs."""
        if not self.temp_path:
            return ()
        return tuple(f"{self.temp_path}/{name}" for name in ("pid", "webservd-wdog.socket", "webservd.socket"))

    # -- commands ----------------------------------------------------------------------------------------------------

    def _command(self, given: str, *usual: str) -> Command:
        argv = tuple(shlex.split(self.values[given])) or (str(self.directory / usual[0]), *usual[1:])
        return Command(argv, dict(PLAIN_ENVIRONMENT), user=self.values["user"])

    def start_command(self) -> Command:
        return self._command("start_cmd", "bin/startserv" if self.release == "7.0" else "start")

    def check_command(self) -> Command | None:
        if self.release != "7.0" and not self.values["configtest_cmd"]:
            return None
        return self._command("configtest_cmd", "bin/startserv", "--configtest")

    def stop_command(self) -> Command | None:
        return self._command("stop_cmd", "") if self.values["stop_cmd"] else None

    def reload_command(self) -> Command | None:
        if self.release != "7.0" and not self.values["reload_cmd"]:
            return None
        return self._command("reload_cmd", "bin/reconfig")

    @property
    def forks(self) -> bool:
        return True

    # -- processes ---------------------------------------------------------------------------------------------------

    @property
    def _config(self) -> str:
        return str(self.directory / "config")

    def is_main(self, process: Process) -> bool:
        return belongs(process, self._config, self.names.watchdogs)

    def is_kin(self, process: Process) -> bool:
        return belongs(process, self._config, self.names.watchdogs | self.names.servers)

    def claims(self, process: Process) -> bool:
        return self.is_kin(process)

    def is_child(self, process: Process) -> bool:
        return belongs(process, self._config, self.names.servers)

    @property
    def grace(self) -> float:
        return float(self.values["grace"] or 0)

    def family(self, processes: Iterable[Process]) -> Family:
        return gather(processes, self._config, self.names)

    def examine(self, processes: Iterable[Process], answered: bool | None) -> Fault | None:
        written = not self.temp_path or os.path.exists(f"{self.temp_path}/pid")
        return assess(self.family(processes), answered, pid_written=written)[1]

    def cheaper_cure(self, processes: Iterable[Process]) -> tuple[Process, ...]:
        return replaceable(self.family(processes))

    def moved_temp_path(self, watchdog: Process) -> str:
        """What a person should know when the running watchdog's temp path is not the configured one; else empty."""
        running = option(watchdog, "t")
        if not running or os.path.realpath(running) == os.path.realpath(self.temp_path):
            return ""
        return f"the running server keeps its pid file in {running}, server.xml says {self.temp_path}: " + (
            "its own scripts believe that it does not run"
        )

    def explain(self, lines: Iterable[str], reason: str) -> Fault | None:
        """The strongest signature wins, not the first line: a broken file shows only after the crash it keeps open."""
        known = list(lines)
        for signature in self.signatures:
            for line in known:
                if re.search(signature.pattern, line):
                    words = f"{reason}: {signature.cause}"
                    return Fault(signature.cause, signature.kind, words, line.strip(), signature.advice)
        return None


AGENT = SunOne
