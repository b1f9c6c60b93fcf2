"""A thread dump from a JVM that is about to be killed: SIGQUIT, and a short wait until it is in the log.

Only a process that handles SIGQUIT is asked, as the kernel says (proc(5), SigCgt): a JVM under ``-Xrs``, one that is
still starting, or jsvc's parent would die of it. After the threads HotSpot writes the deadlocks that it found, and how
full its heap is.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress

from resource_agents.processes import Process, handles, send

#: Longest wait for the beginning of a dump, and for all of it, in seconds: a JVM that does little but collect garbage
#: writes one part of it between two collections.
PATIENCE, WHOLE = 1.0, 3.0

_BEGIN = b"Full thread dump"

#: What HotSpot writes last: the heap, and of that the metaspace.
_END = re.compile(rb"JNI global ref[\s\S]*\n ?Metaspace +used .*\n")


def ask(process: Process, log: str, seconds: float) -> bool:
    """Ask a JVM for its threads; True when they are in ``log`` within ``seconds``. Never raises."""
    before = _size(log)
    if process.state == "T" or not handles(process.pid, signal.SIGQUIT) or not send(process.identity, signal.SIGQUIT):
        return False
    asked = time.monotonic()
    while not _END.search(written := _since(log, before)):
        if time.monotonic() - asked > min(seconds, WHOLE if _BEGIN in written else PATIENCE):
            return False
        time.sleep(0.01)
    return True


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size
    return 0


def _since(path: str, begin: int) -> bytes:
    with suppress(OSError), open(path, "rb") as file:
        file.seek(begin)
        return file.read(8 << 20)
    return b""
