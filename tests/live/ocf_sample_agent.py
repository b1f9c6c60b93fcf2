"""An OCF agent with a tiny forking web server, which keeps every promise, or breaks the one that ``misdeed`` names.

Run as ``SAMPLE ACTION`` by ocf-check, and as ``SAMPLE serve CONFIG`` as the server itself. Standard library only.
"""

import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path

CONFIG, MISDEED = (os.environ.get(f"OCF_RESKEY_{name}", "") for name in ("configfile", "misdeed"))
LOCK = "/run/resource-agents/ocf-check-sample.lock"

METADATA = """<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="sample" version="1.0">
<version>1.0</version><longdesc lang="en">A sample.</longdesc><shortdesc lang="en">A sample</shortdesc>
<parameters><parameter name="configfile"><longdesc lang="en">Configuration.</longdesc>
<shortdesc lang="en">Configuration</shortdesc><content type="string" default=""/></parameter></parameters>
<actions><action name="start" timeout="20s"/><action name="stop" timeout="20s"/>
<action name="monitor" timeout="20s" interval="10s" depth="0"/><action name="reload" timeout="20s"/>
<action name="meta-data" timeout="5s"/><action name="validate-all" timeout="5s"/></actions>
</resource-agent>
"""


def serve(config):
    """The server: a main process, which holds the pid file, and two workers, which answer."""
    settings = read(config)
    listener = socket.create_server((settings["host"], int(settings["port"])), reuse_port=MISDEED == "start-doubles")
    Path(settings["pidfile"]).write_text(f"{os.getpid()}\n")
    for _ in range(2):
        if os.fork() == 0:
            while True:
                connection, _ = listener.accept()
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                connection.close()
    while True:
        signal.pause()


def read(config):
    settings = {}
    for number, line in enumerate(Path(config).read_text().splitlines(), 1):
        name, equals, value = line.partition(" = ")
        if not equals:
            raise ValueError(f"{config}:{number}: {line}")
        settings[name] = value
    return settings


def stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", "0"]


def family():
    """Living processes that serve this configuration, whatever the pid file says."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if [b"serve", os.fsencode(CONFIG)] == words[-3:-1] and stat(name)[0] != "Z":
            found.append(int(name))
    return found


def main_process():
    kin = family()
    return next((pid for pid in kin if any(stat(other)[1] == str(pid) for other in kin)), None)


def answers():
    settings = read(CONFIG)
    try:
        with socket.create_connection((settings["host"], int(settings["port"])), 2) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
    except OSError:
        return False


def reason(text):
    print(f"ocf-exit-reason:{text}", file=sys.stderr)


def pid_of_file():
    try:
        return int(Path(read(CONFIG)["pidfile"]).read_text())
    except (OSError, ValueError):
        return None


def monitor():
    if MISDEED == "monitor-trusts-pidfile":
        pid = pid_of_file()
        return 0 if pid and os.path.exists(f"/proc/{pid}") else 7
    if MISDEED == "monitor-sleeps" and family():
        time.sleep(60)
    if MISDEED == "monitor-asks-port-only":
        return 0 if os.path.exists(CONFIG) and answers() else 7
    if MISDEED == "probe-speaks" and not os.path.exists(CONFIG):
        reason("no configuration")
    if MISDEED == "stopped-is-an-error" and not family():
        return 1
    if MISDEED == "monitor-reads-configuration":
        try:
            read(CONFIG)
        except ValueError:
            return 6
    if main_process() is None:
        if family():
            reason("the main process is gone, its workers are not")
            return 1
        return 7
    if MISDEED == "monitor-never-asks":
        return 0
    try:
        well = answers()
    except (OSError, ValueError):
        well = True
    if not well:
        reason("no answer")
    return 0 if well else 1


def start():
    os.makedirs(os.path.dirname(LOCK), exist_ok=True)
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return start_locked(lock.fileno())


def start_locked(lock):
    if MISDEED == "start-trusts-pidfile" and os.path.exists(f"/proc/{pid_of_file()}"):
        return 0
    if main_process() is not None and MISDEED not in ("start-replaces", "start-doubles"):
        return 0
    if "OCF_TESTER_FAIL_HAVE_BINARY" in os.environ:
        reason("no program")
        return 5
    try:
        read(CONFIG)
    except (OSError, ValueError) as error:
        if MISDEED == "start-says-two-things":
            reason("cannot start")
        if MISDEED != "start-says-nothing":
            reason(error)
        return 6 if MISDEED == "syntax-error-is-fatal" else 5
    if MISDEED != "start-doubles":
        kill(family())
    if MISDEED == "start-leaves-file":
        Path("/tmp/ocf-check-sample-left").write_text("left")
    if os.fork() == 0:
        os.close(lock)
        launch()
    deadline = time.monotonic() + 15
    while main_process() is None or not answers():
        if time.monotonic() > deadline:
            return 1
        time.sleep(0.02)
    return 0


def launch():
    if MISDEED != "server-keeps-group":
        os.setsid()
    if os.fork():
        os._exit(0)
    if MISDEED != "server-keeps-stderr":
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
    me = os.path.abspath(sys.argv[0])
    os.execv(sys.executable, [sys.executable, "-IS", me, "serve", CONFIG])


def kill(pids, number=signal.SIGKILL, within=10.0):
    for pid in pids:
        os.kill(pid, number)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and any(stat(pid)[0] not in "ZX" for pid in pids):
        time.sleep(0.02)


def stop():
    if MISDEED == "stop-reads-configuration":
        try:
            read(CONFIG)
        except (OSError, ValueError):
            return 0
    if MISDEED == "stop-says-not-running" and not family():
        return 7
    if MISDEED == "stop-kills-by-pidfile":
        pid = pid_of_file()
        if pid and pid > 0 and os.path.exists(f"/proc/{pid}"):
            kill([pid])
        return 0
    main = main_process()
    if MISDEED == "stop-ends-main-only":
        kill([main] if main else [])
        return 0
    if MISDEED == "stop-asks-politely":
        kill(family(), signal.SIGTERM, 1.0)
        return 1 if family() else 0
    if MISDEED == "stop-is-patient":
        kill(family(), signal.SIGTERM, 15.0)
    kill(family(), signal.SIGTERM, 1.0)
    kill(family())
    return 0


def main():
    action = sys.argv[1]
    if action == "serve":
        serve(sys.argv[2])
    elif action == "meta-data":
        print(METADATA, end="")
        return 0
    elif action == "reload":
        return start() if MISDEED == "reload-starts" else (7 if main_process() is None else 0)
    elif action == "validate-all":
        return 0
    actions = {"start": start, "stop": stop, "monitor": monitor}
    if action not in actions:
        return 0 if MISDEED == "unknown-action-is-fine" else 3
    return actions[action]()


if __name__ == "__main__":
    sys.exit(main())
