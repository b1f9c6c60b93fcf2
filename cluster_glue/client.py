"""Asking the daemon: one JSON line to its control socket, one JSON line back. Plain sockets; nothing heavy is imported.

The server side, with the rules of the conversation, is :mod:`cluster_glue.control`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

#: Bytes of a reply: a thousand resources take a third of a megabyte.
LONGEST_REPLY = 16 * 1024 * 1024


#: Seconds before a daemon that hung up is asked again.
AGAIN = 0.05


class AskError(Exception):
    """The daemon could not be asked. The message says why; ``remedy`` what to do."""

    remedy = ""


class NotRunning(AskError):
    """Nobody listens there."""

    remedy = "start it: `systemctl start koboshi`, or `koboshi run`"


class Refused(AskError):
    """This user may not ask it."""

    remedy = "ask as root or as the user it runs as (sudo)"


class TimedOut(AskError):
    """It listens, but does not answer."""

    remedy = "ask again; if it stays so, restart koboshi: the web servers go on meanwhile"


class Nonsense(AskError):
    """What came back is no reply."""

    remedy = "see that the command and the daemon are of the same version (restart koboshi after an upgrade)"


def ask(path: Path, request: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """The daemon's reply to one request, within ``timeout`` seconds in all. Raises :class:`AskError`.

    A reply with ``"ok": false`` is a reply, not an error.
    """
    deadline = time.monotonic() + timeout
    try:
        text = _exchange(path, json.dumps(request).encode() + b"\n", deadline)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NotRunning(f"koboshi is not running (nobody listens on {path})") from None
    except PermissionError:
        raise Refused(f"this user may not talk to koboshi ({path})") from None
    except (TimeoutError, BlockingIOError):
        raise TimedOut(f"koboshi did not answer within {timeout:g} s ({path})") from None
    except OSError as error:
        raise Nonsense(f"the connection to koboshi broke: {error} ({path})") from None
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
        raise Nonsense(f"koboshi's answer could not be understood ({path})")
    return reply


def _exchange(path: Path, request: bytes, deadline: float) -> bytes:
    """One exchange; tried anew when a crowded daemon hung up before it had read the request."""
    while True:
        left = max(0.001, deadline - time.monotonic())
        try:
            with connected(path, left) as line:
                line.sendall(request)
                return _read_line(line, deadline)
        except (ConnectionResetError, BrokenPipeError):
            if time.monotonic() >= deadline:
                raise
            time.sleep(AGAIN)


def connected(path: Path, timeout: float) -> socket.socket:
    """A connection to the socket at ``path``, however long its name is. Raises ``OSError``."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = -1
    try:
        # Waits for room in the listener's queue, which Python's own timeout does not (it gives up at once).
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", *divmod(int(timeout * 1e6), 10**6)))
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        line.connect(f"/proc/self/fd/{directory}/{path.name}")  # a socket's address holds 107 bytes, a path 4095
        line.settimeout(timeout)
    except BaseException:
        line.close()
        raise
    finally:
        if directory >= 0:
            os.close(directory)
    return line


def _read_line(line: socket.socket, deadline: float) -> bytes:
    text = bytearray()
    while not text.endswith(b"\n") and len(text) < LONGEST_REPLY:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        line.settimeout(left)
        chunk = line.recv(65536)
        if not chunk:
            break
        text += chunk
    return bytes(text)
