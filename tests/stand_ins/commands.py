"""Executables on a test's own path that stand for a product's commands: told what to expect, strict about the rest.

``Commands`` writes them into a directory. Each call is recorded; one that nobody expected fails and is remembered, and
:meth:`Commands.verify` fails the test for it, and for expected calls that never came.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROGRAM = """\
#!{python} -ISE
import json, os, sys, time
from pathlib import Path

folder = Path({folder!r})
name, given = os.path.basename(sys.argv[0]), sys.argv[1:]
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([name, *given]) + "\\n")
for expected in json.loads((folder / "expected.json").read_text()):
    words = expected["words"]
    if [name, *given][: len(words)] == words:
        time.sleep(expected["delay"])
        sys.stdout.write(expected["output"])
        sys.stdout.flush()
        sys.exit(expected["status"])
with (folder / "unexpected").open("a") as calls:
    calls.write(json.dumps([name, *given]) + "\\n")
sys.stderr.write(f"{{name}}: unexpected: {{given}}\\n")
sys.exit(99)
"""


class Commands:
    """The commands ``names`` in ``folder``."""

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._expected: list[dict[str, object]] = []
        self._write()
        for name in names:
            self.install(name)

    def install(self, name: str, text: str = "") -> None:
        """Put one command there, or replace it by any other program."""
        path = self.folder / name
        path.write_text(text or PROGRAM.format(python=sys.executable, folder=str(self.folder)))
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        """Take one command away."""
        (self.folder / name).unlink()

    def expect(self, *words: str, output: str = "", status: int = 0, delay: float = 0.0) -> None:
        """Calls that begin with ``words`` are answered so, from now on; the latest word counts."""
        self._expected = [one for one in self._expected if one["words"] != list(words)]
        self._expected.insert(0, {"words": list(words), "output": output, "status": status, "delay": delay})
        self._write()

    def calls(self, name: str = "") -> list[list[str]]:
        """All calls so far, of all commands or one."""
        return [call for call in self._lines("calls") if not name or call[0] == name]

    def verify(self) -> None:
        """Fail on calls that nobody expected, and on expectations that no call met."""
        unexpected = self._lines("unexpected")
        assert not unexpected, unexpected
        for expected in self._expected:
            words = expected["words"]
            assert isinstance(words, list)
            assert any(call[: len(words)] == words for call in self.calls()), f"{words} was never called"

    def _lines(self, name: str) -> list[list[str]]:
        try:
            return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _write(self) -> None:
        fresh = self.folder / "expected.new"
        fresh.write_text(json.dumps(self._expected))
        fresh.replace(self.folder / "expected.json")
