"""The primordial: one thread; reads the configuration, starts workers, replaces each that dies, and never gives up."""

import os
import selectors
import signal
import socket
import ssl
import time
from contextlib import suppress

from sunone_product import configuration, watchdog, wire, worker
from sunone_product.configuration import Broken, Settings
from sunone_product.journal import VERSION, Journal
from sunone_product.place import Place

#: Seconds between two replacements: a worker that cannot even begin was seen to be replaced about nine times a second.
PAUSE = 0.1


def main(place: Place) -> int:
    """Run as the primordial; the exit status."""
    os.chdir(place.config)
    journal = Journal(place)
    try:
        settings = configuration.read(place)
    except Broken as broken:
        for severity, text in broken.lines:
            journal.say(severity, text)
            journal.syslog("webservd", f"{severity}: {text}")
        return 1
    journal.path = settings.errors
    try:
        os.close(os.open(settings.errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
    except OSError as error:
        text = f"logging initialization failed: can't open error log {settings.errors} ({error.strerror})"
        journal.say(f"failure ({os.getpid()})", text)
        return 1
    watchdog.give(place, settings.errors)
    for warning in settings.warnings:
        journal.log("warning", warning)
    return Primordial(place, journal, settings).run()


class Primordial:
    def __init__(self, place: Place, journal: Journal, settings: Settings) -> None:
        self.place, self.journal, self.settings = place, journal, settings
        self.selector = selectors.DefaultSelector()
        self.workers: dict[int, socket.socket] = {}
        self.client: socket.socket | None = None
        self.up = self.stopping = False
        self.pin: str | None = settings.pin or None

    def run(self) -> int:
        dog = wire.connect(self.place.watchdog_socket)
        if dog is None:
            return 1
        self.dog = dog
        if not self.open_keys():
            return 1
        if "WD_RESTARTED" not in os.environ:
            self.journal.errors("info", f"CORE1116: {VERSION}")
        numbers = (signal.SIGTERM, signal.SIGCHLD, signal.SIGSEGV)
        signals = wire.Signals(self.selector, *numbers)
        self.door = wire.listen(self.place.admin_socket)
        watchdog.give(self.place, self.place.admin_socket)
        self.selector.register(self.dog, selectors.EVENT_READ, "dog")
        self.selector.register(self.door, selectors.EVENT_READ, "door")
        for _ in range(self.settings.max_procs):
            self.spawn()
        while True:
            for key, _ in self.selector.select():
                if key.data is signals:
                    for number in signals.came():
                        self.on_signal(number)
                else:
                    self.on_readable(key)
            status = self.reap()
            if status is not None:
                return status

    def open_keys(self) -> bool:
        """Read the key database of a secure instance; the password comes from server.xml or through the watchdog."""
        if not any(listener.tls for listener in self.settings.listeners):
            return True
        if self.pin is None:
            wire.send(self.dog, {"password": True})
            answer, _ = wire.receive(self.dog)
            given = answer and answer["password"]
            self.pin = str(given) if given is not None else None
        try:
            if self.pin is not None:
                worker.tls_context(self.place, self.pin)
                return True
        except (OSError, ssl.SSLError):
            pass
        words = "NSS PKCS #11 initialization failed (SEC_ERROR_BAD_PASSWORD: The password entered is incorrect.)"
        self.journal.log("failure", f"CORE1227: {words}")
        return False

    def spawn(self) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if not pid:
            wire.defaults()
            for each in (ours, self.dog, self.door, *self.workers.values()):
                each.close()
            status = 1
            with suppress(SystemExit):
                status = worker.main(self.place, self.journal, theirs, self.pin)
            os._exit(status)
        theirs.close()
        self.workers[pid] = ours
        self.selector.register(ours, selectors.EVENT_READ, ours)

    def on_signal(self, number: int) -> None:
        if number == signal.SIGTERM:
            self.stopping = True
            for pid in self.workers:
                os.kill(pid, signal.SIGTERM)
        if number == signal.SIGSEGV:
            self.journal.errors("catastrophe", "CORE3260: Server crash detected (signal SIGSEGV)")
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)

    def on_readable(self, key: selectors.SelectorKey) -> None:
        if key.data == "door":
            self.client, _ = self.door.accept()
            self.selector.register(self.client, selectors.EVENT_READ, "client")
        elif key.data == "dog":
            self.selector.unregister(self.dog)
            self.journal.errors("failure", "CORE3144: Watchdog admin channel has been closed")
        elif key.data == "client":
            self.selector.unregister(key.fileobj)
            message, _ = wire.receive(key.fileobj)  # type: ignore[arg-type]
            for channel in self.workers.values() if message else ():
                wire.send(channel, message or {})
        else:
            self.on_worker(key.data)

    def on_worker(self, channel: socket.socket) -> None:
        message, _ = wire.receive(channel)
        if message is None:
            self.selector.unregister(channel)
        elif "up" in message and not self.up:
            self.up = True
            wire.send(self.dog, {"up": True})
            self.journal.end_of_start()
        elif "reconfigured" in message and self.client is not None:
            wire.send(self.client, message)
            self.client.close()
            self.client = None

    def reap(self) -> int | None:
        """Replace workers that ended; an exit status when the primordial ends as well."""
        for pid in list(self.workers):
            if not os.waitpid(pid, os.WNOHANG)[0]:
                continue
            with suppress(KeyError, ValueError):
                self.selector.unregister(self.workers[pid])
            self.workers.pop(pid).close()
            if self.stopping:
                continue
            if not self.up:
                return 1
            self.journal.errors("info", f"CORE3050: Spawning replacement for worker process {pid}")
            time.sleep(PAUSE)
            self.spawn()
        return 0 if self.stopping and not self.workers else None
