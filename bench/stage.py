"""Where a benchmark happens: a folder, processes, progress on a terminal, and nothing left when it is over."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from resource_agents.cgroups import place, tag_of
from resource_agents.processes import Identity, look


class Unavailable(Exception):
    """Something that this machine does not have or does not allow; the message says what."""


@dataclass(slots=True)
class Stage:
    """One run. ``quick``: as few samples as show that everything works."""

    folder: Path
    quick: bool
    row: str = ""
    _made: int = 0
    _shown: int = field(default=0)

    def count(self, full: int, quick: int) -> int:
        """How many samples to take."""
        return quick if self.quick else full

    def say(self, text: str) -> None:
        """What goes on just now, on a terminal only, on a line that is written over."""
        if sys.stderr.isatty():
            words = f"{self.row}: {text}"[:118]
            print(f"\r{words.ljust(self._shown)}", end="", file=sys.stderr, flush=True)
            self._shown = len(words)

    def quiet(self) -> None:
        """Clear the line."""
        if self._shown:
            print(f"\r{' ' * self._shown}\r", end="", file=sys.stderr, flush=True)
            self._shown = 0

    def place(self, name: str) -> Path:
        """A new folder, which a server's own user can pass through."""
        self._made += 1
        made = self.folder / f"{self._made}-{name}"
        made.mkdir(mode=0o755)
        return made


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def found(program: str) -> str:
    """Where a program is. Raises :class:`Unavailable`."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise Unavailable(f"{program} is not installed (script/setup bench)")
    return path


def launch(argv: Sequence[str], output: Path, env: Mapping[str, str] | None = None) -> Identity:
    """Start a program in a session of its own, as cheaply as can be; what it says goes to ``output``."""
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(PLAIN if env is None else env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM),
    )
    process = look(pid)
    return process.identity if process else Identity(pid, 0)


PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}


def reap() -> None:
    """Take the exit status of every child of ours that has ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def until(condition: Callable[[], object], limit: float, what: str, every: float = 0.005) -> None:
    """Wait for a condition. Raises :class:`Unavailable` after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise Unavailable(f"{what} did not come within {limit:g} s")
        time.sleep(every)


def tail(path: Path) -> str:
    """The last line of a file, for a note about what went wrong."""
    with suppress(OSError, IndexError):
        return path.read_text(errors="replace").strip().splitlines()[-1][:200]
    return ""


def sweep(folder: Path) -> None:
    """Remove what the processes of a run made outside its folder; they have to be gone."""
    for runtime in folder.glob("*/run"):
        group = place(tag_of(runtime), "any")
        if group is not None and group.path.parent.is_dir():
            remove_groups(group.path.parent)
    for note in folder.glob("*/outside"):
        for line in note.read_text(encoding="utf-8").splitlines():
            path = Path(line)
            if path.is_relative_to("/sys/fs/cgroup"):
                remove_groups(path)
            else:
                shutil.rmtree(path, ignore_errors=True)


def remove_groups(top: Path) -> None:
    """Remove empty control groups, the lowest first."""
    for below, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):
            os.rmdir(below)
