"""The last rung: a reboot of this machine, guarded.

Off unless ``on_exhausted = "reboot"``. Counted in a file that outlives the reboot, written and synced before, with a
limit inside a window by the wall clock, so that there is no loop of reboots; an entry from the future counts.
Suppressed while another resource of this machine serves, unless told otherwise. Orderly first where systemd is there,
forced after ``reboot_patience`` (reboot(2)). Whoever cannot be sure does not reboot.

Only the machine's own koboshi (the one in ``/run/koboshi``) may reboot the machine; any other one reboots no more than
a PID namespace of its own, where reboot(2) ends the namespace (reboot(2), pid_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster_glue.config_model import Settings
from ocf.programs import PLAIN_ENVIRONMENT, run

#: Inode of the machine's own PID namespace (include/linux/proc_ns.h, PROC_PID_INIT_INO).
INITIAL_NAMESPACE: Final = 4026531836

#: Where the machine's own koboshi runs.
OWN_PLACE: Final = Path("/run/koboshi")

ORDERLY: Final = ("systemctl", "reboot")

#: reboot(2): RB_AUTOBOOT; and the bit of CAP_SYS_BOOT (capabilities(7)).
AUTOBOOT, CAP_SYS_BOOT = 0x01234567, 22

#: Seconds that writing everything out may take: the disk may be what is broken.
SYNC_TIME: Final = 5.0


@dataclass(frozen=True, slots=True)
class Past:
    """One reboot that was begun: wall time, the boot it ended, and the incident that led to it."""

    at: float
    boot: str
    incident: str


def refusal(past: Iterable[Past], this: Past, healthy: Iterable[str], settings: Settings) -> str:
    """Why the reboot ``this`` must not be; empty when it may. One that was begun and cut short is no second one."""
    serving = sorted(healthy)
    if serving and not settings.reboot_despite_healthy:
        return f"other resources of this machine serve: {', '.join(serving)}"
    counted = [one for one in past if this.at - one.at < settings.reboot_window]
    if any((one.boot, one.incident) == (this.boot, this.incident) for one in counted):
        return ""
    if len(counted) >= settings.reboot_limit:
        spent = f"{len(counted)} of {settings.reboot_limit} reboots in {settings.reboot_window:g} s are spent"
        return f"{spent}: a further one would not help either"
    return ""


class Rebooter:
    """The reboots of one daemon. ``state`` is where the count is kept, ``runtime`` whose daemon it is."""

    def __init__(self, state: Path, runtime: Path) -> None:
        self._path, self._runtime = state / "reboots.json", runtime

    def begin(self, incident: str, healthy: Iterable[str], settings: Settings) -> str:
        """Count one reboot, if it may be; why not, otherwise."""
        this = Past(time.time(), _boot(), incident)
        try:
            if self._runtime == OWN_PLACE and (kind := _volatile(self._path.parent)):
                return f"{self._path} is on {kind} and would not outlive the reboot: nothing would end a loop of them"
            past = self.past()
            no = refusal(past, this, healthy, settings)
            if not no and (this.boot, this.incident) not in {(one.boot, one.incident) for one in past}:
                self._write([*past[-99:], this])
        except (OSError, ValueError, TypeError, KeyError) as error:
            return f"{self._path} cannot be read or written, so nothing would end a loop of reboots: {error}"
        return no

    def past(self) -> list[Past]:
        """Reboots so far. Raises ``OSError``, ``ValueError``, ``TypeError``, ``KeyError``."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [Past(float(one["at"]), str(one["boot"]), str(one["incident"])) for one in json.loads(text)]

    def orderly(self) -> bool:
        """Ask systemd for a reboot; whether it took the order. Only where it is the first process of our namespace."""
        write_out()
        return not self.guard() and _systemd() and run(ORDERLY, 30.0, PLAIN_ENVIRONMENT).ok

    def force(self) -> str:
        """reboot(2). Comes back only to say why it did not work."""
        write_out()
        no = self.guard()
        if no:
            return no
        libc = ctypes.CDLL(None, use_errno=True)
        libc.reboot(AUTOBOOT)
        return f"reboot(2): {os.strerror(ctypes.get_errno())}"

    def guard(self) -> str:
        """Why this daemon is not one that may reboot what it runs in; empty when it is."""
        try:
            inode = os.stat("/proc/self/ns/pid").st_ino
        except OSError as error:
            return f"it is not known whose PID namespace this is: {error}"
        if inode == INITIAL_NAMESPACE and self._runtime != OWN_PLACE:
            return f"a koboshi in {self._runtime} is not this machine's own, and does not reboot it"
        return ""

    def check(self, settings: Settings) -> list[tuple[bool, str]]:
        """Prove the way without going it: each step, whether it would work, in words."""
        no = self.guard()
        steps = [(not no, no or "this koboshi may reboot what it runs in")]
        try:
            spent = [one for one in self.past() if time.time() - one.at < settings.reboot_window]
            left = settings.reboot_limit - len(spent)
            steps.append((left > 0, f"{max(0, left)} of {settings.reboot_limit} reboots are left"))
            self._write(self.past())
            kind = _volatile(self._path.parent)
            words = f"is on {kind}, and would not outlive a reboot" if kind else "can be written and synced"
            steps.append((not kind or self._runtime != OWN_PLACE, f"{self._path} {words}"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            steps.append((False, f"{self._path}: {error}"))
        if _systemd():
            asked = run(("systemctl", "is-system-running"), 10.0)
            said = asked.output.strip() or asked.problem or "nothing"
            steps.append((asked.status is not None, f"orderly: systemd answers ({said})"))
        else:
            steps.append((True, "orderly: there is no systemd here; the reboot is forced at once"))
        able = bool(_capabilities() >> CAP_SYS_BOOT & 1)
        steps.append((able, f"forced: CAP_SYS_BOOT is {'there' if able else 'missing'}"))
        return steps

    def _write(self, past: list[Past]) -> None:
        fresh = self._path.with_suffix(".new")
        text = json.dumps([{"at": one.at, "boot": one.boot, "incident": one.incident} for one in past])
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _volatile(directory: Path) -> str:
    """The kind of file system (proc(5), mountinfo) when what is in it is gone after a reboot; empty when it stays."""
    found = (-1, "")
    place = os.path.realpath(directory)
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        where, (kind, _, options) = before.split()[4], after.split(" ", 2)
        if place == where or place.startswith(where.rstrip("/") + "/"):
            gone = kind in ("tmpfs", "ramfs") or (kind == "overlay" and "volatile" in options.split(","))
            found = max(found, (len(where), kind if gone else ""), key=lambda one: one[0])
    return found[1]


def write_out() -> None:
    """sync(2), but no longer than a broken disk may hold us up."""
    thread = threading.Thread(target=os.sync, name="sync", daemon=True)
    thread.start()
    thread.join(SYNC_TIME)


def _systemd() -> bool:
    """Whether systemd is the first process of our own PID namespace, and not of one around it."""
    with suppress(OSError):
        ours = os.stat("/proc/self/ns/pid").st_ino == os.stat("/proc/1/ns/pid").st_ino
        return ours and Path("/proc/1/comm").read_text(encoding="utf-8").strip() == "systemd"
    return False


def _capabilities() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("CapEff:")).split()[1], 16)
    return 0


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
