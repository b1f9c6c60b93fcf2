"""Makes a node out of fresh namespaces and becomes its init: ``node.py NAME NUMBER PLACE``, as PID 1 of them.

The node's root is the whole machine, copy on write: each program installed here is there, and what the node changes is
its own (``PLACE/upper``, which outlives a reboot of the node but not the lab).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

INITIAL = 0xEFFFFFFC
#: Character devices of a node: name to (major, minor); no block device.
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
HERE = Path(__file__).resolve().parent
#: Where this machine may have a file system of its own, which is not seen through an overlay of what it is mounted on.
PARTS = ("usr", "var", "var/cache", "var/lib", "var/log")


def run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def mount(kind: str, where: Path, options: str = "") -> None:
    where.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", kind, *(("-o", options) if options else ()), kind, str(where))


def filesystems(place: Path) -> Path:
    """The node's own root, with everything that must not be shared."""
    root = place / "root"
    parts = ["", *(part for part in PARTS if os.path.ismount(f"/{part}"))]
    for part in parts:
        (place / "upper" / part).mkdir(parents=True, exist_ok=True)
        (place / "work" / part).mkdir(parents=True, exist_ok=True)
    for part in parts:
        options = f"lowerdir=/{part},upperdir={place / 'upper' / part},workdir={place / 'work' / part}"
        mount("overlay", root / part, options)
    mount("tmpfs", root / "run", "mode=755,size=256m")
    mount("tmpfs", root / "tmp", "mode=1777,size=256m")
    mount("proc", root / "proc")
    mount("sysfs", root / "sys", "ro")
    mount("tmpfs", root / "dev", "mode=755,size=1m")
    devices(root / "dev")
    proc(root / "proc")
    for needed in (Path(os.environ["LAB_CHECKOUT"]), Path(sys.base_prefix)):
        if needed != Path("/usr"):  # an overlay shows neither later changes of its lower root nor what is mounted below
            bind(needed, root / needed.relative_to("/"))
    return root


def bind(source: Path, target: Path) -> None:
    """Show ``source`` as it is now and later, read-only."""
    target.mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", str(source), str(target))
    run("mount", "-o", "remount,bind,ro", str(target))


def devices(dev: Path) -> None:
    os.umask(0)
    for name, (major, minor) in DEVICES.items():
        os.mknod(dev / name, 0o20666, os.makedev(major, minor))
    os.umask(0o022)
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        (dev / name).symlink_to(f"/proc/self/fd{target}")
    mount("devpts", dev / "pts", "newinstance,ptmxmode=0666,mode=620")
    (dev / "ptmx").symlink_to("pts/ptmx")
    mount("tmpfs", dev / "shm", "mode=1777,size=512m")  # libqb's ring buffers


def proc(where: Path) -> None:
    """What /proc says of the whole machine cannot be written from a node; its own network settings can."""
    run("mount", "--bind", str(where / "sys"), str(where / "sys"))
    run("mount", "--bind", str(where / "sys/net"), str(where / "sys/net"))
    run("mount", "-o", "remount,bind,ro", str(where / "sys"))
    if (where / "sysrq-trigger").exists():  # not namespaced, and a panicking Pacemaker writes to it
        run("mount", "--bind", "/dev/null", str(where / "sysrq-trigger"))


def network(number: int) -> None:
    run("ip", "link", "set", "lo", "up")
    for ring, card in enumerate(("eth0", "eth1")):
        run("ip", "address", "add", f"10.77.{ring}.{10 + number}/24", "dev", card)
        run("ip", "link", "set", card, "up")


def identity(root: Path, name: str, number: int) -> None:
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/machine-id").write_text(f"{number:032x}\n")
    agent = root / "usr/sbin/fence_lab"
    agent.write_bytes((HERE / "fence_lab").read_bytes())
    agent.chmod(0o755)
    run("hostname", name)


def become(arguments: list[str]) -> None:
    """Build the node and go on as its init; returns only when nobody wants it."""
    name, number, place = arguments[0], int(arguments[1]), Path(arguments[2])
    if os.getpid() != 1 or os.stat("/proc/self/ns/pid").st_ino == INITIAL:
        sys.stderr.write("node: only as PID 1 of namespaces of its own\n")
        return
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.stdin.readline() != "go\n":
        return
    root = filesystems(place)
    identity(root, name, number)
    network(number)
    old = root / "run/.old"
    old.mkdir()
    run("mount", "--make-rprivate", "/")
    os.chdir(root)
    run("pivot_root", ".", "run/.old")
    os.chdir("/")
    if ctypes.CDLL(None, use_errno=True).umount2(b"/run/.old", 2) != 0:  # MNT_DETACH
        raise OSError(ctypes.get_errno(), "umount2 of the old root")
    console = os.open("/var/log/lab.console", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(console, 1)
    os.dup2(console, 2)
    words = [sys.executable, "-I", str(HERE / "init.py"), str(HERE / "rc.sh")]
    os.execv(sys.executable, words)


if __name__ == "__main__":
    become(sys.argv[1:])
    sys.exit(2)
