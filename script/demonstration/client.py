"""A client that asks one server again and again, and knows who answered.

A 200 proves little: orphans of a dead main process go on answering. Each new main process opens its listening socket
anew, and while the old one is open nobody else can bind its port. So the inode of the listening socket, the same before
and after a request, says which main process, dead or alive, the answer belongs to. Where it changed, nothing is proved.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from resource_agents.listeners import listening

#: Seconds between requests, and those that an answer may take.
PERIOD, TIMEOUT = 0.005, 0.25

OK, REFUSED, SILENT, BROKEN, WRONG = "200", "connection refused", "no answer", "connection broken", "another status"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it began and ended (seconds since 1970), what came of it, and the listener's inode or 0."""

    began: float
    ended: float
    outcome: str
    listener: int


def ask(port: int) -> str:
    """What comes of one request to a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as line:
            line.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            head = b""
            while b"\r\n" not in head:
                chunk = line.recv(4096)
                if not chunk:
                    return BROKEN
                head += chunk
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return SILENT
    except OSError:
        return BROKEN
    return OK if head.split(b" ")[1:2] == [b"200"] else WRONG


def listener_of(port: int) -> int:
    """The inode of the socket that listens on a port; 0 when there is none, or more than one."""
    inodes = {each.inode for each in listening() if each.port == port}
    return inodes.pop() if len(inodes) == 1 else 0


def attributed(began: float, port: int, asked: Callable[[int], str] = ask) -> Sample:
    """One request, and whose answer it was."""
    before = listener_of(port)
    outcome = asked(port)
    after = listener_of(port)  # where nobody listened before, it was opened meanwhile, and answered
    return Sample(began, time.time(), outcome, after if before in (0, after) else 0)


class Client(threading.Thread):
    """Asks until it is told to end. ``say`` gets a word whenever what it sees changes."""

    def __init__(self, port: int, say: Callable[[str], None]) -> None:
        super().__init__(name="client", daemon=True)
        self._port, self._say = port, say
        self._end = threading.Event()
        self._samples: list[Sample] = []
        self._told: tuple[str, int] | None = None

    def run(self) -> None:
        """Ask, again and again."""
        while not self._end.is_set():
            began = time.time()
            sample = attributed(began, self._port)
            self._samples.append(sample)
            self._tell(sample)
            self._end.wait(max(0.0, began + PERIOD - time.time()))

    def end(self) -> None:
        """Ask no more."""
        self._end.set()
        self.join()

    def since(self, moment: float) -> list[Sample]:
        """The requests that began at this moment or later."""
        return [sample for sample in tuple(self._samples) if sample.began >= moment]

    def _tell(self, sample: Sample) -> None:
        seen = (sample.outcome, sample.listener if sample.outcome == OK else 0)
        if seen == self._told or (sample.outcome == OK and not sample.listener):
            return
        before, self._told = self._told, seen
        if sample.outcome != OK:
            self._say(sample.outcome)
        elif before is not None:
            self._say("200")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of one knock. ``outage``: seconds from the last good answer before the first one of a new main
    process (or from the knock, when that was later) to that one; None when none came."""

    back: float | None
    outage: float | None
    from_orphans: int
    failures: int


def judge(samples: list[Sample], knock: float, old: int) -> Seen:
    """What happened since ``knock``, after which answers through listener ``old`` came from orphans."""
    new = next((each for each in samples if each.outcome == OK and each.listener not in (0, old)), None)
    until = samples if new is None else samples[: samples.index(new)]
    good = [each for each in until if each.outcome == OK and each.listener == old]
    failures = sum(each.outcome != OK for each in until)
    if new is None:
        return Seen(None, None, len(good), failures)
    last = max([knock, *(each.ended for each in good)])
    return Seen(new.ended, max(0.0, new.ended - last), len(good), failures)
