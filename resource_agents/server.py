"""What a web server is to koboshi: declarations, and how it is found, started and told apart.

A server's file (``apache.py``, ``nginx.py``, ...) subclasses :class:`Server`, declares its parameters, stop ladder and
log signatures, and says how it is started, tested and recognised. Finding, stopping, sweeping and starting are the same
for all: :mod:`resource_agents.families`, :mod:`resource_agents.stopping`, :mod:`resource_agents.starting`.
"""

from __future__ import annotations

import importlib
import math
import os
import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ocf.declarations import Parameter, ParameterError, check
from ocf.faults import Fault, Kind
from ocf.metadata import DEFAULT_OPERATIONS, Operation
from resource_agents.layouts import Exchange, Layout, Request
from resource_agents.processes import Process


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: ``env`` is the whole environment (nothing is inherited), ``user`` empty for our own."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    cwd: str = "/"


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the gentle stop ladder: ``signal`` to the main process, then at most ``share`` of the stop's time.

    ``limit`` is a bound in seconds besides, where an administrator gave one.
    """

    signal: int
    share: float
    limit: float = math.inf


@dataclass(frozen=True, slots=True)
class Signature:
    """A line of the server's own output that names a cause. ``pattern`` is searched in one line at a time.

    Its groups called ``file`` and ``line``, where it has them, are the place that the reason names. An ``omen`` is told
    even while the server answers.
    """

    pattern: str
    cause: str
    kind: Kind
    advice: str = ""
    omen: bool = False


class Server(ABC):
    """One configured web server. Raises :class:`ParameterError` for values that are wrong in themselves."""

    name: ClassVar[str]
    title: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    about: ClassVar[str] = ""
    operations: ClassVar[tuple[Operation, ...]] = DEFAULT_OPERATIONS
    signatures: ClassVar[tuple[Signature, ...]] = ()
    gentle: ClassVar[tuple[Rung, ...]] = (Rung(signal.SIGTERM, 0.7),)
    reload_signal: ClassVar[int | None] = None
    #: Beginnings of the names of all programs that this server's processes can run, and the parameter that may name
    #: another one; empty where an interpreter runs it, so that the program says nothing (:mod:`absent`).
    program_names: ClassVar[tuple[str, ...]] = ()
    program_parameter: ClassVar[str] = ""
    #: What raises the length of a listener's queue, and a process's limit on open files, in this server's own words.
    backlog_directive: ClassVar[str] = "the backlog of its listen directive"
    files_directive: ClassVar[str] = "LimitNOFILE of its unit or ulimit -n"

    def __init__(self, values: Mapping[str, str], instance: str = "default") -> None:
        self.instance = instance
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in values:
            if name not in known:
                raise ParameterError(f"{self.name} has no parameter {name!r}")
        self.given = frozenset(values)
        self.values = {name: check(parameter, values.get(name, parameter.default)) for name, parameter in known.items()}

    # -- what a server's file says -----------------------------------------------------------------------------------

    @abstractmethod
    def read_layout(self) -> Layout:
        """Read the server's configuration. Raises :class:`ConfigurationUnreadable`."""

    @property
    @abstractmethod
    def binary(self) -> str:
        """The path of the server's program as configured or found; it need not exist."""

    @abstractmethod
    def start_command(self) -> Command:
        """The command that starts it; in the foreground unless :attr:`forks`."""

    def check_command(self) -> Command | None:
        """The server's own configuration test; None where it has none."""
        return None

    def stop_command(self) -> Command | None:
        """The server's own stop command, tried before the signals of a gentle stop; None where signals are better."""
        return None

    def missing(self) -> str:
        """Which part of the software is not on this machine, in words for people; empty when all is there."""
        return "" if os.access(self.binary, os.X_OK) else f"{self.binary} is not there or cannot be executed"

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """The gentle stop of this instance; :attr:`gentle` unless its parameters say otherwise."""
        return self.gentle

    @property
    def reloads_with(self) -> int | None:
        """The signal that reloads this instance; :attr:`reload_signal` unless its parameters say otherwise."""
        return self.reload_signal

    @abstractmethod
    def is_main(self, process: Process) -> bool:
        """Whether this is the main process of this very instance (by program and configuration, never by pid)."""

    def is_kin(self, process: Process) -> bool:
        """Whether this process runs this server's program, so that it may be a child or an orphan of ours."""
        return process.exe.removesuffix(" (deleted)") in self.programs

    def is_child(self, process: Process) -> bool:
        """Whether this process, without a living parent of its kind, can only be an orphan of this very instance."""
        return self.is_kin(process) and process.argv[1:] == self.start_command().argv[1:]

    def claims(self, process: Process) -> bool:  # noqa: ARG002
        """Whether the process alone proves that it is this very instance's, whatever its parent or its sockets."""
        return False

    @property
    def programs(self) -> frozenset[str]:
        """Real paths of the programs that this server's processes run."""
        return frozenset({str(Path(self.binary).resolve())})

    def checks_at(self, level: int) -> tuple[Request | Exchange, ...]:  # noqa: ARG002
        """What a monitor of this OCF check level asks besides the health request; empty for levels it does not have."""
        return ()

    def command_at(self, level: int) -> Command | None:  # noqa: ARG002
        """A program that a monitor of this OCF check level runs besides; its exit status 0 means healthy."""
        return None

    def reload_command(self) -> Command | None:
        """The server's own reload command, to be run only after a good configuration test; None: ``reload_signal``."""
        return None

    def leftovers(self) -> tuple[str, ...]:
        """Files besides the pid file that a dead instance leaves and a new one stumbles over; never raises."""
        return ()

    @property
    def grace(self) -> float:
        """Seconds that the server's own watchdog gets to mend a soft fault before we act."""
        return 0.0

    def examine(self, processes: Iterable[Process], answered: bool | None) -> Fault | None:  # noqa: ARG002
        """What the process tree says beyond "the main process lives"; ``answered`` None: nobody asked."""
        return None

    def cheaper_cure(self, processes: Iterable[Process]) -> tuple[Process, ...]:  # noqa: ARG002
        """Processes whose SIGKILL mends a stall, as a healthy parent replaces them; empty: only a restart helps."""
        return ()

    def before_kill(self, main: Process | None, seconds: float) -> None:  # noqa: B027 - a hook that most servers leave empty
        """Last words before the first signal of a repair, or before SIGKILL, within ``seconds``; must not raise."""

    @property
    def forks(self) -> bool:
        """Whether the start command ends while the server goes on; its main process is then named by the pid file."""
        return False

    # -- the same for all --------------------------------------------------------------------------------------------

    @cached_property
    def layout(self) -> Layout:
        """The layout as of the first look; make a new object after a change."""
        return self.read_layout()

    def explain(self, lines: Iterable[str], reason: str) -> Fault | None:
        """The fault that the first line with a known signature proves; None when no line does."""
        said = iter(lines)
        for line in said:
            for signature in self.signatures:
                if match := re.search(signature.pattern, line):
                    proof = line.strip()
                    if proof.endswith(":"):  # the sentence goes on in the next line
                        proof = f"{proof} {next(said, '').strip()}".strip()
                    words = f"{reason}: {signature.cause}{_place(match)}"
                    return Fault(signature.cause, signature.kind, words, proof, signature.advice)
        return None


def _place(match: re.Match[str]) -> str:
    """Where a signature's groups say that the mistake is."""
    groups = match.groupdict()
    return f" at {groups['file']}:{groups['line']}" if groups.get("file") and groups.get("line") else ""


def load(agent: str) -> type[Server]:
    """The server class of ``resource_agents/<agent>.py``. Raises ``LookupError`` when there is none."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", agent):
        raise LookupError(agent)
    try:
        module = importlib.import_module(f"resource_agents.{agent}")
    except ModuleNotFoundError:
        raise LookupError(agent) from None
    server = getattr(module, "AGENT", None)
    if server is None:
        raise LookupError(agent)
    return server  # type: ignore[no-any-return]


def names() -> list[str]:
    """All agents there are, found by looking."""
    here = Path(__file__).parent
    return sorted(path.stem for path in here.glob("[a-z]*.py") if "\nAGENT = " in path.read_text(encoding="utf-8"))
