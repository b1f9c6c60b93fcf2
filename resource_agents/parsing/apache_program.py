"""What an Apache binary has compiled in: its own words after ``-V`` and ``-l``, asked once per binary."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache

from ocf.programs import run

TIMEOUT = 5.0

_SETTING = re.compile(r'^\s*-D (\w+)(?:="([^"]*)")?', re.MULTILINE)

#: Modules whose source file is not named after them.
_IDENTIFIERS = {
    "core.c": "core_module",
    "http_core.c": "http_module",
    "event.c": "mpm_event_module",
    "worker.c": "mpm_worker_module",
    "prefork.c": "mpm_prefork_module",
}

#: What every build has, for a binary that cannot be asked.
_ALWAYS = ("core.c", "mod_so.c", "http_core.c")


@dataclass(frozen=True, slots=True)
class Program:
    """Defaults of one binary. ``version`` is (2, 4, 62); ``sysvsem``: locks are SysV semaphores unless configured."""

    root: str = ""
    configfile: str = "conf/httpd.conf"
    pidfile: str = "logs/httpd.pid"
    error_log: str = "logs/error_log"
    version: tuple[int, ...] = (2, 4, 0)
    sysvsem: bool = False


def compiled(binary: str) -> Program:
    """The defaults of this binary; the distribution's usual ones when it cannot be run."""
    stamp = _stamp(binary)
    return _settings(binary, stamp) if stamp else Program()


def static_modules(binary: str) -> frozenset[str]:
    """Identifiers and source names of the modules that are linked in."""
    stamp = _stamp(binary)
    return _modules(binary, stamp) if stamp else _both(_ALWAYS)


def names_of(identifier: str) -> tuple[str, str]:
    """What ``<IfModule>`` calls a module that LoadModule knows by ``identifier``."""
    source = next((file for file, known in _IDENTIFIERS.items() if known == identifier), "")
    return identifier, source or f"mod_{identifier.removesuffix('_module')}.c"


def _stamp(binary: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(binary)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=16)
def _settings(binary: str, _stamp: tuple[int, int, int]) -> Program:
    words = run([binary, "-V", "-f", "/dev/null"], TIMEOUT).output
    said = {name: value or "" for name, value in _SETTING.findall(words)}
    version = re.search(r"Apache/(\d+(?:\.\d+)*)", words)
    usual = Program()
    return Program(
        root=said.get("HTTPD_ROOT", usual.root),
        configfile=said.get("SERVER_CONFIG_FILE", usual.configfile),
        pidfile=said.get("DEFAULT_PIDLOG", usual.pidfile),
        error_log=said.get("DEFAULT_ERRORLOG", usual.error_log),
        version=tuple(map(int, version[1].split("."))) if version else usual.version,
        sysvsem="APR_USE_SYSVSEM_SERIALIZE" in said,
    )


@lru_cache(maxsize=16)
def _modules(binary: str, _stamp: tuple[int, int, int]) -> frozenset[str]:
    files = re.findall(r"^\s+(\w+\.c)\s*$", run([binary, "-l"], TIMEOUT).output, re.MULTILINE)
    return _both(files or _ALWAYS)


def _both(files: list[str] | tuple[str, ...]) -> frozenset[str]:
    identifiers = {_IDENTIFIERS.get(file, f"{file.removeprefix('mod_').removesuffix('.c')}_module") for file in files}
    return frozenset(files) | identifiers
