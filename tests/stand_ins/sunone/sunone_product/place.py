"""Where one instance's things are, and the switches that make it misbehave.

A switch is a file ``INSTANCE/stand-in/NAME``; its content, where it has one, is a number of seconds.
"""

import itertools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """One instance, from the command line that all its processes carry."""

    config: Path
    root: str
    temp: str
    user: str
    words: tuple[str, ...]

    @property
    def instance(self) -> Path:
        return self.config.parent

    @property
    def pid_file(self) -> Path:
        return Path(self.temp, "pid")

    @property
    def watchdog_socket(self) -> str:
        return f"{self.temp}/webservd-wdog.socket"

    @property
    def admin_socket(self) -> str:
        return f"{self.temp}/webservd.socket"

    def seconds(self, switch: str, default: float) -> float:
        """The number in a switch file; ``default`` when there is none."""
        with suppress(OSError, ValueError):
            return float((self.instance / "stand-in" / switch).read_text())
        return default

    def is_on(self, switch: str) -> bool:
        return (self.instance / "stand-in" / switch).exists()

    def pid_log(self) -> Path:
        """The pid file: PidLog of a 6.x magnus.conf, else the one in the temp path."""
        with suppress(OSError):
            for line in (self.config / "magnus.conf").read_text().splitlines():
                if line.startswith("PidLog "):
                    return Path(line.split(None, 1)[1].strip())
        return self.pid_file


def from_command_line(words: list[str]) -> Place:
    """``NAME -d CONFIG [-r ROOT] [-t TEMP] [-u USER]``; a 6.x line has only the first, the rest is in magnus.conf."""
    given = dict(itertools.pairwise(words))
    config = Path(given["-d"])
    temp = given.get("-t", "")
    if "-t" not in given:
        for line in (config / "magnus.conf").read_text().splitlines():
            if line.startswith("TempDir "):
                temp = line.split(None, 1)[1].strip()
    return Place(config, given.get("-r", os.path.dirname(config.parent)), temp, given.get("-u", ""), tuple(words))
