"""PID 1 of a node: starts what a node runs, reaps whoever dies, and ends by reboot(2) when it is told to.

Run inside a PID namespace of its own, where reboot(2) ends the namespace and nothing else (man reboot(2)). It refuses
to run in the machine's own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

#: Inode of the machine's initial PID namespace (linux/proc_ns.h, PROC_PID_INIT_INO).
INITIAL = 0xEFFFFFFC
RB_AUTOBOOT = 0x01234567


def main() -> int:
    """Run ``argv[1]`` as the node's start script, then reap until told to end."""
    if os.getpid() != 1 or os.stat("/proc/self/ns/pid").st_ino == INITIAL:
        sys.stderr.write("init: only as PID 1 of a namespace of its own\n")
        return 2
    wanted = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    start = subprocess.Popen(["/bin/sh", *sys.argv[1:]], preexec_fn=_plain)
    while True:
        number = signal.sigwait(wanted)
        if number != signal.SIGCHLD:
            ctypes.CDLL(None).reboot(RB_AUTOBOOT)
            return 1
        start.returncode = 0
        _reap()


def _plain() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.setsid()


def _reap() -> None:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


if __name__ == "__main__":
    sys.exit(main())
