"""Evidence: named items of plain lines, each with its own deadline and its own failure, all within one budget.

An item that cannot be had is absent with its reason; it never hinders another. A look that hangs (a dead file server)
is abandoned at its deadline, together with its thread; while too many such threads hang, no new look is begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cluster_glue.messages import sanitise

#: Seconds and bytes that one incident's evidence may cost.
SECONDS: Final = 2.0
BYTES: Final = 5 << 20

#: Lines are cut at so many characters.
LINE: Final = 2000

#: Looks that may hang at the same time in the whole daemon.
HANGING: Final = 16

#: When evidence is gathered: it died, it stalled, it could not be started.
DIED, STALLED, START_FAILED = "died", "stalled", "start-failed"


class Absent(Exception):
    """This item is not to be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one look found: ``lines``, or why there is nothing. ``took`` is in seconds."""

    lines: tuple[str, ...] = ()
    absent: str = ""
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """How to find one item, and how many seconds it may take."""

    name: str
    find: Callable[[], Iterable[str]]
    seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class Evidence:
    """All items of one moment."""

    moment: str
    items: Mapping[str, Item] = field(default_factory=dict)

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of an item; none when it is absent."""
        item = self.items.get(name)
        return item.lines if item is not None else ()

    def with_items(self, more: Mapping[str, Item]) -> Evidence:
        """The same with more items; an absent one does not replace what was found."""
        items = dict(self.items)
        for name, item in more.items():
            if item.lines or name not in items:
                items[name] = item
        return Evidence(self.moment, items)


class _Hanging:
    """How many abandoned looks have not come back."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()

    def add(self, number: int) -> None:
        with self.lock:
            self.count += number


_hanging = _Hanging()


def gather(looks: Iterable[Look], seconds: float = SECONDS, size: int = BYTES) -> dict[str, Item]:
    """Carry out the looks in their order within ``seconds`` and ``size`` bytes. Never raises."""
    end = time.monotonic() + seconds
    items: dict[str, Item] = {}
    for look in looks:
        left = end - time.monotonic()
        if left <= 0:
            items[look.name] = Item(absent="the time for evidence was spent")
        elif size <= 0:
            items[look.name] = Item(absent="the room for evidence was spent")
        else:
            items[look.name] = item = _one(look, min(left, look.seconds), size)
            size -= sum(len(line.encode("utf-8", "replace")) + 1 for line in item.lines)
    return items


def _one(look: Look, seconds: float, size: int) -> Item:
    if _hanging.count >= HANGING:
        return Item(absent=f"{_hanging.count} earlier looks still hang")
    box: list[Item] = []
    done = threading.Event()
    began = time.monotonic()

    def work() -> None:
        try:
            box.append(Item(_fitting(look.find(), size, began + seconds)))
        except Absent as why:
            box.append(Item(absent=sanitise(str(why))))
        except Exception as error:  # whatever it is, the other items are not hindered
            box.append(Item(absent=sanitise(f"{type(error).__name__}: {error}")))
        with lock:
            if done.is_set():
                _hanging.add(-1)
            done.set()

    lock = threading.Lock()
    try:
        threading.Thread(target=work, name=f"evidence {look.name}", daemon=True).start()
    except RuntimeError:
        return Item(absent="no thread could be started for it")
    if not done.wait(seconds):
        with lock:
            if not done.is_set():
                done.set()
                _hanging.add(1)
                return Item(absent=f"it was not to be had within {seconds:.2g} s", took=time.monotonic() - began)
    found = box[0]
    return Item(found.lines, found.absent, time.monotonic() - began)


def _fitting(lines: Iterable[str], size: int, end: float) -> tuple[str, ...]:
    """The lines that fit into ``size`` bytes and were found before ``end``, harmless for any terminal."""
    kept: list[str] = []
    for line in lines:
        line = sanitise(line, LINE)
        size -= len(line.encode("utf-8", "replace")) + 1
        if size < 0:
            break
        kept.append(line)
        if time.monotonic() > end:
            break
    return tuple(kept)


def read_text(path: str, limit: int = 65536) -> str:
    """The beginning of a small file of /proc or /sys. Raises :class:`Absent`."""
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "replace")
    except OSError as error:
        raise Absent(f"{path}: {error.strerror or error}") from None


def try_text(path: str, limit: int = 65536) -> str:
    """The same; empty when it cannot be read."""
    with suppress(Absent):
        return read_text(path, limit)
    return ""
