"""Where koboshi keeps its things, so that several daemons can live side by side.

========================  =======================  =========================================================
variable                  root                     a plain user
========================  =======================  =========================================================
``KOBOSHI_RUNTIME_DIR``   ``/run/koboshi``         ``$XDG_RUNTIME_DIR/koboshi``, else ``/tmp/koboshi-UID``
``KOBOSHI_STATE_DIR``     ``/var/lib/koboshi``     ``$XDG_STATE_HOME/koboshi`` (``~/.local/state/koboshi``)
``KOBOSHI_CONFIG``        ``/etc/koboshi/...``     ``$XDG_CONFIG_HOME/koboshi/koboshi.toml`` (``~/.config``)
========================  =======================  =========================================================
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


class PlaceError(Exception):
    """A directory that koboshi must not use; the message names it and the remedy."""


def runtime_dir(env: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """What may vanish with a reboot: the control socket, the saved state."""
    uid = os.getuid() if uid is None else uid
    if env.get("KOBOSHI_RUNTIME_DIR"):
        return Path(env["KOBOSHI_RUNTIME_DIR"]).absolute()
    if uid == 0:
        return Path("/run/koboshi")
    if env.get("XDG_RUNTIME_DIR"):
        return Path(env["XDG_RUNTIME_DIR"]).absolute() / "koboshi"
    return Path(f"/tmp/koboshi-{uid}")


def state_dir(env: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """What must outlive a reboot: the journal of incidents."""
    return _place(env, uid, "KOBOSHI_STATE_DIR", "/var/lib/koboshi", "XDG_STATE_HOME", ".local/state", "koboshi")


def config_file(env: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """The configuration that is read when none is named."""
    default, name = "/etc/koboshi/koboshi.toml", "koboshi/koboshi.toml"
    return _place(env, uid, "KOBOSHI_CONFIG", default, "XDG_CONFIG_HOME", ".config", name)


def control_socket(env: Mapping[str, str] = os.environ) -> Path:
    """Where a running daemon listens for the command."""
    return runtime_dir(env) / "control.sock"


def journal_file(env: Mapping[str, str] = os.environ) -> Path:
    """Where incidents are kept."""
    return state_dir(env) / "journal.sqlite"


def ensure(path: Path) -> Path:
    """Give ``path`` back as a directory of ours, made with mode 0700 when it was missing.

    Raises :class:`PlaceError` when it cannot be made, is no directory, belongs to somebody else, or when others may
    write in it (they could put their own socket or state there).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise PlaceError(f"{path} cannot be made: {error.strerror or error}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise PlaceError(f"{path} is not a directory (a symbolic link will not do): move it away")
    if found.st_uid != os.getuid():
        raise PlaceError(
            f"{path} belongs to uid {found.st_uid}, and koboshi runs as uid {os.getuid()}:"
            " remove it or name another directory"
        )
    if found.st_mode & 0o022:
        raise PlaceError(f"{path} can be written by others (mode {found.st_mode & 0o777:04o}): chmod 0700 {path}")
    return path


def _place(env: Mapping[str, str], uid: int | None, own: str, root: str, xdg: str, under_home: str, name: str) -> Path:
    if env.get(own):
        return Path(env[own]).absolute()
    if (os.getuid() if uid is None else uid) == 0:
        return Path(root)
    base = Path(env[xdg]) if env.get(xdg) else Path(env.get("HOME") or "/") / under_home
    return base.absolute() / name
