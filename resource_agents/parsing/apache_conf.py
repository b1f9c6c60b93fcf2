"""Apache's configuration, read as Apache reads it: one pass, includes and conditions where they stand.

``<IfDefine>``, ``<IfModule>``, ``<IfVersion>`` and ``<IfFile>`` are decided as Apache decides them: by the definitions
and LoadModule lines read so far, and by what is linked into the binary. A module is known by its identifier and by the
source name that follows from it. What cannot be decided without running Apache (``<IfDirective>``, ``<IfSection>``)
counts as true, so that no address is overlooked. Macros (mod_macro) are expanded, Perl sections are left out.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from resource_agents.parsing import text
from resource_agents.parsing.apache_lines import Line, expanded, lines, words
from resource_agents.parsing.apache_program import compiled, names_of, static_modules
from resource_agents.parsing.faults import unreadable

#: Deepest nesting of files and macros, and most files; Apache itself stops at a depth of 20.
DEPTH_LIMIT, FILES_LIMIT = 40, 4000

#: What a line counts besides its length, against the limit for all files together.
LINE_COST = 30

_CONDITIONS = frozenset({"ifdefine", "ifmodule", "ifversion", "iffile", "ifdirective", "ifsection"})
_RAW = frozenset({"perl", "macro"})
_TAG = re.compile(r"<(/?)([^\s>]+)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, eq=False, slots=True)
class Section:
    """An open ``<Name words>``; ``name`` in lower case. Two sections are never equal."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive; ``name`` in lower case, ``inside`` the sections around it, outermost first."""

    name: str
    words: tuple[str, ...]
    inside: tuple[Section, ...]
    file: str
    line: int


@dataclass
class Reader:
    """Reads a configuration with its includes; the result is in ``directives``, ``modules``, ``root``, ``files``.

    ``environment`` feeds ``${NAME}``, ``defines`` are the names given with -D. ``files`` holds folders that a wildcard
    looked into as well: a new file there changes the configuration.
    """

    binary: str
    root: str
    environment: Mapping[str, str]
    defines: dict[str, str] = field(default_factory=dict)
    directives: list[Directive] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    _loaded: set[str] = field(default_factory=set)
    _values: dict[str, str] = field(default_factory=dict)
    _stack: list[Section] = field(default_factory=list)
    _macros: dict[str, tuple[list[str], list[Line]]] = field(default_factory=dict)
    _depth: int = 0
    _size: int = 0

    def read(self, path: str, named_in: str = "", line: int = 0) -> None:
        """Read one file. Raises :class:`ConfigurationUnreadable` for what Apache would refuse as well."""
        self.files.append(path)
        if len(self.files) > FILES_LIMIT or self._depth >= DEPTH_LIMIT:
            raise unreadable(named_in or path, line, "too many files are included, or one includes itself")
        self._run(lines(text.read(path, named_in, line)), path)

    def given(self, directives: Iterable[str], where: str) -> None:
        """Directives from the command line (``-C``, ``-c``)."""
        self._run((Line(0, said.strip()) for said in directives), where)

    def has(self, module: str) -> bool:
        """Whether this module (identifier or source name) is loaded or linked in."""
        return module in self._loaded or module in self._linked

    @cached_property
    def _linked(self) -> frozenset[str]:
        return static_modules(self.binary)

    def _run(self, said: Iterator[Line], path: str) -> None:
        height = len(self._stack)
        self._depth += 1
        number = 0
        for line in said:
            number = line.number
            self._size += len(line.text) + LINE_COST  # macros may multiply what a small file says
            if self._size > text.TOTAL_LIMIT:
                raise unreadable(path, number, "all of it together is too large for a configuration")
            if line.text.startswith("<"):
                self._tag(line, said, path, height)
            else:
                name, *rest = line.text.split(None, 1)
                self._directive(name.lower(), rest[0] if rest else "", line.number, path)
        if len(self._stack) > height:
            raise unreadable(path, number, f"<{self._stack[-1].name}> is not closed")
        self._depth -= 1

    def _tag(self, line: Line, said: Iterator[Line], path: str, height: int) -> None:
        match = _TAG.match(line.text)
        if match is None:
            raise unreadable(path, line.number, f"{line.text[:60]!r} is no section")
        name, arguments = match[2].lower(), match[3].removesuffix(">")
        if match[1]:
            if len(self._stack) <= height or self._stack[-1].name != name:
                raise unreadable(path, line.number, f"</{match[2]}> closes nothing that is open here")
            self._stack.pop()
        elif name in _RAW:
            self._define_macro(arguments, list(_body(said, name, line, path)), name)
        elif name in _CONDITIONS and not self._holds(name, self._words(arguments)):
            for _ in _body(said, name, line, path):
                pass
        else:
            self._stack.append(Section(name, tuple(self._words(arguments))))

    def _directive(self, name: str, arguments: str, number: int, path: str) -> None:
        given = self._words(arguments)
        if name in ("include", "includeoptional") and given:
            self._include(given[0], name == "includeoptional", path, number)
        elif name == "loadmodule" and len(given) > 1:
            self._loaded.update(names_of(given[0]))
        elif name == "define" and given:
            self.defines[given[0]] = ""
            if len(given) > 1:
                self._values[given[0]] = given[1]
        elif name == "undefine" and given:
            self.defines.pop(given[0], None)
            self._values.pop(given[0], None)
        elif name == "use" and given:
            self._use(given, number, path)
        else:
            if name == "serverroot" and given:
                self.root = given[0]
            inside = tuple(section for section in self._stack if section.name not in _CONDITIONS)
            self.directives.append(Directive(name, tuple(given), inside, path, number))

    def _words(self, arguments: str) -> list[str]:
        return [expanded(word, self._values, self.environment) for word in words(arguments)]

    def _include(self, pattern: str, optional: bool, path: str, number: int) -> None:
        wanted = os.path.join(self.root, pattern)
        if glob.has_magic(wanted):
            self.files.append(_fixed_folder(wanted))
            found = sorted(glob.glob(wanted))
        else:
            found = [wanted] if not optional or os.path.lexists(wanted) else []
        if not found and not optional:
            raise unreadable(path, number, f"no file matches {pattern!r}")
        for each in found:
            for file in _files_below(each):
                self.read(file, path, number)

    def _define_macro(self, arguments: str, body: list[Line], name: str) -> None:
        given = words(arguments)
        if name == "macro" and given:
            self._macros[given[0].lower()] = (given[1:], body)

    def _use(self, given: list[str], number: int, path: str) -> None:
        names, body = self._macros.get(given[0].lower(), ([], []))
        if self._depth >= DEPTH_LIMIT:
            raise unreadable(path, number, f"macro {given[0]!r} uses itself")
        pairs = sorted(zip(names, given[1:], strict=False), key=lambda pair: -len(pair[0]))
        self._run((Line(number, _replaced(line.text, pairs)) for line in body), path)

    def _holds(self, name: str, given: list[str]) -> bool:
        asked = " ".join(given)
        if name == "ifversion":
            return _version_holds(given, compiled(self.binary).version)
        denied = asked.startswith("!")
        asked = asked.removeprefix("!").strip()
        if name == "ifdefine":
            return (asked in self.defines) != denied
        if name == "ifmodule":
            return self.has(asked) != denied
        if name == "iffile":
            return os.path.exists(os.path.join(self.root, asked)) != denied
        return True


