"""Who sent a signal: the kernel's own trace of fatal signals to the processes we watch.

The filter in the kernel lets pass only signals that end or stop a process, and only to watched pids, so that a busy
machine does not wake us. Who sent one is looked up in /proc at once, since a ``kill`` ends within a millisecond; so is
every program called ``*kill`` when it begins.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cluster_glue.diagnosis.evidence import Absent
from cluster_glue.diagnosis.senders import Who, look_up
from cluster_glue.diagnosis.tracefs import Instance
from cluster_glue.recovery.sensors.status import signal_name

#: Signals that end or stop a server, gentle ways of servers included (WINCH: Apache, QUIT: nginx, haproxy's USR1).
FATAL: Final = tuple(
    int(number)
    for number in (
        *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS),
        *(signal.SIGFPE, signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV, signal.SIGTERM, signal.SIGSTOP),
        *(signal.SIGTSTP, signal.SIGSYS, signal.SIGWINCH),
    )
)

#: Codes of signals that somebody sent (siginfo: SI_USER, SI_TKILL, SI_QUEUE); others are the kernel's.
SENT: Final = (0, -6, -1)

#: Signals remembered, and children in the kernel's filter.
REMEMBERED, CHILDREN = 256, 48

#: Bytes of a filter that the kernel takes (one page).
FILTER: Final = 4000

#: Programs that are looked up when they begin, since they end at once (kernel documentation, trace/events).
KILLERS: Final = 'filename ~ "*kill" || filename ~ "*killall"'

_SIGNAL = re.compile(
    r"^\s*(?P<comm>.+)-(?P<tid>\d+)\s+(?:\(\s*[\d-]+\)\s+)?\[\d+\].*?: signal_generate: "
    r"sig=(?P<number>\d+) errno=-?\d+ code=(?P<code>-?\d+) comm=.* pid=(?P<pid>\d+) grp=\d+ res=(?P<result>\d+)$"
)
_EXEC = re.compile(r"\]\s.*?: sched_process_exec: filename=.* pid=(?P<pid>\d+) old_pid=\d+$")


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal to one process; ``at`` is CLOCK_MONOTONIC. ``result`` 1: it was ignored (trace/events/signal.h)."""

    at: float
    number: int
    code: int
    pid: int
    sender: Who
    result: int = 0

    @property
    def kernels(self) -> bool:
        """Whether the kernel itself raised it."""
        return self.code not in SENT

    def told(self, who: str) -> str:
        """One line of evidence; ``who`` names the receiver."""
        if self.kernels:
            source = f"the kernel (code {self.code}) while {self.sender} ran"
        elif self.sender.pid == self.pid:
            source = "itself"
        elif self.sender.pid == os.getpid():
            source = "koboshi"
        else:
            source = str(self.sender)
        return f"{signal_name(self.number)} to {who} from {source}"


class SignalTrace:
    """Fatal signals to watched processes, while the loop runs. ``problem`` says why there is no trace."""

    def __init__(self) -> None:
        self.problem = ""
        self._signals: deque[Signal] = deque(maxlen=REMEMBERED)
        self._killers: deque[Who] = deque(maxlen=32)
        self._watched: dict[str, tuple[int, ...]] = {}
        self._pids: set[int] = set()
        self._filter = ""
        self._rest = b""
        self._instance: Instance | None = None
        try:
            self._instance = Instance()
            self._instance.write(
                "events/sched/sched_process_exec/filter", 'filename ~ "*kill" || filename ~ "*killall"'
            )
            self._instance.write("events/sched/sched_process_exec/enable", "1")
            asyncio.get_running_loop().add_reader(self._instance.pipe, self._readable)
        except Absent as why:
            self.problem = str(why)
        except OSError as error:
            self._lose(f"tracefs: {error.strerror or error}")

    def watch(self, name: str, pids: Iterable[int]) -> None:
        """Trace signals to these processes of the resource, the main one first; none: no more."""
        given = tuple(pids)
        if self._watched.get(name, ()) == given:
            return
        if given:
            self._watched[name] = given
        else:
            self._watched.pop(name, None)
        self._pids = {pid for pids in self._watched.values() for pid in pids}
        self._set_filter()

    def to(self, pids: Iterable[int], since: float) -> list[Signal]:
        """The signals to one of ``pids`` since ``since`` that were not ignored, the oldest first."""
        wanted = set(pids)
        return [one for one in self._signals if one.pid in wanted and one.at >= since and one.result != 1]

    def drain(self) -> None:
        """Take what is in the trace now; from the loop's own thread."""
        if self._instance is not None:
            self._readable()

    def close(self) -> None:
        """End the trace; nothing of it is left."""
        self._lose("it was closed")

    def _set_filter(self) -> None:
        if self._instance is None:
            return
        text = filter_of(self._watched.values())
        if text == self._filter:
            return
        try:
            if text:
                self._instance.write("events/signal/signal_generate/filter", text)
            if bool(text) != bool(self._filter):
                self._instance.write("events/signal/signal_generate/enable", "1" if text else "0")
            self._filter = text
        except OSError as error:
            self._lose(f"tracefs: the filter was refused: {error.strerror}")

    def _readable(self) -> None:
        assert self._instance is not None
        for _ in range(64):
            try:
                data = os.read(self._instance.pipe, 65536)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(f"tracefs: {error.strerror}")
                return
            if not data:
                return
            *lines, self._rest = (self._rest[-4096:] + data).split(b"\n")
            for line in lines:
                self._take(line.decode("utf-8", "replace"))

    def _take(self, line: str) -> None:
        if (found := _EXEC.search(line)) is not None:
            who = look_up(int(found["pid"]), "")
            if who.uid is not None:
                self._killers.append(who)
        elif (found := _SIGNAL.match(line)) is not None and int(found["pid"]) in self._pids:
            self._signals.append(
                Signal(
                    *(time.monotonic(), int(found["number"]), int(found["code"]), int(found["pid"])),
                    *(self._sender(int(found["tid"]), found["comm"]), int(found["result"])),
                )
            )

    def _sender(self, tid: int, comm: str) -> Who:
        remembered = next((who for who in reversed(self._killers) if who.pid == tid), None)
        return remembered or look_up(tid, comm)

    def _lose(self, problem: str) -> None:
        self.problem = problem
        if self._instance is not None:
            asyncio.get_running_loop().remove_reader(self._instance.pipe)
            self._instance.close()
            self._instance = None


def filter_of(families: Iterable[tuple[int, ...]]) -> str:
    """The kernel's filter for these families, the main process of each first; empty for none.

    Children that do not fit are left out; when even the main processes do not fit, any process's signals pass.
    """
    given = list(families)
    mains, children = [pids[0] for pids in given], [pid for pids in given for pid in pids[1:]]
    if not mains:
        return ""
    numbers = "(" + "||".join(f"sig=={number}" for number in FATAL) + ")"
    for pids in ((*mains, *children[:CHILDREN]), mains):
        text = f"{numbers}&&({'||'.join(f'pid=={pid}' for pid in pids)})"
        if len(text) <= FILTER:
            return text
    return numbers
