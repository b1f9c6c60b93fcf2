"""nginx's configuration as a tree of statements: its own words, quotes, comments, blocks and includes.

A relative include counts from the folder of the main file, a wildcard may match nothing. Blocks whose contents are data
(``types``, ``map``, ``geo``, ...) are read over, and so are blocks of Lua code.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.parsing import text
from resource_agents.parsing.faults import unreadable

#: Deepest nesting of blocks and of files, most files, and what a token counts besides its length.
BLOCKS_LIMIT, DEPTH_LIMIT, FILES_LIMIT, TOKEN_COST = 100, 40, 4000, 4

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<sign>[;{}])"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*)"(?=[\s;{)]|\Z)|'(?P<single>(?:[^'\\]|\\.)*)'(?=[\s;{)]|\Z)"""
    r"""|(?P<word>(?!["'])(?:\$\{|\\.|[^\s;{\\])+)""",
    re.DOTALL | re.ASCII,
)
_ESCAPED = re.compile(r"""\\(["'\\trn])""")
_MEANT = {"t": "\t", "r": "\r", "n": "\n"}
_SIMPLE = frozenset({"daemon", "error_log", "include", "listen", "pid", "return", "server_name", "user"})
_DATA = frozenset({"types", "map", "geo", "split_clients", "charset_map"})
_LUA = re.compile(
    r"--\[(?P<comment>=*)\[.*?\](?P=comment)\]|--[^\n]*|\[(?P<long>=*)\[.*?\](?P=long)\]"
    r"""|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{}]""",
    re.DOTALL,
)


@dataclass(slots=True)
class Statement:
    """A directive and, when it opens a block, the statements in it."""

    words: tuple[str, ...]
    file: str
    line: int
    block: list[Statement] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0]

    def all(self, name: str) -> Iterator[Statement]:
        """The statements of this name directly in the block."""
        return (each for each in self.block if each.name == name)

    def value(self, name: str, otherwise: str = "") -> str:
        """The first word after the last statement of this name."""
        found = [each.words[1] for each in self.all(name) if len(each.words) > 1]
        return found[-1] if found else otherwise

    def below(self) -> Iterator[Statement]:
        """Every statement in the block and in the blocks of it."""
        waiting = list(reversed(self.block))
        while waiting:
            each = waiting.pop()
            yield each
            waiting.extend(reversed(each.block))


@dataclass
class Reader:
    """Reads a configuration; ``files`` are all files and the folders that wildcards looked into."""

    main: str
    files: list[str] = field(default_factory=list)
    _size: int = 0

    def tree(self, options: str = "") -> Statement:
        """The main file and what ``-g`` adds, as one block. Raises :class:`ConfigurationUnreadable` with the place."""
        root = Statement(("",), self.main, 0)
        try:
            self._parse(options, "-g", [root], 0)
            self._file(self.main, [root], 0, "", 0)
        except ConfigurationUnreadable as error:
            error.files = tuple(dict.fromkeys(self.files))
            raise
        return root

    def _file(self, path: str, stack: list[Statement], depth: int, named_in: str, line: int) -> None:
        self.files.append(path)
        if depth >= DEPTH_LIMIT or len(self.files) > FILES_LIMIT:
            raise unreadable(named_in, line, "too many files are included, or one includes itself")
        self._parse(text.read(path, named_in, line), path, [stack[-1]], depth)

    def _parse(self, said: str, path: str, stack: list[Statement], depth: int) -> None:
        tokens = _Tokens(said, path)
        words: list[str] = []
        for sign, word in tokens:
            self._size += len(word) + TOKEN_COST
            if self._size > text.TOTAL_LIMIT:
                raise unreadable(path, tokens.line, "all of it together is too large for a configuration")
            if not sign:
                words.append(word)
            elif sign == "}":
                if words or len(stack) == 1:
                    raise unreadable(path, tokens.line, 'unexpected "}"')
                stack.pop()
            elif not words:
                raise unreadable(path, tokens.line, f'unexpected "{sign}"')
            else:
                self._statement(Statement(tuple(words), path, tokens.line), sign == "{", stack, depth, tokens)
                words = []
        if words or len(stack) > 1:
            missing = '";" or "}"' if words else '"}"'
            raise unreadable(path, tokens.line, f"unexpected end of file, expecting {missing}")

    def _statement(self, said: Statement, opens: bool, stack: list[Statement], depth: int, tokens: _Tokens) -> None:
        if opens and said.name in _SIMPLE:
            raise unreadable(said.file, said.line, f'"{said.name}" is not terminated by ";"')
        if opens and said.name.endswith("_by_lua_block"):
            tokens.skip_code()
        elif opens:
            if len(stack) > BLOCKS_LIMIT:
                raise unreadable(said.file, said.line, "blocks are nested too deeply")
            stack[-1].block.append(said)
            stack.append(said)
        elif stack[-1].name in _DATA:
            return
        elif said.name == "include" and len(said.words) == 2:
            self._include(said, stack, depth)
        else:
            stack[-1].block.append(said)

    def _include(self, said: Statement, stack: list[Statement], depth: int) -> None:
        wanted = os.path.join(os.path.dirname(self.main), said.words[1])
        if not glob.has_magic(wanted):
            self._file(wanted, stack, depth + 1, said.file, said.line)
            return
        folder = wanted
        while glob.has_magic(folder):
            folder = os.path.dirname(folder)
        self.files.append(folder)
        for path in sorted(glob.glob(wanted)):
            self._file(path, stack, depth + 1, said.file, said.line)


class _Tokens:
    """Iterates (sign, word): one of them is empty. ``line`` is where the latest token ended."""

    def __init__(self, said: str, path: str) -> None:
        self._said, self._path, self._at = said, path, 0
        self.line = 1

    def __iter__(self) -> Iterator[tuple[str, str]]:
        while self._at < len(self._said):
            match = _TOKEN.match(self._said, self._at)
            if match is None:
                near = self._said[self._at : self._at + 30].split("\n")[0]
                raise unreadable(self._path, self.line, f"a quote is not closed, or text follows it, at {near!r}")
            self._at = match.end()
            self.line += match[0].count("\n")
            kind = match.lastgroup or "space"
            if kind == "sign":
                yield match[0], ""
            elif kind != "space":
                yield "", _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), match[kind])

    def skip_code(self) -> None:
        """Go on after the brace that closes a block of Lua code."""
        depth, began = 1, self._at
        for match in _LUA.finditer(self._said, self._at):
            depth += {"{": 1, "}": -1}.get(match[0], 0)
            if depth == 0:
                self._at = match.end()
                self.line += self._said.count("\n", began, self._at)
                return
        raise unreadable(self._path, self.line, "a block of Lua code is not closed")
