"""How full a JVM is, by its own figures behind a thread dump, and how busy its garbage collector is, by the kernel's.

A heap that is nearly full proves nothing, for garbage is collected late; one that stays full though the collector
hardly rests is exhausted. HotSpot's collectors (serial, parallel, CMS, G1) are known by the names of their generations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from cluster_glue.diagnosis.evidence import try_text

#: Threads of a JVM that are looked at: its own are among the first that it makes.
FIRST: Final = 64

#: Threads that collect; the serial collector's work is done by the VM thread. The kernel keeps 15 characters of a name.
_COLLECTORS = re.compile(r"^(VM Thread|GC Thread#\d+)$")

#: Where objects stay, with the addresses between which it may grow. G1's heap is told as a whole.
_OLD = re.compile(
    r"^ (?P<what>tenured generation|PSOldGen|ParOldGen|concurrent mark-sweep generation|garbage-first heap)"
    r"\s+total \d+K, used (?P<used>\d+)K \[0x(?P<low>[0-9a-f]{1,16}), .*0x(?P<high>[0-9a-f]{1,16})\)"
)
_METASPACE = re.compile(r"^ ?Metaspace\s+used \d+K,.* committed (?P<committed>\d+)K, reserved")
_LIMIT = re.compile(r"^-XX:MaxMetaspaceSize=(?P<number>\d{1,15})(?P<unit>[kKmMgG]?)$")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def tell(dump: Iterable[str], options: Iterable[str]) -> Iterator[str]:
    """Lines of evidence; ``options`` are the words of the JVM's command line."""
    most = metaspace_limit(options)
    for line in dump:
        if (old := _OLD.match(line)) is not None:
            room = (int(old["high"], 16) - int(old["low"], 16)) >> 10
            if room > 0:
                share = 100 * int(old["used"]) // room
                yield f"the heap is {share} % full: its {old['what']} holds {old['used']} of {room} KiB"
        elif most and (metaspace := _METASPACE.match(line)) is not None:
            share = 100 * int(metaspace["committed"]) // most
            yield f"the metaspace is {share} % full: {metaspace['committed']} of {most} KiB are committed"


def metaspace_limit(options: Iterable[str]) -> int:
    """KiB that the metaspace may have; 0: as many as there are. The last word counts."""
    limit = 0
    for word in options:
        if (found := _LIMIT.match(word)) is not None:
            limit = int(found["number"]) * _UNITS[found["unit"].lower()] >> 10
    return limit


def collectors(pid: int, tick: float) -> dict[int, float]:
    """Seconds of CPU of each thread of a JVM that collects garbage; ``tick`` are the kernel's units of time."""
    found: dict[int, float] = {}
    with suppress(OSError):
        for name in sorted(os.listdir(f"/proc/{pid}/task"), key=int)[:FIRST]:
            stat = try_text(f"/proc/{pid}/task/{name}/stat", 1024)
            comm, _, rest = stat.partition("(")[2].rpartition(")")
            fields = rest.split()
            if len(fields) > 12 and _COLLECTORS.match(comm):
                found[int(name)] = (int(fields[11]) + int(fields[12])) * tick
    return found
