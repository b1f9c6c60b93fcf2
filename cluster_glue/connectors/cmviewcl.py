"""What Serviceguard's ``cmviewcl`` says: the line format, and the table of releases that have none.

Line format (cmviewcl(5)): ``[TYPE:INSTANCE|]...ATTRIBUTE=VALUE``, the value perhaps in double quotes, an item perhaps
without ``=``. Names hold ``-``, ``.`` and ``_``. Table: blocks with a head line; cells may be empty, so a row is read
by what its words can be. What is not understood is left out; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

#: First words of the table's blocks that matter.
PACKAGES: Final = "PACKAGE"
SWITCHING: Final = "NODE_TYPE"


@dataclass(slots=True)
class Package:
    """One package. ``autorun`` and the values of ``switching`` (by node) are None where nobody says."""

    name: str
    status: str = ""
    state: str = ""
    owner: str = ""
    autorun: bool | None = None
    switching: dict[str, bool | None] = field(default_factory=dict)

    @property
    def barred(self) -> list[str]:
        """Nodes where it may not run until somebody says ``cmmodpkg -e -n NODE PACKAGE``."""
        return [node for node, allowed in self.switching.items() if allowed is False]


def read(text: str, only: str = "") -> dict[str, Package]:
    """All packages, from either format. ``only``: the package named on the command line, which prefixes leave out."""
    lines = text.splitlines()
    if any(line.split()[:2] == [PACKAGES, "STATUS"] for line in lines):
        return _table(lines)
    return _lines(lines, only)


# ---- the line format -------------------------------------------------------------------------------------------------


def _lines(lines: Iterable[str], only: str) -> dict[str, Package]:
    packages: dict[str, Package] = {}
    for line in lines:
        levels, attribute, value = _item(line)
        name = levels.pop("package", only)
        if not name or not attribute or not set(levels) <= {"node"}:
            continue
        package = packages.setdefault(name, Package(name))
        if "node" in levels:
            node = levels["node"]
            package.switching.setdefault(node, None)
            if attribute == "switching":
                package.switching[node] = _switch(value)
        else:
            _set(package, attribute, value)
    return packages


def _item(line: str) -> tuple[dict[str, str], str, str]:
    """The levels of the prefix, the attribute, the value; an empty attribute for what is no item."""
    name, _, value = line.strip().partition("=")
    *prefix, attribute = name.split("|")
    levels = dict(level.split(":", 1) for level in prefix if ":" in level)
    if len(levels) != len(prefix):
        return {}, "", ""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return levels, attribute.strip(), value


def _set(package: Package, attribute: str, value: str) -> None:
    match attribute:
        case "status" | "state" | "owner":
            setattr(package, attribute, value)
        case "autorun":
            package.autorun = _switch(value)


# ---- the table -------------------------------------------------------------------------------------------------------


def _table(lines: Iterable[str]) -> dict[str, Package]:
    packages: dict[str, Package] = {}
    block, package = "", None
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[1] == "STATUS":  # the head of a block
            block = words[0]
        elif not words or words[0].endswith(":"):
            block = block if block == PACKAGES and not words else ""
        elif block == PACKAGES and len(words) > 1:
            package = packages.setdefault(words[0], _row(words))
        elif block == SWITCHING and package is not None and len(words) > 3:
            node = next((word for word in reversed(words[3:]) if not word.startswith("(")), "")
            if node:
                package.switching[node] = _switch(words[2])
    return packages


def _row(words: list[str]) -> Package:
    """``PACKAGE STATUS STATE AUTO_RUN NODE``, of which STATE and AUTO_RUN may be empty."""
    package = Package(words[0], words[1])
    rest = words[2:]
    for index, word in enumerate(rest):
        if _switch(word) is not None:
            package.state = " ".join(rest[:index])
            package.autorun = _switch(word)
            package.owner = " ".join(rest[index + 1 :])
            return package
    package.state = rest[0] if rest else ""
    package.owner = rest[-1] if len(rest) > 1 else ""
    return package


def _switch(word: str) -> bool | None:
    return {"enabled": True, "yes": True, "disabled": False, "no": False}.get(word.lower())
