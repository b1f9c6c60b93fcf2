"""How each fault is made: the configuration, the start, and then the hurt."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

from bench.causes.stage import Stage

GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def sent(number: int, builtin: bool = True) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.configure()
        stage.run()
        stage.shell(number, stage.up().pid, builtin)

    return make


def broken(old: str, new: str, more: str = "") -> Callable[[Stage], None]:
    """A server that cannot be started with its configuration."""

    def make(stage: Stage) -> None:
        stage.configure(more)
        folder = stage.folder / "web"
        stage.edit(old.format(folder=folder, port=stage.port), new.format(folder=folder, port=stage.port))
        stage.run()

    return make


def port_taken(stage: Stage) -> None:
    stage.configure()
    stage.holder(stage.port)
    stage.run()


def shutdown_port_taken(stage: Stage) -> None:
    stage.configure()
    assert stage.tomcat is not None
    stage.holder(stage.tomcat.shutdown)
    stage.run()


def disk_full(stage: Stage) -> None:
    stage.configure()
    small = stage.tmpfs("64k")
    stage.edit(f"{stage.folder}/web/{'httpd' if stage.server == 'apache' else 'nginx'}.pid", f"{small}/server.pid")
    with (small / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    stage.run()


def semaphores(stage: Stage) -> None:
    stage.configure()
    stage.edit(f"Mutex file:{stage.folder}/web default", "Mutex sysvsem default")
    setting = 'echo "250 32000 32 0" >/proc/sys/kernel/sem; exec "$@"'
    stage.inside = ("/usr/bin/unshare", "--ipc", "/bin/sh", "-c", setting, "sh")
    stage.run()


def stopped(stage: Stage) -> None:
    stage.configure()
    stage.run()
    workers = stage.workers()
    line = "kill -STOP " + " ".join(map(str, workers)) + "; read wait"
    shell = subprocess.Popen(["bash", "-c", line], stdin=subprocess.PIPE, start_new_session=True)
    stage.undo.callback(shell.wait)
    assert shell.stdin is not None
    stage.undo.callback(shell.stdin.close)


def main_stopped(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.shell(signal.SIGSTOP, stage.up().pid)


def slow_back_end(stage: Stage) -> None:
    port, _ = stage.back_end(None)
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=120\n")
    stage.run()
    stage.up()
    stage.clients(6, GET % b"/app/")


def back_end_down(stage: Stage) -> None:
    port, close = stage.back_end(0.0)
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=20\n", url="/app/")
    stage.run()
    stage.up()
    close()


def overload(stage: Stage) -> None:
    port, _ = stage.back_end(0.8)
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=20\n")
    stage.run()
    stage.up()
    stage.clients(30, GET % b"/app/")


def slow_loris(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.up()
    stage.clients(8, b"GET / HTTP/1.1\r\nX-a: ", b"b", answers=False)


def descriptors(stage: Stage) -> None:
    stage.configure()
    stage.edit("worker_processes 1;", "worker_processes 1; worker_rlimit_nofile 24;")
    stage.run()
    stage.up()
    stage.clients(40, b"")


def paused(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.pause_all(6.0)


def starved(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.pause_all(6.0, server=False)


def oom_group(stage: Stage) -> None:
    stage.configure("-Xmx900m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto")
    stage.run()
    main = stage.up()
    stage.group("memory", main.pid, memory_limit_in_bytes=str(120 << 20))
    stage.clients(2, GET % b"/oom.jsp")


TLS = "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\nSSLEngine on\nSSLCertificateFile {folder}/no.pem\n"
