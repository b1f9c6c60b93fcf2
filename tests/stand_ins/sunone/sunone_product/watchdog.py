"""The watchdog: holds the listening sockets and the key password, and starts the primordial again when it dies."""

import errno
import os
import pwd
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from sunone_product import configuration, wire
from sunone_product.journal import VERSION, Journal
from sunone_product.place import Place

#: What the product calls the errors that a bind can meet.
OS_WORDS = {
    errno.EADDRINUSE: ("Address already in use", "Address already in use"),
    errno.EADDRNOTAVAIL: ("Cannot assign requested address", "Address not available"),
    errno.EACCES: ("Permission denied", "No access rights"),
}


def main(place: Place) -> int:
    """Run as the watchdog; the exit status."""
    journal = Journal(place)
    flags = place.words[1:]
    if "-v" in flags:
        print(VERSION)
        return 0
    if "-c" in flags:
        return _test(place, journal)
    journal.syslog("webservd-wdog", "logging initialized info")
    if _runs_already(place):
        journal.say("info", "server already running")
        return 0
    if not place.temp or not _make_temp(place):
        user = pwd.getpwuid(os.geteuid()).pw_name
        journal.say("failure", f"temporary directory {place.temp} is not writable by user {user}")
        return 1
    if "-i" in flags:
        return Watchdog(place, journal, None).run()
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(told, 1) == b"u" else 1
    os.close(told)
    os.setsid()
    status = Watchdog(place, journal, tell).run()
    os._exit(status)


def _test(place: Place, journal: Journal) -> int:
    try:
        for warning in configuration.read(place).warnings:
            journal.say("warning", warning)
    except configuration.Broken as broken:
        for severity, text in broken.lines:
            journal.say(severity, text)
        if any("CORE3235" in text for _, text in broken.lines):
            journal.say("failure", "server initialization failed")
        return 1
    return 0


def _runs_already(place: Place) -> bool:
    """The product's own test: the socket's file is there and the pid file's number answers; a zombie's does."""
    try:
        number = int(place.pid_log().read_text())
        os.kill(number, 0)
    except (OSError, ValueError):
        return False
    return number > 0 and os.path.exists(place.watchdog_socket)


def _make_temp(place: Place) -> bool:
    try:
        os.makedirs(place.temp, mode=0o700, exist_ok=True)
        give(place, place.temp)
    except OSError:
        return False
    return os.access(place.temp, os.W_OK)


def give(place: Place, path: str) -> None:
    """Make a file the server user's, as far as we may."""
    with suppress(OSError, KeyError):
        if place.user and os.geteuid() == 0:
            entry = pwd.getpwnam(place.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)


