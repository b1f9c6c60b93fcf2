"""Shell files that set a server's environment, such as Debian's ``/etc/apache2/envvars``.

They are programs, so ``/bin/sh`` runs them: in an environment that has nothing of ours. What they export is kept as
long as none of the files changes, so that a start after a death waits for no shell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache

from ocf.programs import run
from resource_agents.parsing.faults import unreadable

#: Seconds that the files may take.
TIMEOUT = 10.0

_MARK = "koboshi-environment-follows"
_SCRIPT = f'for file do if [ -f "$file" ] && [ -r "$file" ]; then . "$file"; fi; done; echo; echo {_MARK}; env -0'

#: Variables that the shell itself sets.
_OWN = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})

Stamp = tuple[str, int, int, int]


def evaluated(files: tuple[str, ...], base: Mapping[str, str]) -> dict[str, str]:
    """The environment after these files, in order; a file that is not there is passed over.

    Raises :class:`ConfigurationUnreadable` when one of them does not run to its end.
    """
    stamps = tuple(stamp for stamp in map(_stamp, files) if stamp)
    if not stamps:
        return dict(base)
    return dict(_evaluated(stamps, tuple(base.items())))


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=64)
def _evaluated(stamps: tuple[Stamp, ...], base: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    paths = [stamp[0] if "/" in stamp[0] else f"./{stamp[0]}" for stamp in stamps]
    finished = run(["/bin/sh", "-c", _SCRIPT, "sh", *paths], TIMEOUT, dict(base))
    said, mark, environment = finished.output.partition(f"\n{_MARK}\n")
    if not mark or not finished.ok:
        words = finished.problem or said.strip().rpartition("\n")[2] or f"exit status {finished.status}"
        raise unreadable(" ".join(paths), 0, f"the shell could not evaluate it: {words}")
    pairs = (entry.partition("=") for entry in environment.split("\0") if "=" in entry)
    return tuple((name, value) for name, _, value in pairs if name not in _OWN)
