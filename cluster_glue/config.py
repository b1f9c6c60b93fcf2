"""The configuration file: TOML, checked as a whole, with every error at once.

``[koboshi]`` is about koboshi itself, each ``[resource.NAME]`` about one web server: its agent, its policy, and the
agent's own parameters under the names that the OCF agent has. ``python -m cluster_glue.config`` prints
``docs/configuration.rst``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from cluster_glue import values
from cluster_glue.config_model import NAME, Config, ConfigError, ConfigErrors, ResourceConfig, Settings
from cluster_glue.config_resource import ResourceCheck, nearest
from cluster_glue.connectors import clusterware
from cluster_glue.toml_lines import Places

#: Bytes of a configuration file; more is another file given by mistake.
LONGEST: Final = 4 * 1024 * 1024

TABLES: Final = ("koboshi", "resource")


def load(path: Path | str) -> Config:
    """The configuration in the file ``path``. Raises :class:`ConfigErrors`, and never gives half of it."""
    return parse(_read(Path(path)), str(path))


def parse(text: str, path: str = "koboshi.toml") -> Config:
    """The configuration in ``text``; ``path`` is for messages. Raises :class:`ConfigErrors`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors(path, [_syntax_error(str(error))]) from None
    except RecursionError:
        raise ConfigErrors(path, [ConfigError(None, "", "it is nested too deeply")]) from None
    check = _Check(path, document, Places(text))
    config = check.config()
    if check.errors:
        raise ConfigErrors(path, check.errors)
    return config


class _Check:
    """One look at a whole document; errors are collected on the way."""

    def __init__(self, path: str, document: dict[str, Any], places: Places) -> None:
        self.errors: list[ConfigError] = []
        self._path, self._document, self._places = path, document, places

    def config(self) -> Config:
        for name in self._document:
            if name not in TABLES:
                self._say("there is no such table", nearest(name, TABLES), name)
        settings = self._settings(self._table("koboshi"))
        resources = {name: self._resource(name, table) for name, table in self._table("resource").items()}
        good = {name: resource for name, resource in resources.items() if resource is not None}
        self._check_unique(good)
        self._check_glue(good, settings)
        return Config(settings, good, self._path)

    def _settings(self, table: dict[str, Any]) -> Settings:
        known = {item.name: item for item in fields(Settings)}
        given: dict[str, Any] = {}
        for name, value in table.items():
            if name not in known:
                self._say("there is no such setting", nearest(name, known), "koboshi", name)
                continue
            meta = known[name].metadata
            try:
                given[name] = values.reader(known[name].default, meta["unit"])(value)
            except values.ValueWrong as error:
                self._say(str(error), "", "koboshi", name)
                continue
            if meta["low"] is not None and given[name] < meta["low"]:
                self._say(f"{given[name]:g} is too small", f"at least {meta['low']:g}", "koboshi", name)
            choices = connectors() if name == "connector" else meta["choices"]
            if choices and given[name] not in choices:
                self._say(f"{values.shown(value)} is none of them", nearest(given[name], choices), "koboshi", name)
        return Settings(**given)

    def _resource(self, name: str, table: object) -> ResourceConfig | None:
        if not isinstance(table, dict):
            self._say("it must be a table", f"write [resource.{name}]", "resource", name)
            return None
        if not NAME.fullmatch(name):
            remedy = "1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or a digit"
            self._say("a resource cannot be called so", remedy, "resource", name)
        elif table and all(isinstance(value, dict) for value in table.values()):
            below = next(iter(table))
            remedy = f'a name with a dot needs quotes: [resource."{name}.{below}"]'
            self._say("it holds only tables", remedy, "resource", name)
            return None
        return ResourceCheck(name, table, self._say).resource()

    def _check_glue(self, resources: dict[str, ResourceConfig], settings: Settings) -> None:
        """What a resource asks of its clusterware must be something that this clusterware can do.

        Where there is somewhere to go, a resource that says nothing goes there when restarts cannot help.
        """
        doors: dict[str, str] = {}
        for name, resource in resources.items():
            chosen = resource.glue.connector or settings.connector
            if chosen not in connectors():
                remedy = nearest(chosen, connectors())
                self._say(f"{values.shown(chosen)} is none of them", remedy, *_at(name, "connector"))
                continue
            able = clusterware.load(chosen)
            if "failover" in able.escalations and "on_exhausted" not in self._table("resource")[name]:
                policy = replace(resource.policy, on_exhausted="failover")
                resource = resources[name] = replace(resource, policy=policy)
            if resource.policy.on_exhausted not in able.escalations:
                problem = f"{able.title} cannot do {resource.policy.on_exhausted!r}"
                self._say(problem, f"valid: {', '.join(able.escalations)}", *_at(name, "on_exhausted"))
            if resource.glue.drain_wait > resource.policy.stop_timeout / 2:
                problem = f"{resource.glue.drain_wait:g} s is longer than half of stop_timeout"
                self._say(problem, f"it is {resource.policy.stop_timeout:g} s", *_at(name, "drain_wait"))
            for setting in ("agent_check", "readiness"):
                door = getattr(resource.glue, setting)
                if door and doors.setdefault(door, name) != name:
                    self._say(f"{values.shown(door)} is what {doors[door]} has, too", "", *_at(name, setting))

    def _check_unique(self, resources: dict[str, ResourceConfig]) -> None:
        """Two resources of one agent must not claim the same server."""
        seen: dict[tuple[str, str, str], str] = {}
        for name, resource in resources.items():
            for parameter, value in resource.unique.items():
                if not value:
                    continue
                other = seen.setdefault((resource.agent, parameter, value), name)
                if other != name:
                    problem = f"{values.shown(value)} is what {other} has, too"
                    self._say(problem, "two resources must not watch one server", "resource", name, parameter)

    def _table(self, name: str) -> dict[str, Any]:
        table = self._document.get(name, {})
        if isinstance(table, dict):
            return table
        self._say("it must be a table", f"write [{name}{'.NAME' if name == 'resource' else ''}]", name)
        return {}

    def _say(self, problem: str, remedy: str, *path: str) -> None:
        self.errors.append(ConfigError(self._places.line(*path), ".".join(path), problem, remedy))


def connectors() -> list[str]:
    """All clusterwares there are, found by looking."""
    return clusterware.names()


def _at(resource: str, setting: str) -> tuple[str, str, str]:
    return ("resource", resource, setting)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "name the file with -c, or set KOBOSHI_CONFIG" if isinstance(error, FileNotFoundError) else ""
        raise ConfigErrors(str(path), [ConfigError(None, "", f"it cannot be read: {reason}", remedy)]) from None
    if len(raw) > LONGEST:
        problem = ConfigError(None, "", f"it is larger than {LONGEST} bytes", "is it the right file?")
        raise ConfigErrors(str(path), [problem])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = ConfigError(line, "", f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        raise ConfigErrors(str(path), [problem]) from None


def _syntax_error(words: str) -> ConfigError:
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", words)
    if place is None:
        return ConfigError(None, "", f"this is not TOML: {words}")
    line, column = place.groups()
    where = f" (column {column})" if column else " (at the end of the file)"
    return ConfigError(int(line) if line else None, "", f"this is not TOML: {words[: place.start()]}{where}")


__all__ = ["Config", "ConfigError", "ConfigErrors", "ResourceConfig", "Settings", "connectors", "load", "parse"]

if __name__ == "__main__":
    from cluster_glue.reference import configuration_page

    sys.stdout.write(configuration_page())