class Watchdog:
    """``tell`` is the pipe on which the start command waits; None in the foreground."""

    def __init__(self, place: Place, journal: Journal, tell: int | None) -> None:
        self.place, self.journal, self.tell = place, journal, tell
        self.selector = selectors.DefaultSelector()
        self.sockets: dict[tuple[str, int], socket.socket] = {}
        self.password: str | None = None
        self.primordial = 0
        self.up = self.stopping = False
        self.pid_written = False

    def run(self) -> int:
        os.chdir(self.place.config)
        signals = wire.Signals(self.selector, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
        self.door = wire.listen(self.place.watchdog_socket)
        give(self.place, self.place.watchdog_socket)
        self.selector.register(self.door, selectors.EVENT_READ, "door")
        self.spawn(restarted=False)
        while True:
            for key, _ in self.selector.select():
                if key.data is signals:
                    for number in signals.came():
                        self.on_signal(number)
                elif key.data == "door":
                    channel, _ = self.door.accept()
                    self.selector.register(channel, selectors.EVENT_READ, channel)
                else:
                    self.on_message(key.data)
            status = self.reap()
            if status is not None:
                return status

    def spawn(self, restarted: bool) -> None:
        environment = dict(os.environ)
        environment.pop("WD_RESTARTED", None)
        if restarted:
            environment["WD_RESTARTED"] = "1"
        name = "ns-httpd" if self.place.words[0] == "uxwdog" else "webservd"
        program = str(Path(os.readlink("/proc/self/exe")).parent / name)
        words = [name, *(word for word in self.place.words[1:] if word != "-i")]
        null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        defaults = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE]
        self.primordial = os.posix_spawn(program, words, environment, file_actions=[null], setsigdef=defaults)

    def on_signal(self, number: int) -> None:
        if number == signal.SIGTERM:
            self.stopping = True
        if number in (signal.SIGTERM, signal.SIGHUP) and self.primordial:
            os.kill(self.primordial, signal.SIGTERM)
        if number == signal.SIGUSR1:
            stamp = time.strftime("%Y%m%d%H%M")
            with suppress(configuration.Broken):
                settings = configuration.read(self.place)
                for path in (settings.errors, settings.access):
                    with suppress(OSError):
                        os.rename(path, f"{path}.{stamp}")

    def reap(self) -> int | None:
        """Deal with a primordial that ended; an exit status when the watchdog ends as well."""
        if not self.primordial:
            return None
        pid, status = os.waitpid(self.primordial, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        if self.stopping:
            return self.clean(0)
        if code > 0 or (code < 0 and not self.up):
            self.journal.syslog("webservd-wdog", "server initialization failed")
            self.journal.syslog("webservd-wdog", f"server exit: status {code}")
            self.journal.say("failure", "server initialization failed")
            return self.clean(1)
        if code < 0:
            verdict = "exiting" if "UXWDOG_NO_AUTOSTART" in os.environ else "is restarting it"
            self.journal.syslog("webservd-wdog", f"server terminated (signal {-code}): watchdog {verdict}")
            if verdict == "exiting":
                return self.clean(1)
        self.spawn(restarted=code < 0)
        return None

    def clean(self, status: int) -> int:
        """Remove what an orderly end removes: a start that failed leaves an older pid file alone."""
        for path in (self.place.watchdog_socket, self.place.admin_socket):
            with suppress(OSError):
                os.unlink(path)
        if self.pid_written:
            with suppress(OSError):
                os.unlink(self.place.pid_log())
        with suppress(OSError):
            os.rmdir(self.place.temp)
        return status

    def on_message(self, channel: socket.socket) -> None:
        message, _ = wire.receive(channel)
        if message is None:
            self.selector.unregister(channel)
            channel.close()
        elif "listen" in message:
            host, port = message["listen"]  # type: ignore[misc]
            self.give_socket(channel, (str(host), int(port)))
        elif "close" in message:
            host, port = message["close"]  # type: ignore[misc]
            self.sockets.pop((str(host), int(port))).close()
            wire.send(channel, {"closed": True})
        elif "password" in message:
            wire.send(channel, {"password": self.ask_password()})
        elif "up" in message and not self.up:
            self.up = True
            if self.tell is not None:
                os.write(self.tell, b"u")
                os.close(self.tell)
            self.journal.end_of_start()

    def give_socket(self, channel: socket.socket, address: tuple[str, int]) -> None:
        if address not in self.sockets:
            listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
                listener.listen(128)
            except OSError as error:
                words, name = OS_WORDS.get(error.errno or 0, (str(error.strerror), str(error.strerror)))
                self.journal.say("startup failure", f"could not bind to {address[0]}:{address[1]} ({words})")
                wire.send(channel, {"error": name})
                return
            self.sockets[address] = listener
        if not self.pid_written:
            self.place.pid_log().write_text(f"{os.getpid()}\n")
            self.pid_written = True
        wire.send(channel, {"ok": True}, [self.sockets[address].fileno()])

    def ask_password(self) -> str | None:
        """The key password: asked once, on the start command's standard input, and kept for the watchdog's life."""
        if self.password is None:
            print('Please enter the PIN for the "internal" token: ', end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line:
                for _ in range(3):
                    self.journal.say("failure", "end-of-file while reading password")
                return None
            self.password = line.rstrip("\n")
        return self.password
