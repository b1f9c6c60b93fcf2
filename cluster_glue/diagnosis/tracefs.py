"""The kernel's tracing files, and an instance of our own in them (kernel documentation, trace/ftrace).

The file system is used where it is mounted, or else through a mount that is attached nowhere (fsopen(2), fsmount(2)),
which ends with its descriptor. Instances of daemons that were killed are removed by the next one. Pids in traces are
those of the initial pid namespace, so elsewhere there is no trace.
"""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from cluster_glue.diagnosis.evidence import Absent

#: System call numbers, the same on every architecture (Linux 5.2).
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
FSCONFIG_CMD_CREATE = 6
CLOEXEC = 1

#: Inode of the initial pid namespace (include/uapi/linux/nsfs.h).
INITIAL_PID_NAMESPACE: Final = 0xEFFFFFFC

#: KiB of the buffer of each processor.
BUFFER: Final = 64


def in_initial_pid_namespace() -> bool:
    """Whether our pids are the kernel's own."""
    with suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE
    return False


class Instance:
    """A private trace. Raises :class:`Absent` when there can be none."""

    def __init__(self) -> None:
        self._mount = -1
        if not in_initial_pid_namespace():
            raise Absent("tracefs: not in the machine's own pid namespace")
        root = _mounted()
        try:
            if root is None:
                self._mount = _detached_mount()
                root = Path(f"/proc/self/fd/{self._mount}")
            _sweep(root)
            self.path = root / "instances" / f"koboshi-{os.getpid()}"
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            self._unmount()
            raise Absent(f"tracefs: {error.strerror or error}") from None
        try:
            self.write("buffer_size_kb", str(BUFFER))
            self.write("buffer_percent", "0")  # wake the reader at the first event
            self.pipe = os.open(self.path / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._remove()
            raise Absent(f"tracefs: {error.strerror or error}") from None

    def write(self, name: str, text: str) -> None:
        """Write one of the instance's files. Raises ``OSError``."""
        with (self.path / name).open("w", encoding="ascii") as file:
            file.write(text)

    def close(self) -> None:
        """Remove it."""
        os.close(self.pipe)
        self._remove()

    def _remove(self) -> None:
        with suppress(OSError):
            self.path.rmdir()
        self._unmount()

    def _unmount(self) -> None:
        if self._mount >= 0:
            os.close(self._mount)
            self._mount = -1


def _mounted() -> Path | None:
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            if after.startswith("tracefs ") and os.access(before.split()[4] + "/instances", os.W_OK):
                return Path(before.split()[4])
    return None


def _detached_mount() -> int:
    """A descriptor of a tracefs that is mounted nowhere. Raises ``OSError``."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result: int = libc.syscall(number, *arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    context = call(FSOPEN, b"tracefs", CLOEXEC)
    try:
        call(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        return call(FSMOUNT, context, CLOEXEC, 0)
    finally:
        os.close(context)


def _sweep(root: Path) -> None:
    """Remove what killed daemons left."""
    for path in (root / "instances").glob("koboshi-*"):
        number = re.fullmatch(r"koboshi-(\d+)", path.name)
        if number is not None and not _is_python(number[1]):
            with suppress(OSError):
                path.rmdir()


def _is_python(pid: str) -> bool:
    """Whether this pid may be a daemon of ours; that of a dead one may be anybody's by now."""
    with suppress(OSError):
        return "python" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return False
