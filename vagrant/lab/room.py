"""What every machine room is: PID 1 of its namespaces, which reaps orphans, and the two bridges of the lab.

Standard library alone: rooms run as ``python -I``, before anything else is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

#: Ring to the bridge's name, its hardware address and the client's address (the client is on both). A bridge without a
#: hardware address of its own would take its ports' and change it as nodes come and go.
BRIDGES = {"a": ("br-a", "02:77:00:00:00:fe", "10.77.0.254/24"), "b": ("br-b", "02:77:00:00:01:fe", "10.77.1.254/24")}
#: Inode of the machine's initial PID namespace (linux/proc_ns.h, PROC_PID_INIT_INO).
INITIAL = 0xEFFFFFFC


def ip(*words: str) -> None:
    """ip(8). Raises ``subprocess.CalledProcessError``."""
    subprocess.run(
        ["ip", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def lay() -> None:
    """Both bridges, and the loopback interface. Raises ``subprocess.CalledProcessError``."""
    ip("link", "set", "lo", "up")
    for bridge, mac, address in BRIDGES.values():
        ip("link", "add", bridge, "address", mac, "type", "bridge")
        ip("address", "add", address, "dev", bridge)
        ip("link", "set", bridge, "up")


def first_process(serve: Callable[[], None]) -> int:
    """Be PID 1: wait for the word, let one child ``serve``, reap, and end with that child. The exit status."""
    if os.getpid() != 1 or os.stat("/proc/self/ns/pid").st_ino == INITIAL:
        sys.stderr.write("room: only as PID 1 of a namespace of its own\n")
        return 2
    if sys.stdin.readline() != "go\n":
        return 1
    child = os.fork()
    if child == 0:
        serve()
        return 0
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)
