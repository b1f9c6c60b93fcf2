"""The kernel's log (/dev/kmsg) since koboshi runs, read only when an incident asks for it.

The descriptor keeps its own place in the kernel's ring; what was overwritten meanwhile is lost and counted. A record is
``priority,sequence,microseconds,flags;text`` (kernel documentation, ABI/testing/dev-kmsg); the time is that of
``CLOCK_MONOTONIC``, but for what the two drift apart.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cluster_glue.diagnosis.evidence import Absent

#: Records kept between two readings, and read in one.
KEPT: Final = 1000

#: Seconds by which its clock may differ from the monotonic one.
DRIFT: Final = 1.0

#: Bytes of the longest record (the kernel's own limit is 8 KiB with its dictionary).
RECORD: Final = 16384


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the kernel's log; ``at`` are seconds on the kernel's log clock."""

    at: float
    text: str


class KernelLog:
    """``problem`` says why there is none; empty when there is."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self.problem = ""
        self._fd = -1
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=KEPT)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self.problem = f"{path}: {error.strerror}"

    def since(self, at: float) -> list[str]:
        """The lines from ``at`` (seconds, CLOCK_MONOTONIC) on. Raises :class:`Absent`."""
        if self._fd < 0:
            raise Absent(self.problem)
        with self._lock:
            self._read()
            return [record.text for record in self._records if record.at >= at - DRIFT]

    def close(self) -> None:
        """Read no more."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self.problem = -1, "it was closed"

    def _read(self) -> None:
        end = time.monotonic() + 0.5
        for _ in range(100 * KEPT):
            if time.monotonic() > end:
                break
            try:
                record = parse(os.read(self._fd, RECORD))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EPIPE:  # overwritten before it was read: the next read goes on behind the gap
                    continue
                break
            if record is not None:
                self._records.append(record)


def parse(raw: bytes) -> Record | None:
    """One record; None for what is none."""
    head, _, text = raw.partition(b";")
    with suppress(ValueError, IndexError):
        at = int(head.split(b",")[2]) / 1e6
        return Record(at, text.split(b"\n")[0].decode("utf-8", "replace"))
    return None
