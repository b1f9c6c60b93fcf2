"""Putting the OCF executables where Pacemaker looks, and taking them away again.

Each is a small POSIX shell script that answers the common case without starting an interpreter: a recurring monitor
whose status file says "healthy", is not old, and names a server and a daemon that both still live (all read by the
shell itself: no fork, one execve). Everything else goes to a fixed Python interpreter, never a shim on ``PATH``, with
the two packages of the contract beside it, so that actions work as any user and with an empty environment.
"""

from __future__ import annotations

import compileall
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from cluster_glue.ocf_agents import every_agent, metadata
from resource_agents.server import load

PROVIDER = "koboshi"

_SCRIPT = """\
#!/bin/sh
# OCF resource agent ocf:koboshi:@AGENT@: @TITLE@.
# Installed by "koboshi install-agents"; changes here are lost with the next installation.
LIB=@LIB@
PYTHON=@PYTHON@
: "${KOBOSHI_COMMAND:=@COMMAND@}"
export KOBOSHI_COMMAND

# Whether process $1 lives, was started at tick $2, and is neither dead nor stopped.
lives() {
    read -r stat <"/proc/$1/stat" || return 1
    started=$2
    set -f
    # shellcheck disable=SC2086 # the fields after the command's name are words
    set -- ${stat##*) }
    set +f
    case $1 in [ZXxTt]) return 1 ;; esac
    shift 19
    [ "$1" = "$started" ]
}

healthy() {
    read -r until pid start daemon_pid daemon_start <"$1.status" || return 1
    read -r up _ </proc/uptime || return 1
    [ "${up%%.*}" -le "$until" ] || return 1
    lives "$pid" "$start" && lives "$daemon_pid" "$daemon_start" || return 1
    echo "${OCF_RESKEY_CRM_meta_interval} ${OCF_RESKEY_CRM_meta_timeout:-20000}" >"$1.lease"
}

case $1 in
meta-data)
    exec /bin/cat "$LIB/metadata/@AGENT@.xml"
    ;;
monitor)
    at=${KOBOSHI_RUNTIME_DIR:-/run/koboshi}/ocf/${OCF_RESOURCE_INSTANCE:-default}
    if [ "${OCF_RESKEY_CRM_meta_interval:-0}" != 0 ] && [ "${OCF_CHECK_LEVEL:-0}" = 0 ] &&
        [ -r "$at.status" ] && healthy "$at" 2>/dev/null; then
        exit 0
    fi
    exec "$PYTHON" -I -S "$LIB/resource_agents/absent.py" @AGENT@ "@PROGRAMS@" "@PARAMETER@" "$@"
    ;;
esac
exec "$PYTHON" -I -S "$LIB/resource_agents/entry.py" @AGENT@ "$@"
"""


def install(ocf_root: Path, destdir: Path) -> list[Path]:
    """Install all agents below ``destdir``; the executables. Raises ``OSError``.

    Everybody may read and run them, whatever the umask: tools ask for ``meta-data`` as user nobody.
    """
    mask = os.umask(0o022)
    try:
        return _install(ocf_root, destdir)
    finally:
        os.umask(mask)


def _install(ocf_root: Path, destdir: Path) -> list[Path]:
    library = ocf_root / "lib" / PROVIDER
    there = _under(destdir, library)
    shutil.rmtree(there, ignore_errors=True)
    (there / "metadata").mkdir(parents=True, mode=0o755)
    for package in ("ocf", "resource_agents"):
        shutil.copytree(_source(package), there / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    compileall.compile_dir(there, quiet=2, stripdir=str(destdir) if destdir != Path("/") else None)
    folder = _under(destdir, ocf_root / "resource.d" / PROVIDER)
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    made = []
    for agent in every_agent():
        (there / "metadata" / f"{agent}.xml").write_text(metadata(agent), encoding="utf-8")
        path = folder / agent
        path.write_text(_script(agent, library), encoding="utf-8")
        path.chmod(0o755)
        made.append(path)
    for path in there.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # as copied they have the modes of the checkout
    return made


def remove(ocf_root: Path, destdir: Path) -> None:
    """Take away what :func:`install` made."""
    for path in (ocf_root / "resource.d" / PROVIDER, ocf_root / "lib" / PROVIDER):
        shutil.rmtree(_under(destdir, path), ignore_errors=True)


def interpreter() -> str:
    """The real interpreter behind this one: no shim, no link into a virtual environment that may go."""
    return str(Path(sys._base_executable if hasattr(sys, "_base_executable") else sys.executable).resolve())


def _script(agent: str, library: Path) -> str:
    command = Path(sys.prefix) / "bin" / "koboshi"
    values = {
        "AGENT": agent,
        "TITLE": load(agent).title,
        "PROGRAMS": ",".join(load(agent).program_names),
        "PARAMETER": load(agent).program_parameter,
        "LIB": str(library),
        "PYTHON": interpreter(),
        "COMMAND": str(command) if command.exists() else shutil.which("koboshi") or "",
    }
    text = _SCRIPT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _source(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _under(destdir: Path, path: Path) -> Path:
    return destdir / path.relative_to("/") if destdir != Path("/") else path
