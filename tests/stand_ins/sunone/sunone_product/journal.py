"""The product's log lines. syslog goes to ``ROOT/syslog``, one line each, so that nothing of the machine is needed."""

import os
import sys
import time
from contextlib import suppress

from sunone_product.place import Place

VERSION = "heliod Web Server 0.4 (a stand-in)"


class Journal:
    """``logs/errors``, opened for each line so that a rotation needs nobody's help; a full disk is borne in silence."""

    def __init__(self, place: Place, path: str = "") -> None:
        self.place = place
        self.path = path
        self.screen = True

    def log(self, severity: str, text: str) -> None:
        """A line for the error log and, until the start is over, for the screen."""
        self.errors(severity, text)
        if self.screen:
            self.say(severity, text)

    def errors(self, severity: str, text: str) -> None:
        stamp = time.strftime("[%d/%b/%Y:%H:%M:%S]")
        append(self.path, f"{stamp} {severity} ({os.getpid():>5}): {text}\n")

    def say(self, severity: str, text: str) -> None:
        with suppress(OSError, ValueError):
            print(f"{severity}: {text}", file=sys.stderr, flush=True)

    def syslog(self, ident: str, text: str) -> None:
        append(f"{self.place.root}/syslog", f"{ident}[{os.getpid()}]: {text}\n")

    def end_of_start(self) -> None:
        """Let go of the caller's terminal or pipe: nothing inherited stays open."""
        self.screen = False
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)


def append(path: str, text: str) -> None:
    """Add text to a file; errors are nobody's business."""
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
