"""Who a process is: command, user, and its parents, as far as it can still be known."""

from __future__ import annotations

import pwd
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cluster_glue.messages import sanitise

#: What the kernel gives for the login of who was never logged in (proc(5), loginuid).
NOBODY_LOGGED_IN: Final = 0xFFFFFFFF

#: Parents that are looked up.
PARENTS: Final = 5


@dataclass(frozen=True, slots=True)
class Who:
    """A process as far as it could still be known. ``parents`` are the nearest first.

    ``uid`` is its user (None: it was gone), ``login`` who had logged in (None: nobody). They get their names when it is
    written out, which must not be in the loop: a user database may be far away, and down.
    """

    pid: int
    command: str
    uid: int | None = None
    parents: tuple[str, ...] = ()
    login: int | None = None

    def __str__(self) -> str:
        words = f"pid {self.pid} ({self.command}"
        if self.uid is None:
            words += ", which had ended before it could be looked at)"
        else:
            words += f", user {_user(self.uid)}"
            words += ")" if self.login in (None, self.uid) else f", logged in as {_user(int(self.login or 0))})"
        return words + (f", started by {', '.join(self.parents)}" if self.parents else "")


def look_up(tid: int, comm: str) -> Who:
    """The process of a thread; only its ``comm`` when it is gone, or somebody else by now."""
    status = _status(tid)
    if not status or comm not in ("", "<...>", status["Name"]):
        return Who(tid, sanitise(comm, 40) or "?")
    pid = int(status["Tgid"])
    command = ""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read(4096).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    login = None
    with suppress(OSError, ValueError), open(f"/proc/{pid}/loginuid", "rb") as file:
        login = int(file.read(16))
    uid = int(status["Uid"].split()[1])
    return Who(
        pid,
        sanitise(command or status["Name"], 160),
        uid,
        _parents(status),
        None if login == NOBODY_LOGGED_IN else login,
    )


def _parents(status: dict[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    for _ in range(PARENTS):
        parent = status.get("PPid", "0")
        status = _status(int(parent)) if parent != "0" else {}
        if not status:
            break
        found.append(f"{sanitise(status['Name'], 40)} ({parent})")
    return tuple(found)


def _status(pid: int) -> dict[str, str]:
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        text = file.read(8192).decode("utf-8", "replace")
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        return fields if {"Name", "Tgid", "PPid", "Uid"} <= fields.keys() else {}
    return {}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
