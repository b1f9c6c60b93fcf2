"""Elements of HTML and SVG: what is not an element is text, and text is escaped."""

from __future__ import annotations

import html
import re

#: What no document may hold, nor its reader be shown: controls but tab and line end, direction marks, half letters.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufffe\uffff]"
)
_VOID = frozenset({"meta", "link"})


class Markup(str):
    """A part of a document, made here."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Words as they are, wherever they came from."""
    return words if isinstance(words, Markup) else Markup(html.escape(_HARMFUL.sub("\N{REPLACEMENT CHARACTER}", words)))


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """One element. ``class_`` is ``class``, an underscore inside a name a hyphen; what is None is left out."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(map(text, children))
    if name in _VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{inner}</{name}>")


def join(parts: list[Markup]) -> Markup:
    """Parts one after another, each on a line of its own."""
    return Markup("\n".join(parts))


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
