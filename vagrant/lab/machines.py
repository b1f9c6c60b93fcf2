"""What the lab asks of its machines, whatever they are: to be there, to be switched, entered and read.

A provider is a subclass of :class:`Lab` in a package of its own beside this one; :mod:`vagrant.lab.providers` finds it
by name. Nothing else of the lab knows what its machines are made of.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

CHECKOUT = Path(__file__).resolve().parents[2]
#: Where a lab keeps its things unless ``--directory`` or ``LAB_DIR`` says otherwise.
DEFAULT = "/var/lib/koboshi-lab"
LEAST, MOST = 2, 8
#: The logs of a node, in the order in which a node that starts comes to write them.
LOGS = ("/var/log/lab.console", "/var/log/corosync/corosync.log", "/var/log/pacemaker/pacemaker.log")
#: How a command ends; see Popen.
Done = subprocess.CompletedProcess[str]
#: What can be missing in a kind of machine, for the ``needs`` of a scenario: ``kernel`` (one of its own: it may panic,
#: reboot for real, have its own clock and disk), ``freeze`` (it can be stopped and resumed from outside), ``systemd``
#: (it boots with one, and koboshi runs as its unit), ``fence`` (its fence device can be told not to obey).
ABILITIES = frozenset({"kernel", "freeze", "systemd", "fence"})

#: Lines of a log that tell how a lab that did not come up ended.
LAST = 15
#: A look may cost a machine that is emulated a second of its processor, which its cluster needs: the rest between two
#: looks is this many times as long as a look took.
RESTS = 2.0


class LabError(Exception):
    """The lab cannot do that; the message says why and what helps."""


def rest(began: float, least: float) -> None:
    """Wait before the next look; the one before began at ``began`` (monotonic seconds). At least ``least`` seconds."""
    time.sleep(max(least, RESTS * (time.monotonic() - began)))


def check_count(count: int) -> None:
    """Raises :class:`LabError` for a number of nodes that is no cluster, or too many for one machine."""
    if not LEAST <= count <= MOST:
        raise LabError(f"a cluster of {count} is none we can make: --nodes takes {LEAST} to {MOST}")


def chosen_count() -> int:
    """The number of nodes where nobody says one: LAB_COUNT's. Raises :class:`LabError` when that is no number."""
    text = os.environ.get("LAB_COUNT") or str(LEAST)
    try:
        return int(text)
    except ValueError:
        raise LabError(f"LAB_COUNT={text} is no number of nodes: it takes {LEAST} to {MOST}") from None


class Lab(ABC):
    """The lab in ``directory``: one at a time there, known by ``lab.json``, which says what its machines are."""

    #: The word after ``--provider``.
    provider: ClassVar[str]
    #: What these machines have of :data:`ABILITIES`.
    has: ClassVar[frozenset[str]] = frozenset()
    #: By how much slower than the machine itself they are: what a scenario allows for is stretched by it.
    pace: float = 1.0
    #: How long ``up`` usually takes, for a person.
    usually: ClassVar[str] = ""
    #: Seconds between two requests of the client to one service.
    every: ClassVar[float] = 0.02
    #: Whether the nodes' logs tell UTC rather than this machine's own time.
    utc: ClassVar[bool] = False
    #: Whether ``begin`` gives the cluster its configuration (provisioning does it where Vagrant makes the machines).
    configures: ClassVar[bool] = False
    #: Whether everything shall be in this machine's own network, to be reached from elsewhere.
    exposed: bool = False
    #: The command koboshi, and the folder ``vagrant/provision``, as a node knows them.
    koboshi: str = f"{CHECKOUT}/.venv/bin/koboshi"
    provision: str = f"{CHECKOUT}/vagrant/provision"
    #: The interpreter of a node that can read koboshi's journal.
    python: str = f"{CHECKOUT}/.venv/bin/python"

    def __init__(self, directory: str | Path = "") -> None:
        self.directory = Path(directory or os.environ.get("LAB_DIR") or DEFAULT).resolve()

    @property
    def abilities(self) -> frozenset[str]:
        """What this very lab has of :data:`ABILITIES`."""
        return self.has

    # -- up and down ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def missing(self) -> list[str]:
        """Why such a lab cannot be made here, each with its remedy."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether its machines were made and whoever runs them lives."""

    @abstractmethod
    def begin(self, count: int, say: Callable[[str], None]) -> None:
        """Make the machines and switch them on, provisioned and with the cluster's programs started.

        Raises :class:`LabError`; nothing is left then, nor after whatever else ended it.
        """

    @abstractmethod
    def end(self) -> bool:
        """End everything at once, also what is half made; whether there was anything. Raises :class:`LabError`."""

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def nodes(self) -> list[str]:
        """Their names: node1, node2 and so on. Raises :class:`LabError` when there is no lab."""

    @abstractmethod
    def ask(self, words: str) -> str:
        """One line to the power switch, and its answer (``ok``, ``on``, ``off``). Raises :class:`LabError`.

        ``status|on|off|reboot|press NODE``, ``cut|mend NODE a|b|both`` (its cables), ``deaf|hear NODE`` (whether the
        fence device obeys for that node), and with ``freeze``: ``freeze|thaw NODE``.
        """

    @abstractmethod
    def entry(self, node: str = "") -> list[str]:
        """The words before a command that run it in ``node``; without one, where the clients are.

        Raises :class:`LabError`.
        """

    @abstractmethod
    def read(self, node: str, path: str) -> str:
        """A file of a node, whether the node is on or off (then: as far as it is known); empty when there is none.

        Logs are read again and again: where that costs something, what was read is remembered and the rest fetched.
        """

    def run(self, node: str, command: str | Sequence[str], timeout: float = 60.0) -> Done:
        """Run ``command`` in ``node`` (a string: by sh). Raises :class:`LabError` when it is not done in time."""
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        try:
            return subprocess.run(
                [*self.entry(node), *words], timeout=timeout * self.pace, text=True, errors="replace",
                env=environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LabError(f"{node}: {command} took longer than {timeout * self.pace:g} s") from None

    def with_last_words(self, why: str) -> str:
        """Why it did not come up and, as it is taken away for that, the ends of its nodes' logs.

        Of each node that of the log which it came to write last.
        """
        said = []
        with suppress(LabError):
            for node in self.nodes:
                logs = ((path, self.read(node, path).splitlines()[-LAST:]) for path in reversed(LOGS))
                path, lines = next(((path, lines) for path, lines in logs if lines), ("", []))
                said += [f"==== {node}:{path}", *lines] if lines else []
        return "\n".join([f"{why}; what the nodes said last:", *said]) if said else why

    def shell(self, node: str) -> list[str]:
        """The words that give a person a shell in ``node``."""
        return [*self.entry(node), "/bin/bash"]


def provider_of(directory: Path) -> str:
    """Which provider's lab is in ``directory``, alive or half made; empty when there is none."""
    try:
        return str(json.loads((directory / "lab.json").read_text())["provider"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def environment() -> dict[str, str]:
    """What a command in a node gets."""
    path = f"{CHECKOUT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/root", "TERM": os.environ.get("TERM", "dumb")}
