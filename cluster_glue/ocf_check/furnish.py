"""Make fresh namespaces a place to live in, where nothing that is written reaches the machine.

Every directory under / is covered with an overlay whose upper layer is a tmpfs of this mount namespace; /run and
/dev/shm are empty ones (with the directories, but none of the sockets and pid files, of the machine); control groups
are hidden, since a group made there would outlive the run. The loopback interface is up and every address is local, so
that a server may listen on the service address it is configured for. Must run as root in mount, PID and network
namespaces of its own. Source: mount(2), overlayfs.rst, ip-route(8).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ocf.programs import run

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

#: File systems that hold no files of the machine.
PSEUDO = frozenset(
    (
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "sysfs",
        "tracefs",
    )
)
KEPT = ("/proc", "/sys", "/dev", "/run")

#: Parts of /run that would make a program believe it could talk to the machine's own service manager.
HIDDEN_IN_RUN = ("systemd", "dbus", "user", "docker", "containerd")

#: Where programs put temporary files.
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass(frozen=True, slots=True)
class Layers:
    """Directories that hold exactly the files written since: open descriptor and the path it stands for."""

    uppers: tuple[tuple[int, str], ...]

    def written(self) -> Iterator[str]:
        """Paths of all regular files written since and still there."""
        for fd, path in self.uppers:
            yield from _files(fd, path)
        for path in ("/run", "/dev/shm"):
            yield from (str(file) for file in Path(path).rglob("*") if file.is_file() and not file.is_symlink())


def _files(fd: int, path: str) -> Iterator[str]:
    root = f"/proc/self/fd/{fd}"
    for place, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):
                if stat.S_ISREG(os.lstat(f"{place}/{name}").st_mode):
                    yield path + f"{place}/{name}".removeprefix(root)


def furnish() -> Layers:
    """Cover the file systems and bring the network up. Raises ``OSError`` when the kernel refuses."""
    targets = [(target, os.open(target, os.O_PATH | os.O_DIRECTORY)) for target in sorted(set(_targets()), key=len)]
    skeleton = list(_directories("/run"))
    _mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    uppers = []
    for number, (target, lower) in enumerate(targets):
        try:
            uppers.append((_cover(target, lower, f"/run/{number}"), target))
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise  # the kernel has no overlayfs at all
            _protect(target, lower)
        os.close(lower)
    _mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for path, info in skeleton:
        _make(path, info)
    os.makedirs("/run/resource-agents", exist_ok=True)
    os.chmod("/run/resource-agents", 0o1755)
    if os.path.isdir("/dev/shm"):
        _mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    if os.path.isdir("/sys/fs/cgroup"):
        _mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_RDONLY, "mode=555")
    _connect()
    return Layers(tuple(uppers))


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {kind} on {target}: {os.strerror(number)}")


def _targets() -> Iterator[str]:
    """Directories right under /, and what is mounted below them."""
    for entry in os.scandir("/"):
        if entry.is_dir(follow_symlinks=False) and entry.path not in KEPT:
            yield entry.path
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), fields[4])  # proc(5)
        kind = fields[fields.index("-") + 1]
        deep = point.count("/") > 1 and not point.startswith(tuple(f"{kept}/" for kept in KEPT))
        if deep and kind not in PSEUDO and os.path.isdir(point):
            yield point


def _cover(target: str, lower: int, room: str) -> int:
    """Mount an overlay on ``target``; give an open descriptor of its upper directory."""
    info = os.stat(f"/proc/self/fd/{lower}")
    upper, work = f"{room}/upper", f"{room}/work"
    _make(upper, info)
    os.makedirs(work)
    _mount("overlay", target, "overlay", 0, f"lowerdir=/proc/self/fd/{lower},upperdir={upper},workdir={work}")
    return os.open(upper, os.O_RDONLY | os.O_DIRECTORY)


def _protect(target: str, lower: int) -> None:
    """Show, but for reading only, what cannot be covered: overlayfs takes no lower layer on vfat, for example."""
    _mount(f"/proc/self/fd/{lower}", target, "", MS_BIND, "")
    _mount("", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY, "")


def _make(path: str, info: os.stat_result) -> None:
    os.makedirs(path, exist_ok=True)
    os.chown(path, info.st_uid, info.st_gid)
    os.chmod(path, stat.S_IMODE(info.st_mode))


def _directories(root: str) -> Iterator[tuple[str, os.stat_result]]:
    for place, names, _ in os.walk(root):
        names[:] = [name for name in names if not (place == root and name in HIDDEN_IN_RUN)]
        for name in names:
            with suppress(OSError):
                info = os.lstat(f"{place}/{name}")
                if stat.S_ISDIR(info.st_mode):
                    yield f"{place}/{name}", info


def _connect() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))
    for family in ("-4", "-6"):  # without ip(8) only 127.0.0.1 and ::1 are there
        run(["ip", family, "route", "add", "local", "default", "dev", "lo"], timeout=5)
