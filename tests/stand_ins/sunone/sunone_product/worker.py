"""The worker: gets the listening sockets from the watchdog, serves, and ends when its primordial does."""

import os
import pwd
import resource
import selectors
import signal
import socket
import ssl
import struct
import time

from sunone_product import configuration, wire
from sunone_product.configuration import Broken, Listener, Settings
from sunone_product.journal import Journal
from sunone_product.pages import Pages
from sunone_product.place import Place
from sunone_product.sessions import Sessions

#: Below this limit of open files the product warns, and takes one connection at a time.
FEW_FILES = 128

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


def tls_context(place: Place, pin: str) -> ssl.SSLContext:
    """The key database of the stand-in: one PEM file. Raises ``ssl.SSLError`` for a wrong password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(place.config / "server.pem"), password=pin)
    return context


def main(place: Place, journal: Journal, channel: socket.socket, pin: str | None) -> int:
    """Run as a worker; the exit status."""
    try:
        settings = configuration.read(place)
    except Broken as broken:
        for severity, text in broken.lines:
            journal.log(severity, text)
            journal.syslog("webservd", f"{severity}: {text}")
        return 1
    return Worker(place, journal, channel, settings, pin).run()


class Worker:
    def __init__(
        self, place: Place, journal: Journal, channel: socket.socket, settings: Settings, pin: str | None
    ) -> None:
        self.place, self.journal, self.channel, self.settings = place, journal, channel, settings
        self.selector = selectors.DefaultSelector()
        self.listeners: dict[Listener, socket.socket] = {}
        self.limit = 0
        self.dies_at = 0.0
        context = tls_context(place, pin) if pin and any(each.tls for each in settings.listeners) else None
        self.pages = Pages(place, journal, settings)
        self.sessions = Sessions(self.pages, settings.max_threads, place.seconds("io-timeout", 30.0), context)

    def run(self) -> int:
        signals = wire.Signals(self.selector, signal.SIGTERM, signal.SIGSEGV)
        self.selector.register(self.channel, selectors.EVENT_READ, "primordial")
        self.begin()
        failed = [each for each in self.settings.listeners if not self.open(each)]
        if failed:
            self.journal.log("failure", f"HTTP3094: {len(failed)} listen sockets could not be created")
            return 1
        self.drop_privileges()
        self.pages.open_access_log()
        time.sleep(self.place.seconds("slow-start", 0.0))
        self.journal.log("info", "CORE3274: successful server startup")
        wire.send(self.channel, {"up": True})
        self.journal.end_of_start()
        self.sessions.begin()
        for listener, server in self.listeners.items():
            self.selector.register(server, selectors.EVENT_READ, listener)
        watched = True
        while True:
            for key, _ in self.selector.select(0.2):
                if key.data is signals:
                    numbers = signals.came()
                    if signal.SIGTERM in numbers:
                        return self.end()
                    if signal.SIGSEGV in numbers and not self.dies_at:
                        self.crash()
                elif key.data == "primordial":
                    if not self.on_primordial():
                        return 0
                elif isinstance(key.data, Listener):
                    self.accept(key.data)
            if watched and not os.path.exists(self.place.admin_socket):
                watched = False
                self.journal.errors("failure", "CORE3311: Error connecting to admin channel (File not found)")
            if self.dies_at and time.monotonic() > self.dies_at:
                signal.signal(signal.SIGSEGV, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGSEGV)

    def begin(self) -> None:
        if os.geteuid() == 0:
            self.journal.log("info", "CORE3016: daemon is running as super-user")
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < FEW_FILES:
            text = "CORE3361: Insufficient file descriptors for optimum configuration."
            self.journal.log("config", text)
            self.limit = 1

    def open(self, listener: Listener) -> bool:
        """Get a listening socket from the watchdog. Without one this waits for ever, as the product does."""
        channel = wire.connect(self.place.watchdog_socket)
        if channel is None:
            self.selector.select()  # only an end can come: TERM, or the primordial's death
            os._exit(0)
        wire.send(channel, {"listen": list(listener.place)})
        answer, fds = wire.receive(channel)
        channel.close()
        if not fds:
            name = f"{listener.name}: {listener.url}"
            error = answer["error"] if answer else "Connection reset by peer"
            self.journal.log("failure", f"HTTP3127: {name}: Error creating socket ({error})")
            return False
        server = socket.socket(fileno=fds[0])
        server.setblocking(False)
        self.listeners[listener] = server
        self.journal.log("info", f"HTTP3072: {listener.name}: {listener.url} ready to accept requests")
        return True

    def drop_privileges(self) -> None:
        if self.settings.user and os.geteuid() == 0:
            entry = pwd.getpwnam(self.settings.user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)

    def accept(self, listener: Listener) -> None:
        try:
            connection, peer = self.listeners[listener].accept()
        except OSError:
            return
        connection.setblocking(True)
        if self.limit and self.sessions.open_now >= self.limit:
            self.journal.errors("failure", f"HTTP3360: connection limit ({self.limit}) exceeded.")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
            return
        self.sessions.take(connection, str(peer[0]), listener.tls)

    def crash(self) -> None:
        """The product writes its line, and its other threads serve on until the process is gone."""
        self.journal.errors("catastrophe", "CORE3260: Server crash detected (signal SIGSEGV)")
        self.dies_at = time.monotonic() + self.place.seconds("crash-delay", 2.0)

    def end(self) -> int:
        """An orderly end: no new sessions, wait for the busy ones."""
        for server in self.listeners.values():
            server.close()
        deadline = time.monotonic() + self.settings.terminate_timeout
        while self.sessions.busy and time.monotonic() < deadline:
            time.sleep(0.02)
        if left := self.sessions.busy:
            self.journal.errors("warning", f"HTTP3039: terminating with {left} sessions still in progress")
            text = f"CORE3189: Restart functions not called since {left} sessions still active"
            self.journal.errors("failure", text)
        time.sleep(self.place.seconds("orderly", 1.0))
        os._exit(0)

    def on_primordial(self) -> bool:
        message, _ = wire.receive(self.channel)
        if message is None:
            return False
        if "reconfig" in message:
            wire.send(self.channel, {"reconfigured": self.reconfigure()})
        return True

    def reconfigure(self) -> list[str]:
        """Take the new configuration; the lines for the screen, or the old one stays and the last line says so."""
        try:
            settings = configuration.read(self.place)
        except Broken as broken:
            lines = [f"{severity}: {text}" for severity, text in broken.lines]
            self.journal.errors("failure", "CORE3279: New configuration not installed")
            return [*lines, "failure: CORE3279: New configuration not installed"]
        self.journal.errors("info", "CORE3276: Installing a new configuration")
        self.settings = self.pages.settings = settings
        for listener in [each for each in settings.listeners if each not in self.listeners]:
            if self.open(listener):
                self.selector.register(self.listeners[listener], selectors.EVENT_READ, listener)
        for listener in [each for each in self.listeners if each not in settings.listeners]:
            self.close(listener)
        self.journal.errors("info", "CORE3280: A new configuration was successfully installed")
        return [
            "info: CORE3276: Installing a new configuration",
            "info: CORE3280: A new configuration was successfully installed",
        ]

    def close(self, listener: Listener) -> None:
        server = self.listeners.pop(listener)
        self.selector.unregister(server)
        server.close()
        channel = wire.connect(self.place.watchdog_socket)
        if channel is not None:
            wire.send(channel, {"close": list(listener.place)})
            wire.receive(channel)
            channel.close()
        self.journal.errors("info", f"HTTP3072: {listener.name}: {listener.url} closed")
