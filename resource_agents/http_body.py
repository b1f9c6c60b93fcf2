"""The body of an HTTP/1.1 answer: by length, in chunks, or until the connection closes (RFC 9112, section 6)."""

from __future__ import annotations

import re

#: Bytes of a chunk's size line, extensions included.
CHUNK_LINE_LIMIT = 4096

_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_ANY_LENGTH = re.compile(rb"^content-length:", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*\bchunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?\r?")


class BadAnswer(Exception):
    """The answer is not the one expected; the message goes on from the name of who answered."""


def printable(data: bytes | bytearray) -> str:
    """The first bytes of something foreign: quoted, on one line, without control characters."""
    text = bytes(data[:60]).decode("latin-1")
    return '"' + "".join(c if " " <= c <= "~" else "?" for c in text) + ('..."' if len(data) > 60 else '"')


class Body:
    """Collects a body up to ``limit`` bytes. ``enough`` is true when it is whole, or when the limit is reached."""

    def __init__(self, status: int, head: bytes, limit: int) -> None:
        self.content = bytearray()
        self.enough = limit <= 0
        self._limit = limit
        self._chunked = _CHUNKED.search(head) is not None
        self._left = 0  # of the chunk
        self._raw = bytearray()  # not yet unchunked
        self._between = False  # chunk read, its line end not
        self._length: int | None = None
        if status in (101, 204, 304):
            self.enough = True
        elif not self._chunked and _ANY_LENGTH.search(head):
            length = _LENGTH.search(head)
            if length is None:
                raise BadAnswer("answered with a Content-Length that is no number")
            self._length = int(length[1])
            self.enough = self.enough or self._length == 0

    @property
    def size(self) -> int:
        """Bytes of the body that arrived."""
        return len(self.content)

    def feed(self, data: bytes, first: bool = False) -> None:
        """Take what arrived; empty when the other side closed, unless it is what came along with the head."""
        if self.enough:
            return
        if not data:
            if not first and not self._chunked and self._length is None:
                self.enough = True
        elif self._chunked:
            self._raw += data
            self._unchunk()
        else:
            self.content += data
            if self._length is not None and len(self.content) >= self._length:
                del self.content[self._length :]
                self.enough = True
        if len(self.content) >= self._limit:
            self.enough = True

    def _unchunk(self) -> None:
        while self._raw and len(self.content) < self._limit:
            if self._left:
                self.content += self._raw[: self._left]
                taken = min(self._left, len(self._raw))
                del self._raw[:taken]
                self._left -= taken
                self._between = not self._left
                continue
            end = self._raw.find(b"\n", 0, CHUNK_LINE_LIMIT)
            if end < 0:
                if len(self._raw) >= CHUNK_LINE_LIMIT:
                    raise BadAnswer(f"sent a broken chunk {printable(self._raw)}")
                return
            line = bytes(self._raw[:end])
            del self._raw[: end + 1]
            if not self._between:
                self._begin_chunk(line)
                if self.enough:
                    return
            elif line not in (b"", b"\r"):
                raise BadAnswer(f"sent a broken chunk {printable(line)}")
            else:
                self._between = False

    def _begin_chunk(self, line: bytes) -> None:
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise BadAnswer(f"sent a broken chunk {printable(line)}")
        self._left = int(size[1], 16)
        self.enough = self._left == 0
