"""Those who keep a server up: koboshi, supervisord and monit (systemd is in :mod:`bench.nspawn`).

Each is configured as its manual says, with the fastest cycle that it offers (see docs/benchmarks.rst).
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from bench import families
from bench.asking import answers, now
from bench.sites import Site
from bench.stage import Stage, Unavailable, found, launch, reap, tail, until
from resource_agents.processes import Identity


class Keeper(ABC):
    """One keeper of some sites, with a folder of its own; to be used in a ``with`` statement."""

    name: ClassVar[str]
    #: Seconds that a server must have been up before the keeper counts its start as a success.
    settle: ClassVar[float] = 0.3

    def __init__(self, stage: Stage, sites: Sequence[Site]) -> None:
        self.stage, self.sites = stage, sites
        self.folder = stage.place(self.name)
        self.output = self.folder / "out"
        self.process = Identity(0, 0)

    @abstractmethod
    def start(self) -> Identity:
        """Start the keeper itself, which starts its sites."""

    def __enter__(self) -> Self:
        try:
            self.process = self.start()
            for site in self.sites:
                until(lambda site=site: answers(site.port), 30.0, f"{site.kind} under {self.name}")  # type: ignore[misc]
        except Unavailable as why:
            self.close()
            raise Unavailable(f"{why}: {tail(self.output)}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the keeper and its sites."""
        families.end([self.process] if self.process.pid else [], [site.port for site in self.sites])
        reap()

    def ready(self, site: Site, since: float) -> None:
        """Wait until the next fault is a fair one: ``since`` (CLOCK_BOOTTIME) is when the server answered."""
        time.sleep(max(0.0, since + self.settle - now()))
        until(lambda: _whole(site), 10.0, f"workers of {site.kind}")


def _whole(site: Site) -> bool:
    main, others = families.family(site.port)
    return main is not None and bool(others)


class Koboshi(Keeper):
    """koboshi with its defaults, but for a budget that outlasts the benchmark and no growing waits."""

    name = "koboshi"

    PATIENCE: ClassVar[str] = "restart_limit = 1000\nrestart_window = 2592000\nstable_after = 0\n"

    def __init__(self, stage: Stage, sites: Sequence[Site], config: str = "") -> None:
        super().__init__(stage, sites)
        self.names = {site.port: f"web{number}" for number, site in enumerate(sites)}
        text = config or "".join(self._table(site) for site in sites)
        self.config = self.folder / "koboshi.toml"
        self.config.write_text(f'[koboshi]\nsyslog = ""\n\n{text}')

    def _table(self, site: Site) -> str:
        values = {"agent": site.agent, **site.parameters}
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        return f"[resource.{self.names[site.port]}]\n{lines}{self.PATIENCE}\n"

    def start(self) -> Identity:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("KOBOSHI_", "NOTIFY_"))}
        env |= {"KOBOSHI_RUNTIME_DIR": str(self.folder / "run"), "KOBOSHI_STATE_DIR": str(self.folder / "state")}
        return launch([*self.program(), "run", "-c", str(self.config)], self.output, env)

    def program(self) -> list[str]:
        """koboshi's command line."""
        return [str(Path(sys.executable).parent / "koboshi")]

    def ready(self, site: Site, since: float) -> None:
        until(lambda: self.saved(self.names[site.port]).get("phase") == "up", 30.0, f"koboshi's 'up' for {site.kind}")
        super().ready(site, since)

    def record(self, resource: str) -> dict[str, Any]:
        """What koboshi saved last of a resource (boot, state, remembered); empty when there is nothing yet."""
        try:
            return dict(json.loads((self.folder / "run" / "resources" / f"{resource}.json").read_text()))
        except (OSError, ValueError):
            return {}

    def saved(self, resource: str) -> dict[str, Any]:
        """The state of a resource as it was saved last."""
        return dict(self.record(resource).get("state", {}))

    def restarts(self, name: str) -> list[float]:
        """The times of a resource's restarts (CLOCK_BOOTTIME)."""
        found = self.saved(name).get("restarts")
        return list(found) if isinstance(found, list) else []


class Undiagnosed(Koboshi):
    """The same without a look at why a server fell."""

    name = "koboshi, no evidence"

    def program(self) -> list[str]:
        return [sys.executable, "-P", str(Path(__file__).with_name("undiagnosed.py"))]


class Supervisord(Keeper):
    """supervisord: foreground servers, ``autorestart=true``, otherwise its defaults."""

    name = "supervisord"
    settle = 1.3

    def start(self) -> Identity:
        config = self.folder / "supervisord.conf"
        own = {"logfile": "log", "pidfile": "pid", "childlogdir": ""}
        text = "[supervisord]\nnodaemon=true\n" + ("user=root\n" if os.geteuid() == 0 else "")
        text += "".join(f"{word}={self.folder}/{name}\n" for word, name in own.items())
        for number, site in enumerate(self.sites):
            line = " ".join(f'"{word}"' if " " in word else word for word in site.foreground)
            text += f"[program:web{number}]\ncommand={line}\nautorestart=true\nkillasgroup=true\nstopasgroup=true\n"
        config.write_text(text)
        return launch([found("supervisord"), "-n", "-c", str(config)], self.output)


class Monit(Keeper):
    """monit with a cycle of one second, pid files and an HTTP test."""

    name = "monit"
    settle = 1.3

    def start(self) -> Identity:
        config = self.folder / "monitrc"
        own = {"log": "log", "idfile": "id", "statefile": "state", "pidfile": "pid"}
        text = "set daemon 1\n" + "".join(f"set {word} {self.folder}/{name}\n" for word, name in own.items())
        for number, site in enumerate(self.sites):
            text += (
                f"check process web{number} with pidfile {site.pidfile}\n"
                f'  start program = "{" ".join(site.background)}" with timeout 5 seconds\n'
                f"  stop program = \"/bin/sh -c 'kill $(cat {site.pidfile})'\"\n"
                f"  if failed host 127.0.0.1 port {site.port} protocol http with timeout 1 seconds then restart\n"
            )
        config.touch(0o600)
        config.write_text(text)
        return launch([found("monit"), "-I", "-c", str(config)], self.output)
