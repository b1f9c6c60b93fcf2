"""The power switch of a machine room: one line per connection, answered with one line.

It listens on TCP :data:`PLACE` for fence agents, and on a socket in the lab's directory for the lab itself:

=====================  ===============================================================================================
``list``               the nodes' names
``status NODE``        ``on`` or ``off``
``off|on NODE``        cut the power (wires first, so that a dying node says nothing more), switch it on
``reboot NODE``        both
``press NODE``         the power button: the node ends itself
``cut|mend NODE RING`` pull the node's cable of ring ``a`` or ``b`` at the switch, or of ``both``; plug it in again
``deaf|hear NODE``     refuse what a fence agent asks about that node; obey again. The lab itself is always obeyed
``freeze|thaw NODE``   stop the node where it stands, let it go on, where the machines can do that
``pid NODE``           its PID 1 as it is known in the room; 0 when it is off
``end NODE``           how it ended last: ``power``, ``reboot``, ``poweroff``, or ``-``
=====================  ===============================================================================================

All else is answered with ``error: ...``. Standard library only: a room runs isolated (``python -I``).
"""

from __future__ import annotations

import socketserver
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

PLACE = ("10.77.1.254", 7777)
RINGS = {"a": "a", "b": "b", "both": "ab"}


class Machine(ABC):
    """What the switch can do to one machine; each answers ``ok`` or says what went wrong."""

    name: str
    #: Its PID 1 as the room knows it; 0 when it is off.
    pid: int = 0
    #: How it ended last.
    end: str = "-"

    @abstractmethod
    def on(self) -> str: ...

    @abstractmethod
    def off(self) -> str: ...

    @abstractmethod
    def status(self) -> str: ...

    @abstractmethod
    def press(self) -> str: ...

    @abstractmethod
    def cut(self, rings: str) -> str:
        """Pull the cables of ``rings``: ``a``, ``b`` or ``ab``."""

    @abstractmethod
    def mend(self, rings: str) -> str: ...

    def reboot(self) -> str:
        answer = self.off()
        return answer if answer != "ok" else self.on()

    def deaf(self, deaf: bool) -> None:  # noqa: B027 (nothing to do where the switch is the fence device)
        """Where the fence device is another than this switch: it obeys for this machine, or not."""

    def freeze(self) -> str:
        return f"error: {self.name} is no machine that can be stopped where it stands"

    def thaw(self) -> str:
        return self.freeze()


class Switch:
    """What is answered about ``machines``."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self._machines = {machine.name: machine for machine in machines}
        self._deaf: set[str] = set()

    def answer(self, line: str, fencing: bool = False) -> str:
        """The answer to ``line``, which a fence agent sent when ``fencing``."""
        words = line.split()
        if words == ["list"]:
            return " ".join(self._machines)
        if len(words) < 2 or words[1] not in self._machines:
            return f"error: no such node in {line!r}"
        machine = self._machines[words[1]]
        if fencing and machine.name in self._deaf:
            return f"error: the switch does not hear of {machine.name}"
        match [words[0], *words[2:]]:
            case [("status" | "off" | "on" | "reboot" | "press" | "freeze" | "thaw") as word]:
                return str(getattr(machine, word)())
            case [("cut" | "mend") as word, ("a" | "b" | "both") as rings]:
                return str(getattr(machine, word)(RINGS[rings]))
            case ["deaf"]:
                self._deaf.add(machine.name)
                machine.deaf(True)
                return "ok"
            case ["hear"]:
                self._deaf.discard(machine.name)
                machine.deaf(False)
                return "ok"
            case [("pid" | "end") as word]:
                return str(getattr(machine, word))
        return f"error: {line!r} is not understood"

    def listen(self, place: tuple[str, int] = PLACE) -> None:
        """Answer fence agents, in the background. Raises ``OSError``."""
        threading.Thread(target=_Tcp(place, self._handler(fencing=True)).serve_forever, daemon=True).start()

    def serve(self, path: Path) -> None:
        """Answer the lab at the socket ``path``, for ever. Raises ``OSError``."""
        _Local(str(path), self._handler(fencing=False)).serve_forever()

    def _handler(self, fencing: bool) -> type[socketserver.StreamRequestHandler]:
        switch = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline(200).decode("utf-8", "replace").strip()
                try:
                    answer = switch.answer(line, fencing)
                except (OSError, subprocess.SubprocessError) as error:
                    answer = f"error: {error}"
                self.wfile.write(answer.encode() + b"\n")

        return Handler


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class _Local(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
