"""Starting a server so that it outlives us: own session, own control group, no descriptor of ours.

A small shell line joins the group, drops privileges where asked, and becomes the server (``exec``), so that the pid we
get is the server's. Where the start depends on a mandate (a file), the line looks for it last of all, when it is inside
the group already: whoever takes the mandate away and then ends the group leaves nothing that could become a server.
Output goes to a file, never to a pipe: a server must not die of SIGPIPE because its watcher ended.
"""

from __future__ import annotations

import errno
import os
import pwd
import signal
from pathlib import Path

from resource_agents.cgroups import Cgroup
from resource_agents.processes import Identity, look
from resource_agents.server import Command

_BECOME = (
    'umask 022; cd "$1" && { [ -z "$2" ] || echo 0 >"$2/cgroup.procs"; } && { [ -z "$3" ] || [ -e "$3" ]; }'
    ' && shift 3 && exec "$@"'
)

#: Signals that a Python program ignores, or that our caller may ignore: the server gets the kernel's defaults.
_DEFAULTS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGCHLD,
)


def spawn(command: Command, output: Path, group: Cgroup | None, mandate: str = "") -> Identity:
    """Start ``command``; its stdout and stderr go to ``output``, emptied first. Raises ``OSError``.

    Nothing is started when the file ``mandate`` (empty: none) is not there any more.
    """
    argv = list(command.argv)
    if command.user:
        argv = ["setpriv", f"--reuid={command.user}", f"--regid={_group(command.user)}", "--init-groups", "--", *argv]
    output.unlink(missing_ok=True)
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _BECOME, "sh", command.cwd, str(group.path) if group else "", mandate, *argv],
        dict(command.env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_DEFAULTS,
    )
    process = look(pid)
    return process.identity if process else Identity(pid, 0)


def _group(user: str) -> int:
    """The user's own group; its name may be another. Raises ``OSError`` for a user that is not there."""
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        raise OSError(errno.EINVAL, f"there is no user {user!r}") from None


def exit_status(pidfd: int) -> int | None:
    """How our child ended, as ``os.waitstatus_to_exitcode`` says it; None when it is not ours to ask, or lives."""
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
