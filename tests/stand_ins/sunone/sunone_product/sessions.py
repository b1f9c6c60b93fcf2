"""Connections and the threads that serve them: a few idle ones, more when asked, never more than the limit."""

import queue
import socket
import ssl
import threading
from contextlib import suppress

from sunone_product.pages import Pages

IDLE_THREADS = 17
HEAD_LIMIT = 65536


class Sessions:
    """``busy`` counts sessions with a request begun and not answered, ``open_now`` all connections."""

    def __init__(self, pages: Pages, limit: int, timeout: float, context: ssl.SSLContext | None) -> None:
        self.pages, self.limit, self.timeout, self.context = pages, limit, timeout, context
        self.waiting: queue.SimpleQueue[tuple[socket.socket, str, bool]] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.busy = self.open_now = self.threads = self.idle = 0

    def begin(self) -> None:
        for _ in range(min(IDLE_THREADS, self.limit)):
            self._more()

    def take(self, connection: socket.socket, peer: str, tls: bool) -> None:
        self._count(open_now=1)
        self.waiting.put((connection, peer, tls))
        if self.idle <= self.waiting.qsize() and self.threads < self.limit:
            self._more()

    def _more(self) -> None:
        self.threads += 1
        threading.Thread(target=self._serve_for_ever, daemon=True).start()

    def _count(self, busy: int = 0, open_now: int = 0, idle: int = 0) -> None:
        with self.lock:
            self.busy += busy
            self.open_now += open_now
            self.idle += idle

    def _serve_for_ever(self) -> None:
        while True:
            self._count(idle=1)
            connection, peer, tls = self.waiting.get()
            self._count(idle=-1)
            with suppress(OSError, ssl.SSLError):
                self._session(connection, peer, tls)
            with suppress(OSError):
                connection.close()
            self._count(open_now=-1)

    def _session(self, connection: socket.socket, peer: str, tls: bool) -> None:
        connection.settimeout(self.timeout)
        if tls:
            first = connection.recv(1, socket.MSG_PEEK)
            if first != b"\x16" or self.context is None:
                connection.recv(HEAD_LIMIT)
                connection.sendall(b"HTTP/1.1 302 Moved Temporarily\r\nContent-length: 0\r\nConnection: close\r\n\r\n")
                return
            connection = self.context.wrap_socket(connection, server_side=True)
        while self._request(connection, peer):
            pass

    def _request(self, connection: socket.socket, peer: str) -> bool:
        """Serve one request; True when the connection stays for another."""
        head = connection.recv(HEAD_LIMIT)
        if not head:
            return False
        self._count(busy=1)
        try:
            while b"\r\n\r\n" not in head and len(head) < HEAD_LIMIT:
                more = connection.recv(HEAD_LIMIT)
                if not more:
                    return False
                head += more
            answer, keep = self.pages.answer(head, peer)
            connection.sendall(answer)
            return keep
        except TimeoutError:
            connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-length: 0\r\nConnection: close\r\n\r\n")
            return False
        finally:
            self._count(busy=-1)
