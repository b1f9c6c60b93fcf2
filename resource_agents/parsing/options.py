"""Command lines of programs with one-letter options, as getopt(3) reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def options(words: Sequence[str], with_value: str) -> list[tuple[str, str]]:
    """Letters and values up to the first word that is no option; ``with_value`` lists the letters that take one."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words) and len(words[at]) > 1 and words[at][0] == "-":
        word, at = words[at], at + 1
        for place, letter in enumerate(word[1:], 2):
            if letter not in with_value:
                found.append((letter, ""))
                continue
            if word[place:]:
                found.append((letter, word[place:]))
            elif at < len(words):
                found.append((letter, words[at]))
                at += 1
            break
    return found


def last(found: Iterable[tuple[str, str]], letter: str) -> str:
    """The value of the last option with this letter; empty when there is none."""
    return next((value for name, value in reversed(list(found)) if name == letter), "")


def rejoined(title: str) -> list[str]:
    """The words of a command line that was joined with spaces; program and values keep the spaces inside them.

    A value that itself has a word beginning with "-" cannot be told from two options.
    """
    words: list[str] = []
    for word in title.split(" "):
        bare = bool(words) and words[-1].startswith("-") and len(words[-1]) == 2
        if words and not bare and not word.startswith("-"):
            words[-1] = f"{words[-1]} {word}"
        else:
            words.append(word)
    return words