def _body(said: Iterator[Line], name: str, opened: Line, path: str) -> Iterator[Line]:
    """The lines up to the end tag that belongs to an open one."""
    depth = 1
    for line in said:
        match = _TAG.match(line.text)
        if match is not None and match[2].lower() == name:
            depth += -1 if match[1] else 1
            if depth == 0:
                return
        yield line
    raise unreadable(path, opened.number, f"<{name}> is not closed")


def _replaced(line: str, pairs: list[tuple[str, str]]) -> str:
    """A macro's line with its parameters filled in; empty when that makes it absurdly long."""
    for name, value in pairs:
        if line.count(name) * len(value) > text.FILE_LIMIT:
            return ""
        line = line.replace(name, value)
    return line


def _files_below(path: str) -> Iterator[str]:
    """The file itself, or all files of a folder and the folders in it, by name; a folder is never left by a link."""
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(files))


def _fixed_folder(pattern: str) -> str:
    """The deepest folder that every match of a wildcard lies below."""
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return pattern or "/"


def _version_holds(given: list[str], version: tuple[int, ...]) -> bool:
    sign, asked = given if len(given) == 2 else ("=", " ".join(given))
    denied, sign = sign.startswith("!"), sign.removeprefix("!") or "="
    if asked.startswith("/") or sign == "~":
        with_dots = ".".join(map(str, version))
        try:
            return bool(re.search(asked.strip("/"), with_dots)) != denied
        except re.error:
            return denied
    numbers = [int(part) if part.isdecimal() and len(part) < 9 else 0 for part in asked.split(".")[:3]]
    wanted, have = (*numbers, 0, 0)[:3], (*version, 0, 0)[:3]
    answers = {
        "=": have == wanted,
        "==": have == wanted,
        ">": have > wanted,
        ">=": have >= wanted,
        "<": have < wanted,
        "<=": have <= wanted,
    }
    return answers.get(sign, True) != denied
