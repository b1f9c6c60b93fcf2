"""An exit status in words, and the cause that it proves."""

from __future__ import annotations

import signal

from ocf.faults import Fault, Kind, unknown

#: Signals that a program's own error raises.
CRASHES = frozenset(
    {
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 40`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_status(status: int | None, who: str = "the main process") -> Fault:
    """The fault that a death with this status is. ``status`` as subprocess gives it (negative: a signal)."""
    if status is None:
        return unknown(f"{who} is gone; nobody could tell how it ended")
    if status >= 0:
        words = " although nobody asked it to stop" if status == 0 else ""
        return Fault("exited", Kind.RESOURCE, f"{who} exited with status {status}{words}", f"exit status {status}")
    name = signal_name(-status)
    if -status in CRASHES:
        return Fault("crashed", Kind.RESOURCE, f"{who} crashed with {name}", f"exit status {status} ({name})")
    return Fault("killed", Kind.RESOURCE, f"{who} was killed by {name}", f"exit status {status} ({name})")
