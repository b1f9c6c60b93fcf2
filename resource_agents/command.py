"""Any server that a command line starts, in the foreground or, with a pid file, in the background.

What is started carries a mark in its environment, which programs hand on to what they start: so the server is known
again behind wrapper scripts and new titles. The main process is the one that carries the mark and leads its session, or
that the pid file names. A server that somebody else started is known by its exact program and argument list (a script
by its own path and arguments), or by ``process_pattern``; among several like that, it is the one whose parent is not
like that and which leads its process group. A pid file alone proves nothing.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shlex
import shutil
import signal
from collections.abc import Mapping
from functools import cached_property, lru_cache

from ocf.declarations import ParameterError
from ocf.faults import Kind
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.command_parameters import PARAMETERS
from resource_agents.layouts import Address, Layout, Request
from resource_agents.parsing import doors
from resource_agents.parsing.addresses import listened
from resource_agents.parsing.patterns import extended
from resource_agents.processes import Identity, Process, look
from resource_agents.server import Command, Rung, Server, Signature

MARK = "KOBOSHI_RESOURCE"

_ADDRESS = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[^\[\]:]*):)?(\d{1,5})")


class AnyCommand(Server):
    """One server, known by the command that starts it."""

    name = "command"
    title = "any server"
    parameters = PARAMETERS
    gentle = (Rung(signal.SIGTERM, 0.7),)
    signatures = (
        Signature(r"(?i)address already in use|EADDRINUSE", "port-taken", Kind.HOST, "end what holds the address"),
        Signature(r"(?i)cannot assign requested address|EADDRNOTAVAIL", "service-address-missing", Kind.HOST),
        Signature(r"(?i)\bbind\b.*permission denied", "no-privilege-for-port", Kind.CONFIGURATION),
        Signature(r"(?i)no space left on device", "disk-full", Kind.HOST, "make room"),
        Signature(r"(?i)read-only file system", "disk-read-only", Kind.HOST),
        Signature(r"(?i)too many open files", "fd-limit", Kind.RESOURCE, "raise ulimit -n"),
        Signature(r"(?i)cannot allocate memory|out of memory|MemoryError", "out-of-memory", Kind.HOST),
        Signature(r"(setpriv|exec|sh): .*(not found|No such file)", "command-missing", Kind.CONFIGURATION),
        Signature(r"setpriv: .*(failed|unknown|invalid)", "user-or-group", Kind.CONFIGURATION, "does the user exist?"),
    )

    def __init__(self, values: Mapping[str, str], instance: str = "default") -> None:
        super().__init__(values, instance)
        self._start, self._stop, self._check = (self._split(f"{word}_command") for word in ("start", "stop", "check"))
        if not self._start:
            raise ParameterError("start_command is required: the command that starts the server")
        for name in ("pidfile", "directory", "error_log"):
            if self.values[name] and not self.values[name].startswith("/"):
                raise ParameterError(f"{name} = {self.values[name]!r} is not absolute: begin it with /")
        self._variables = dict(self._variable(word) for word in self._split("environment"))
        self._addresses = tuple(self._address(word) for word in re.split(r"[\s,]+", self.values["port"]) if word)
        self._testregex = extended(self.values["testregex"], "testregex")
        try:
            self._process = re.compile(self.values["process_pattern"])
        except re.error as error:
            raise ParameterError(f"process_pattern is no regular expression: {error}") from None

    @property
    def binary(self) -> str:
        program = self._start[0]
        if "/" in program:
            return os.path.join(self.values["directory"], program)
        return shutil.which(program, path=self._environment["PATH"]) or program

    @property
    def programs(self) -> frozenset[str]:
        interpreter = _interpreter(self.binary)
        return frozenset(os.path.realpath(path) for path in (self.binary, interpreter) if path)

    @property
    def forks(self) -> bool:
        return bool(self.values["pidfile"])

    def read_layout(self) -> Layout:
        url = self.values["statusurl"]
        return Layout(
            addresses=self._addresses,
            pidfile=self.values["pidfile"],
            user=self.values["user"],
            error_log=self.values["error_log"],
            request=Request(url, pattern=self._testregex) if url else None,
            files=(self.binary, *(word for word in self._start[1:] if word.startswith("/"))),
        )

    def start_command(self) -> Command:
        return self._command((self.binary, *self._start[1:]) if "/" in self._start[0] else self._start)

    def stop_command(self) -> Command | None:
        return self._command(self._stop) if self._stop else None

    def check_command(self) -> Command | None:
        return self._command(self._check) if self._check else None

    def is_main(self, process: Process) -> bool:
        if process.uid not in self._uids:
            return False
        if self.forks:
            return doors.pid_in(self.values["pidfile"]) == process.pid and (
                self._marked(process) or self._fits(process)
            )
        if process.pid != process.pgid:
            return False
        alike = self._marked if process.pid == process.sid and self._marked(process) else self._fits
        parent = look(process.ppid)
        return alike(process) and (parent is None or not alike(parent))

    def is_kin(self, process: Process) -> bool:
        return self._marked(process) or self._fits(process)

    def is_child(self, process: Process) -> bool:
        return self.is_kin(process)

    def _fits(self, process: Process) -> bool:
        """Whether program and argument list, or the pattern, are those of the server."""
        if self.values["process_pattern"]:
            return bool(self._process.search(" ".join(process.argv)))
        if process.exe.removesuffix(" (deleted)") not in self.programs:
            return False
        if process.argv[1:] == self._start[1:] and os.path.basename(process.argv[0]) == os.path.basename(
            self._start[0]
        ):
            return not _interpreter(self.binary)
        words = (self.binary, *self._start[1:])  # a script: its interpreter's words come first (execve(2))
        return bool(_interpreter(self.binary)) and process.argv[-len(words) :] == words

    def _marked(self, process: Process) -> bool:
        """Whether it was started, by however many steps, with our mark in its environment."""
        return _mark_of(process.identity, process.exe, process.argv) == self._mark

    @cached_property
    def _mark(self) -> str:
        return f"{self.instance}:{hashlib.sha256(self.values['start_command'].encode()).hexdigest()[:16]}"

    @cached_property
    def _environment(self) -> dict[str, str]:
        return {**PLAIN_ENVIRONMENT, **self._variables, MARK: self._mark}

    @property
    def _uids(self) -> set[int]:
        """Who may run its main process: its user, or root."""
        try:
            return {0, pwd.getpwnam(self.values["user"]).pw_uid if self.values["user"] else os.geteuid()}
        except KeyError:
            return {0}

    def _command(self, argv: tuple[str, ...]) -> Command:
        return Command(argv, self._environment, self.values["user"], self.values["directory"] or "/")

    def _split(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(self.values[name]))
        except ValueError as error:
            raise ParameterError(f"{name} = {self.values[name]!r} cannot be split into words: {error}") from None

    def _variable(self, word: str) -> tuple[str, str]:
        name, sign, value = word.partition("=")
        if not sign or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ParameterError(f"environment has {word!r}, which is no NAME=value")
        return name, value

    def _address(self, word: str) -> Address:
        match = _ADDRESS.fullmatch(word)
        if match is None or not 0 < int(match[2]) < 65536:
            raise ParameterError(f"port has {word!r}, which is no PORT, HOST:PORT or [IPV6]:PORT")
        tls = self.values["statusurl"].lower().startswith("https://") and f":{match[2]}" in self.values["statusurl"]
        return Address(listened(match[1] or ""), int(match[2]), tls)


@lru_cache(maxsize=16384)
def _mark_of(identity: Identity, exe: str, argv: tuple[str, ...]) -> str:  # noqa: ARG001 - a new program, a new look
    """The mark in a process's environment, which changes only with its program; empty when there is none."""
    try:
        with open(f"/proc/{identity.pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return ""
    sign = f"{MARK}=".encode()
    return next((os.fsdecode(each[len(sign) :]) for each in variables if each.startswith(sign)), "")


def _interpreter(path: str) -> str:
    """The program that runs a script (its ``#!`` line, after env); empty for a binary."""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError:
        return ""
    words = os.fsdecode(head.split(b"\n")[0]).removeprefix("#!").split() if head.startswith(b"#!") else []
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return (shutil.which(words[0], path=PLAIN_ENVIRONMENT["PATH"]) or "") if words else ""


AGENT = AnyCommand
