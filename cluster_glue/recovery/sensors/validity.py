"""From when until when a certificate is valid, out of its DER encoding (RFC 5280, section 4.1; X.690).

The standard library reads the dates only of certificates that it verified, and an expired one is never verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


@dataclass(frozen=True, slots=True)
class Validity:
    """Seconds since the epoch."""

    begins: float
    ends: float


def read(der: bytes) -> Validity:
    """The dates of a certificate. Raises ``ValueError`` for anything that is none."""
    whole, _ = _inside(der, _SEQUENCE)
    body, _ = _inside(whole, _SEQUENCE)
    if body[:1] == bytes((_VERSION,)):
        body = _element(body)[2]
    for _ in ("serial number", "signature", "issuer"):
        body = _element(body)[2]
    dates, _ = _inside(body, _SEQUENCE)
    kind, begins, rest = _element(dates)
    return Validity(_time(kind, begins), _time(*_element(rest)[:2]))


def _inside(data: bytes, wanted: int) -> tuple[bytes, bytes]:
    kind, content, rest = _element(data)
    if kind != wanted:
        raise ValueError(f"tag {kind:#x} where {wanted:#x} should be")
    return content, rest


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what is behind it."""
    if len(data) < 2:
        raise ValueError("it ends within an element")
    kind, length, at = data[0], data[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 0 < size <= 4 or len(data) < 2 + size:
            raise ValueError("an element has no length")
        length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if len(data) < at + length:
        raise ValueError("it ends within an element")
    return kind, data[at : at + length], data[at + length :]


def _time(kind: int, content: bytes) -> float:
    """``YYMMDDhhmmssZ`` (years 1950 to 2049) or ``YYYYMMDDhhmmssZ``."""
    text = content.decode("ascii")
    if kind == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError(f"tag {kind:#x} where a date should be")
    if not (len(text) == 15 and text[:14].isdigit()):
        raise ValueError(f"{text!r} is no date")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
