"""The machine room of a lab that Vagrant makes: PID 1 of its namespaces, with the wires and the power switch.

Run as ``room.py DIRECTORY NODES CHECKOUT KIND`` by :mod:`vagrant.machines.roomed`: the bridges
(:mod:`vagrant.lab.room`), what KIND needs (``vagrant.machines.KIND``, its ``prepare`` and ``machines``), and the switch
(:mod:`vagrant.lab.switch`). ``/run`` is the room's own, and so is ``/sys``.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # python -I looks nowhere

from vagrant.lab.room import first_process, lay
from vagrant.lab.switch import Switch


def run(*words: str) -> None:
    """Raises ``subprocess.CalledProcessError``."""
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


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
    lay()
    module = importlib.import_module(f"vagrant.machines.{kind}")
    module.prepare(directory)
    switch = Switch(module.machines(directory, count))
    switch.listen()
    switch.serve(Path("room.sock"))


if __name__ == "__main__":
    place, number, _, form = sys.argv[1:]
    sys.exit(first_process(lambda: serve(Path(place), int(number), form)))
