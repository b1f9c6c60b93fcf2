"""One file for support: an incident's story, timeline and evidence as a tar, without secrets.

Secrets are what a log or a command line shows by accident: passwords in addresses, Authorization and Cookie headers,
words like ``password=``. What cannot be told from other text stays; the file is made for the owner alone (0600).
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
from pathlib import Path
from typing import Any, Final

HIDDEN: Final = "[removed]"

_SECRETS: Final = (
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s/'\"]*(?=@)"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)(\b(?:proxy-)?authorization\b['\"]?\s*[:=]\s*['\"]?)(?:(?:basic|bearer|digest|negotiate)\s+)?[^\r\n'\"]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\b(?:set-)?cookie2?\b['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)((?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|keypass|storepass|jsessionid)\w*['\"]?\s*[=:]\s*['\"]?)[^\s'\"&;,<>]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(--(?:password|passwd|secret|token|user)[ =])\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(basic|bearer)\s+[a-z0-9+/=._~-]{8,}"), rf"\1 {HIDDEN}"),
)  # fmt: skip

#: Bytes of one file of evidence that go into a bundle.
LARGEST: Final = 8 << 20


def redact(text: str) -> str:
    """``text`` without what looks like a secret."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def write(path: Path, incident: dict[str, Any], story: str, evidence: Path) -> int:
    """Write the tar to ``path``; how many files are in it. Raises ``OSError`` and ``FileExistsError``."""
    name = str(incident["id"])
    files = {"why.txt": story + "\n", "incident.json": json.dumps(_redacted(incident), indent=2) + "\n"}
    if evidence.is_dir() and not evidence.is_symlink():
        for file in sorted(evidence.iterdir()):
            if file.is_file() and not file.is_symlink():
                with file.open("rb") as opened:
                    files[f"evidence/{file.name}"] = opened.read(LARGEST).decode("utf-8", "replace")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    packed = path.suffix in (".gz", ".tgz")
    with os.fdopen(fd, "wb") as out, tarfile.open(fileobj=out, mode="w:gz" if packed else "w") as tar:
        for inside, text in files.items():
            data = redact(text).encode()
            info = tarfile.TarInfo(f"{name}/{inside}")
            info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
            tar.addfile(info, io.BytesIO(data))
    return len(files)


def _redacted(value: Any) -> Any:
    """Redacted before it becomes JSON, so that no quote of a removed word is lost."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_redacted(one) for one in value]
    return value
