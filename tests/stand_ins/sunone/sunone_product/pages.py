"""What the server answers: files below the document root, the statistics pages once enabled, errors as observed."""

import os
import threading
import time
from pathlib import Path

from sunone_product import configuration
from sunone_product.configuration import Settings
from sunone_product.journal import Journal, append
from sunone_product.place import Place

REASONS = {200: "OK", 400: "Bad request", 401: "Unauthorized", 404: "Not found", 500: "Internal Error"}


class Pages:
    def __init__(self, place: Place, journal: Journal, settings: Settings) -> None:
        self.place, self.journal, self.settings = place, journal, settings
        self.access = False

    def open_access_log(self) -> None:
        try:
            os.close(os.open(self.settings.access, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
            self.access = True
        except OSError:
            text = f"HTTP3091: Error opening log file {self.settings.access} (No access rights)"
            self.journal.log("failure", text)

    def answer(self, head: bytes, peer: str) -> tuple[bytes, bool]:
        """The whole answer to a request's head, and whether the connection stays open."""
        while self.place.is_on("mute"):
            time.sleep(0.1)
        time.sleep(self.place.seconds("slow", 0.0))
        lines = head.decode(errors="replace").split("\r\n")
        words = lines[0].split()
        if len(words) < 2:
            return self._page(400, "", "GET", keep=False), False
        method, target = words[0], words[1].split("?")[0]
        headers = [line.lower() for line in lines[1:]]
        keep = words[-1] == "HTTP/1.1" and "connection: close" not in headers
        status, body = self._find(method, target)
        if self.access:
            stamp = time.strftime("[%d/%b/%Y:%H:%M:%S %z]")
            append(self.settings.access, f'{peer} - - {stamp} "{lines[0]}" {status} {len(body)}\n')
        return self._page(status, body, method, keep), keep

    def _find(self, method: str, target: str) -> tuple[int, str]:
        unknown = configuration.unknown_function(self.settings)
        if unknown:
            text = f"for host 127.0.0.1 trying to {method} {target}, func_exec reports: "
            self.journal.errors("config", f"{text}HTTP2122: cannot find function named {unknown}")
            return 500, "Internal Error"
        if target == "/.perf" and "service-dump" in self.settings.functions:
            return 200, f"ConnectionQueue:\nCurrent/Peak/Limit Queue Length 0/0/{self.settings.max_threads}\n"
        if target.startswith("/stats-xml") and "stats-xml" in self.settings.functions:
            return 200, self._statistics()
        root = Path(self.settings.document_root)
        path = Path(os.path.normpath(f"{root}/{target}"))
        if not path.is_relative_to(root) or not path.exists():
            return 404, "Not found"
        if path.is_dir():
            path = path / "index.html"
            if not path.exists():
                return 401, "Unauthorized"
        try:
            return 200, path.read_text(errors="replace")
        except OSError:
            return 404, "Not found"

    def _statistics(self) -> str:
        threads = f'<thread-pool maxThreads="{self.settings.max_threads}" countThreads="{threading.active_count()}"/>'
        queue = '<connection-queue countQueued="0"/>'
        process = f'<process pid="{os.getpid()}" mode="active">{queue}{threads}</process>'
        return f'<?xml version="1.0"?>\n<stats versionMajor="1" versionMinor="3" enabled="1">{process}</stats>\n'

    def _page(self, status: int, body: str, method: str, keep: bool) -> bytes:
        data = b"" if method in ("HEAD", "OPTIONS") else body.encode()
        head = [
            f"HTTP/1.1 {status} {REASONS[status]}",
            "Server: heliod-web-server/0.4",
            "Content-type: text/html",
            f"Content-length: {len(data)}",
            *([] if keep else ["Connection: close"]),
        ]
        return "\r\n".join([*head, "", ""]).encode() + data
