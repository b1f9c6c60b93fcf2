"""A monitor of what is certainly not there, told without importing what a full look needs.

Most monitors of a cluster are probes of nodes where the server never ran. When no mandate and no memory speaks of the
resource, and no process on this machine runs a program that could be the server's, then it is stopped, and nothing else
has to be found out. Whenever that is not certain, :mod:`resource_agents.entry` takes over.

Run as ``python -I -S absent.py AGENT PROGRAMS PARAMETER ACTION``: the beginnings of the programs' names, divided by
commas, and the parameter that may name another program. Only ``posix`` is imported: each module costs milliseconds.
"""

import posix
import sys

OCF_NOT_RUNNING = 7


def certain(env: dict[bytes, bytes], programs: list[bytes], parameter: bytes) -> bool:
    """Whether the resource is stopped beyond doubt; as root only, since others do not see all programs."""
    if posix.geteuid() != 0 or int(env.get(b"OCF_CHECK_LEVEL", b"0") or b"0") != 0:
        return False
    named = env.get(b"OCF_RESKEY_" + parameter, b"")
    if named:
        program = _program(named)
        if not program:
            return False
        programs = [*programs, program, named.rpartition(b"/")[2]]
    return not _spoken_of(env) and not any(_runs(pid, tuple(programs)) for pid in posix.listdir(b"/proc"))


def _program(path: bytes) -> bytes:
    """The name of the program at the end of all links; empty when it is a script or not to be known."""
    try:
        for _ in range(10):
            try:
                target = posix.readlink(path)
            except OSError:
                break
            path = target if target.startswith(b"/") else path.rpartition(b"/")[0] + b"/" + target
        fd = posix.open(path, posix.O_RDONLY)
    except FileNotFoundError:
        return path.rpartition(b"/")[2]
    except OSError:
        return b""
    try:
        return path.rpartition(b"/")[2] if posix.read(fd, 4) == b"\x7fELF" else b""
    finally:
        posix.close(fd)


def _spoken_of(env: dict[bytes, bytes]) -> bool:
    """Whether a mandate or a memory of this resource is there, or may be."""
    runtime = env.get(b"KOBOSHI_RUNTIME_DIR") or b"/run/koboshi"
    name = env.get(b"OCF_RESOURCE_INSTANCE") or b"default"
    if not all(chr(byte).isalnum() or byte in b"_-." for byte in name):
        return True
    for folder, sign in ((b"/ocf", b"@"), (b"/resources", b".")):
        try:
            if any(found.startswith(name + sign) for found in posix.listdir(runtime + folder)):
                return True
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


def _runs(pid: bytes, programs: tuple[bytes, ...]) -> bool:
    if not pid.isdigit():
        return False
    try:
        return posix.readlink(b"/proc/" + pid + b"/exe").rpartition(b"/")[2].startswith(programs)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # a kernel's thread, a zombie, gone; or hidden from root, and so from a full look
    except OSError:
        return True


def main(arguments: list[str]) -> int:
    """Say "not running" when that is certain, else let the whole action be carried out."""
    agent, programs, parameter, *rest = arguments
    if programs and certain(posix.environ, [name.encode() for name in programs.split(",")], parameter.encode()):
        return OCF_NOT_RUNNING
    sys.path.insert(0, __file__.rpartition("/")[0].rpartition("/")[0])
    import os

    from resource_agents.entry import main as act

    return act([agent, *rest], dict(os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
