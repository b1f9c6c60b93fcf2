"""The faults: how each is made, on which servers, what it must be called, and whether a restart would be wrong."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from bench.causes.stage import Stage

GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Fault:
    """``right`` are the names that are right; ``spare``: a restart is wrong. ``impossible`` says why it is not made."""

    name: str
    server: str
    make: Callable[[Stage], None]
    right: tuple[str, ...]
    spare: bool = False
    impossible: str = ""


def _sent(number: int, builtin: bool = True) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.configure()
        stage.run()
        stage.shell(number, stage.up().pid, builtin)

    return make


def _broken(old: str, new: str, more: str = "") -> Callable[[Stage], None]:
    """A server that cannot be started with its configuration."""

    def make(stage: Stage) -> None:
        stage.configure(more)
        folder = stage.folder / "web"
        stage.edit(old.format(folder=folder, port=stage.port), new.format(folder=folder, port=stage.port))
        stage.run()

    return make


def _port_taken(stage: Stage) -> None:
    stage.configure()
    stage.holder(stage.port)
    stage.run()


def _shutdown_port_taken(stage: Stage) -> None:
    stage.configure()
    assert stage.tomcat is not None
    stage.holder(stage.tomcat.shutdown)
    stage.run()


def _disk_full(stage: Stage) -> None:
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


def _semaphores(stage: Stage) -> None:
    stage.configure()
    stage.edit(f"Mutex file:{stage.folder}/web default", "Mutex sysvsem default")
    setting = 'echo "250 32000 32 0" >/proc/sys/kernel/sem; exec "$@"'
    stage.inside = ("/usr/bin/unshare", "--ipc", "/bin/sh", "-c", setting, "sh")
    stage.run()


def _stopped(stage: Stage) -> None:
    stage.configure()
    stage.run()
    workers = stage.workers()
    line = "kill -STOP " + " ".join(map(str, workers)) + "; read wait"
    shell = subprocess.Popen(["bash", "-c", line], stdin=subprocess.PIPE, start_new_session=True)
    stage.undo.callback(shell.wait)
    assert shell.stdin is not None
    stage.undo.callback(shell.stdin.close)


def _main_stopped(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.shell(signal.SIGSTOP, stage.up().pid)


def _slow_back_end(stage: Stage) -> None:
    port, _ = stage.back_end(None)
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=120\n")
    stage.run()
    stage.up()
    stage.clients(6, GET % b"/app/")


def _back_end_down(stage: Stage) -> None:
    port, close = stage.back_end(0.0)
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=20\n", url="/app/")
    stage.run()
    stage.up()
    close()


def _overload(stage: Stage) -> None:
    port, _ = stage.back_end(0.8)
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=20\n")
    stage.run()
    stage.up()
    stage.clients(30, GET % b"/app/")


def _slow_loris(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.up()
    stage.clients(8, b"GET / HTTP/1.1\r\nX-a: ", b"b", answers=False)


def _descriptors(stage: Stage) -> None:
    stage.configure()
    stage.edit("worker_processes 1;", "worker_processes 1; worker_rlimit_nofile 24;")
    stage.run()
    stage.up()
    stage.clients(40, b"")


def _paused(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.pause_all(6.0)


def _starved(stage: Stage) -> None:
    stage.configure()
    stage.run()
    stage.pause_all(6.0, server=False)


SPIN = "<% while (true) { Math.sqrt(System.nanoTime()); if (System.nanoTime() == 0) break; } %>"
SLEEP = "<% Thread.sleep(600000); %>"
DEADLOCK = """<%! static Object a = new Object(), b = new Object(); static boolean turn; %><%
boolean mine; synchronized (DEAD.class) { mine = turn = !turn; }
synchronized (mine ? a : b) { Thread.sleep(500); synchronized (mine ? b : a) { out.print("x"); } } %>"""
METASPACE = """<%@ page import="java.lang.reflect.*,java.util.*" %><%! static List<Object> kept = new ArrayList<>(); %><%
while (kept != null) kept.add(Proxy.newProxyInstance(new ClassLoader(Runnable.class.getClassLoader()) {},
  new Class[]{Runnable.class}, (p, m, x) -> null)); %>"""


def _jsp(page: str, options: str = "", count: int = 6) -> Callable[[Stage], None]:
    """A Tomcat with a page that hurts it, and clients that ask for it."""

    def make(stage: Stage) -> None:
        stage.configure(options)
        assert stage.tomcat is not None
        text = page.replace("DEAD.class", "Object.class")
        (stage.tomcat.base / "webapps/ROOT/hurt.jsp").write_text(text)
        stage.run()
        stage.up()
        stage.clients(count, GET % b"/hurt.jsp")

    return make


def _oom_group(stage: Stage) -> None:
    stage.configure("-Xmx900m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto")
    stage.run()
    main = stage.up()
    stage.group("memory", main.pid, memory_limit_in_bytes=str(120 << 20))
    stage.clients(2, GET % b"/oom.jsp")


def _nothing(stage: Stage) -> None:
    raise AssertionError(stage)


EXIT = "-Xmx48m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -XX:+ExitOnOutOfMemoryError"
SMALL = "-Xmx48m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
TLS = "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\nSSLEngine on\nSSLCertificateFile {folder}/no.pem\n"

FAULTS: tuple[Fault, ...] = (
    *(
        Fault(f"{signal.Signals(number).name} by a foreign shell", server, _sent(number), ("killed",))
        for server in ("apache", "nginx")
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)
    ),
    Fault("SIGKILL by a foreign shell", "tomcat", _sent(signal.SIGKILL), ("killed",)),
    Fault("SIGKILL by /bin/kill", "nginx", _sent(signal.SIGKILL, builtin=False), ("killed",)),
    Fault("OOM in a control group", "tomcat", _oom_group, ("oom-killed",)),
    Fault("exit 3 for want of heap", "tomcat", _jsp("<%@ include file='oom.jsp' %>", EXIT, 1), ("heap-exhausted",)),
    Fault("port stolen", "apache", _port_taken, ("port-taken",)),
    Fault("port stolen", "nginx", _port_taken, ("port-taken",)),
    Fault("connector port taken", "tomcat", _port_taken, ("port-taken",)),
    Fault("shutdown port taken", "tomcat", _shutdown_port_taken, ("shutdown-port-taken",)),
    Fault("syntax error", "apache", _broken("PidFile", "PidFiel"), ("config-error",)),
    Fault("syntax error", "nginx", _broken("error_log", "error_lag"), ("config-error",)),
    Fault("module missing", "apache", _broken("mod_status.so", "mod_stutas.so"), ("module-missing",)),
    Fault(
        "log directory missing", "apache", _broken("{folder}/error.log", "{folder}/no/error.log"), ("log-unwritable",)
    ),
    Fault(
        "log directory missing", "nginx", _broken("{folder}/error.log", "{folder}/no/error.log"), ("log-unwritable",)
    ),
    Fault(
        "service address missing",
        "apache",
        _broken("Listen 127.0.0.1", "Listen 192.0.2.1"),
        ("service-address-missing",),
    ),
    Fault(
        "service address missing",
        "nginx",
        _broken("listen 127.0.0.1", "listen 192.0.2.1"),
        ("service-address-missing",),
    ),
    Fault("key missing", "apache", _broken("ServerName", TLS + "ServerName"), ("certificate-or-key", "config-error")),
    Fault(
        "certificate missing",
        "nginx",
        _broken(
            "listen 127.0.0.1:{port};",
            "listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/n.pem; ssl_certificate_key {folder}/n.key;",
        ),
        ("certificate-or-key",),
    ),
    Fault(
        "user missing",
        "nginx",
        _broken("worker_processes 1;", "worker_processes 1; user nosuchuser;"),
        ("user-or-group",),
    ),
    Fault("pid directory missing", "nginx", _broken("{folder}/nginx.pid", "{folder}/no/nginx.pid"), ("pid-file",)),
    Fault(
        "DNS-less back end",
        "nginx",
        _broken("return 200 well;", "proxy_pass http://no-such-host.invalid/;"),
        ("name-resolution",),
    ),
    Fault("disk full", "apache", _disk_full, ("disk-full", "pid-file")),
    Fault("disk full", "nginx", _disk_full, ("disk-full",)),
    Fault("semaphores exhausted", "apache", _semaphores, ("semaphore-exhaustion",)),
    Fault("workers stopped", "nginx", _stopped, ("stopped",)),
    Fault("workers stopped", "apache", _stopped, ("stopped",)),
    Fault("main process stopped", "nginx", _main_stopped, ("stopped",)),
    Fault("descriptors exhausted", "nginx", _descriptors, ("fd-limit",)),
    Fault("slow-loris clients", "apache", _slow_loris, ("slow-clients",)),
    Fault("workers busy on a slow back end", "apache", _slow_back_end, ("backend-slow",), spare=True),
    Fault("back end down", "apache", _back_end_down, ("backend-down",), spare=True),
    Fault("overload with progress", "apache", _overload, ("overload",), spare=True),
    Fault("machine paused", "nginx", _paused, ("",), spare=True),
    Fault("koboshi starved", "nginx", _starved, ("",), spare=True),
    Fault("workers spinning", "tomcat", _jsp(SPIN, SMALL), ("spinning", "threads-stuck")),
    Fault("workers asleep", "tomcat", _jsp(SLEEP, SMALL), ("threads-stuck",)),
    Fault("JVM deadlock", "tomcat", _jsp(DEADLOCK, SMALL), ("deadlock",)),
    Fault(
        "JVM heap exhausted", "tomcat", _jsp("<%@ include file='oom.jsp' %>", SMALL), ("heap-exhausted", "gc-exhausted")
    ),
    Fault(
        "JVM metaspace exhausted",
        "tomcat",
        _jsp(METASPACE, SMALL + " -XX:MaxMetaspaceSize=28m"),
        ("metaspace-exhausted",),
    ),
    Fault(
        "JVM threads exhausted",
        "tomcat",
        _nothing,
        ("thread-limit",),
        impossible="it keeps serving without new threads",
    ),
    Fault(
        "SYN backlog full",
        "nginx",
        _nothing,
        ("syn-flood",),
        impossible="needs forged packets; the rule has recorded evidence",
    ),
    Fault(
        "ephemeral ports used up",
        "apache",
        _nothing,
        ("local-ports-exhausted",),
        impossible="koboshi's own probe would need the same ports; the rule has evidence",
    ),
    Fault(
        "certificate expired",
        "apache",
        _nothing,
        ("certificate-or-key",),
        impossible="the server serves on, so nothing falls",
    ),
    Fault(
        "read-only document root",
        "apache",
        _nothing,
        ("disk-read-only",),
        impossible="a document root is only read, so nothing falls",
    ),
    Fault(
        "acceptor stopped alone", "tomcat", _nothing, ("stopped",), impossible="signals stop all threads of a process"
    ),
)
