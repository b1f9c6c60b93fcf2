"""The machine room of a lab that Vagrant makes: PID 1 of its namespaces, with the wires and the power switch.

Run as ``room.py DIRECTORY NODES CHECKOUT KIND`` by :mod:`vagrant.machines.roomed`; begins when it reads a line. It
reaps orphans; the work is done by one child: two bridges (the client is on both), what KIND needs
(``vagrant.machines.KIND``, its ``prepare`` and ``machines``), and the switch (:mod:`vagrant.lab.switch`). ``/run`` is
the room's own, and so is ``/sys``.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # python -I looks nowhere

from vagrant.lab.switch import Switch

#: Ring to name, hardware address and the client's address. A bridge without a hardware address of its own would take
#: its ports' and change it as nodes come and go.
BRIDGES = {"a": ("br-a", "02:77:00:00:00:fe", "10.77.0.254/24"), "b": ("br-b", "02:77:00:00:01:fe", "10.77.1.254/24")}
#: Inode of the machine's initial PID namespace (linux/proc_ns.h, PROC_PID_INIT_INO).
INITIAL = 0xEFFFFFFC


def run(*words: str) -> None:
    """Raises ``subprocess.CalledProcessError``."""
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def wires() -> None:
    run("ip", "link", "set", "lo", "up")
    for bridge, mac, address in BRIDGES.values():
        run("ip", "link", "add", bridge, "address", mac, "type", "bridge")
        run("ip", "address", "add", address, "dev", bridge)
        run("ip", "link", "set", bridge, "up")


def private_run(directory: Path) -> None:
    """A ``/run`` of the room's own. The lab's directory stays where it is, even when that is below ``/run``."""
    here = os.open(directory, os.O_PATH)
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=64m", "koboshi-lab", "/run")
    Path("/run/lock").mkdir(mode=0o1777)
    if not directory.is_dir():
        directory.mkdir(parents=True)
        subprocess.run(
            ["mount", "--bind", f"/proc/self/fd/{here}", str(directory)],
            check=True, pass_fds=[here], stdin=subprocess.DEVNULL,
        )  # fmt: skip
    os.close(here)


def own_sys() -> None:
    """``/sys`` of the room's own network: lxc and libvirt look for bridges there. Control groups stay as they are."""
    new = Path("/run/sys")
    new.mkdir()
    run("mount", "-t", "sysfs", "sysfs", str(new))
    run("mount", "--rbind", "/sys/fs/cgroup", str(new / "fs/cgroup"))
    run("mount", "--move", str(new), "/sys")
    new.rmdir()


def serve(directory: Path, count: int, kind: str) -> None:
    """Open the room and answer for ever."""
    private_run(directory)
    (directory / "tmp").mkdir(mode=0o1777, exist_ok=True)
    os.chdir(directory)
    own_sys()
    wires()
    module = importlib.import_module(f"vagrant.machines.{kind}")
    module.prepare(directory)
    switch = Switch(module.machines(directory, count))
    switch.listen()
    switch.serve(Path("room.sock"))


def main(arguments: list[str]) -> int:
    """Reap, and end with the one child that does the work."""
    if os.getpid() != 1 or os.stat("/proc/self/ns/pid").st_ino == INITIAL:
        sys.stderr.write("room: only as PID 1 of a namespace of its own\n")
        return 2
    if sys.stdin.readline() != "go\n":
        return 1
    child = os.fork()
    if child == 0:
        serve(Path(arguments[0]), int(arguments[1]), arguments[3])
        return 0
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
