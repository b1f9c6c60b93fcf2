"""What a JVM runs out of, and how a Tomcat stops taking connections: made by pages that do it from within.

Pages are translated before anybody asks for them, so that no fault is mixed with the work of a compiler.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import threading
import urllib.request
from collections.abc import Callable

from bench.causes.fault import Fault
from bench.causes.making import GET, port_taken, shutdown_port_taken
from bench.causes.stage import Stage

SMALL = "-Xmx48m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
EXIT = f"{SMALL} -XX:+ExitOnOutOfMemoryError"
NARROW = f"{SMALL} -XX:MaxMetaspaceSize=28m"

SPIN = "<% while (true) { Math.sqrt(System.nanoTime()); if (System.nanoTime() == 0) break; } %>"
SLEEP = "<% Thread.sleep(600000); %>"
DEADLOCK = """<%! static Object a = new Object(), b = new Object(); static boolean turn; %><%
boolean mine; synchronized (Object.class) { mine = turn = !turn; }
synchronized (mine ? a : b) { Thread.sleep(500);
  synchronized (mine ? b : a) { out.print("x"); } } %>"""
METASPACE = """<%@ page import="java.lang.reflect.*,java.util.*" %>
<%! static List<Object> kept = new ArrayList<>(); %><%
while (kept != null) kept.add(Proxy.newProxyInstance(new ClassLoader(Runnable.class.getClassLoader()) {},
  new Class[]{Runnable.class}, (p, m, x) -> null)); %>"""

#: Fills most of the heap: what needs little still finds room.
FILL = "<%@ include file='oom.jsp' %>"

#: Fills the heap to its last byte, and never lets go.
LEAK = """<%! static Object[] kept; %><%
for (int size = 1 << 18; size > 1; )
  try { for (;;) { Object[] next = new Object[size]; next[0] = kept; kept = next; } }
  catch (OutOfMemoryError full) { size /= 2; }
%>"""

#: A page that needs some memory, as most do.
NEEDY = "<% byte[] some = new byte[4 << 20]; some[0] = 1; out.print(some.length); %>"

#: A page that defines a class whenever it is asked, as interpreters of templates and rules do.
CLASSY = """<%@ page import="java.lang.reflect.*" %><%
Object one = Proxy.newProxyInstance(new ClassLoader(Runnable.class.getClassLoader()) {},
  new Class[]{Runnable.class}, (p, m, x) -> null); out.print(one.getClass()); %>"""

#: Leaks threads until no more can be made.
THREADS = """<% for (;;) {
  Thread one = new Thread(() -> { try { Thread.sleep(1L << 40); } catch (InterruptedException e) { } });
  one.setDaemon(true); one.start(); } %>"""

#: A page that works in threads of its own, as executors and asynchronous servlets do.
THREADED = """<% Thread one = new Thread(() -> {}); one.start(); one.join(); out.print("done"); %>"""

#: Writes where nobody may write, as a defect in a native library does.
CRASH = """<% java.lang.reflect.Field one = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
one.setAccessible(true); ((sun.misc.Unsafe) one.get(null)).putAddress(8L, 0L); %>"""

#: Does something to the thread that accepts connections for HTTP, or to the one that reads requests.
THREAD = """<% for (Thread one : Thread.getAllStackTraces().keySet())
  if (one.getName().startsWith("http-") && one.getName().endsWith("-{which}")) one.{what}(); %>"""

#: Tasks that a Tomcat may have besides those it has when it serves.
SPARE = 8

#: Whom the JVM runs as where tasks are counted by user.
USER = "games"

_one_user = threading.Lock()


def page(
    text: str, options: str = SMALL, count: int = 6, well: str = "", limit: Callable[[Stage, int], None] | None = None
) -> Callable[[Stage], None]:
    """A Tomcat with a page that hurts it, and clients that ask for it.

    ``well``: a page that koboshi asks for; ``limit`` is set on the JVM's pid before the clients come.
    """

    def make(stage: Stage) -> None:
        stage.configure(options)
        assert stage.tomcat is not None
        root = stage.tomcat.base / "webapps/ROOT"
        (root / "hurt.jsp").write_text(text)
        if well:
            (root / "well.jsp").write_text(well)
            stage.config += f'statusurl = "http://127.0.0.1:{stage.port}/well.jsp"\n'
        if limit is by_user:
            _as_nobody_else(stage)
        stage.run()
        main = stage.up()
        with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/hurt.jsp?jsp_precompile=true", timeout=30):
            pass
        if limit is not None:
            limit(stage, main.pid)
        stage.clients(count, GET % b"/hurt.jsp")

    return make


def by_group(stage: Stage, pid: int) -> None:
    """A control group that allows a few tasks more than there are."""
    stage.group("pids", pid, pids_max=str(_tasks(pid) + SPARE))


def by_user(_stage: Stage, pid: int) -> None:
    """RLIMIT_NPROC, as ``ulimit -u`` sets it, of a user that nobody else is meanwhile."""
    most = _tasks(pid) + SPARE
    line = ("prlimit", f"--pid={pid}", f"--nproc={most}:{most}")
    done = subprocess.run(line, user=USER, group=USER, extra_groups=(), stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr


def _as_nobody_else(stage: Stage) -> None:
    _one_user.acquire()
    stage.undo.callback(_one_user.release)
    assert stage.tomcat is not None
    user = pwd.getpwnam(USER)
    stage.tomcat.give_to(user.pw_uid, user.pw_gid)
    stage.config += f'tomcat_user = "{user.pw_name}"\n'


def _tasks(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def connections_used_up(stage: Stage) -> None:
    """Clients that were answered and stay connected, as many as the connector may have."""
    stage.configure(SMALL)
    assert stage.tomcat is not None
    stage.tomcat.edit("server.xml", 'maxThreads="4"', 'maxThreads="4" maxConnections="6"')
    stage.run()
    stage.up()
    stage.clients(8, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


#: What is right besides: a JVM that does nothing but collect garbage may be ended before it says for want of what.
HEAP, CLASSES = ("heap-exhausted", "gc-exhausted"), ("metaspace-exhausted", "gc-exhausted")
TASKS = ("thread-limit", "process-limit")

#: The second is proved by the kernel's facts alone, before any dump shows that the thread is gone.
ACCEPTOR = ("acceptor-dead", "acceptor-stalled")


def _row(name: str, make: Callable[[Stage], None], *right: str) -> Fault:
    return Fault(name, "tomcat", make, right, warned="serves on" in name)


ROWS: tuple[Fault, ...] = (
    _row("exit 3 for want of heap", page(FILL, EXIT, 1), "heap-exhausted"),
    _row("crash of the JVM", page(CRASH, count=1), "jvm-crash"),
    _row("connector port taken", port_taken, "port-taken"),
    _row("shutdown port taken", shutdown_port_taken, "shutdown-port-taken"),
    _row("workers spinning", page(SPIN), "spinning", "threads-stuck"),
    _row("workers asleep", page(SLEEP), "threads-stuck"),
    _row("JVM deadlock", page(DEADLOCK), "deadlock"),
    _row("JVM heap full, it serves on", page(FILL, count=1), *HEAP),
    _row("JVM heap full, its page fails", page(FILL, count=1, well=NEEDY), *HEAP),
    _row("JVM heap full to the last byte", page(LEAK), *HEAP),
    _row("JVM metaspace full, it serves on", page(METASPACE, NARROW, 1), *CLASSES),
    _row("JVM metaspace full, its page fails", page(METASPACE, NARROW, 1, CLASSY), *CLASSES),
    _row("JVM threads at pids.max, it serves on", page(THREADS, count=1, limit=by_group), *TASKS),
    _row("JVM threads at pids.max, its page fails", page(THREADS, count=1, well=THREADED, limit=by_group), *TASKS),
    _row("JVM threads at ulimit -u, its page fails", page(THREADS, count=1, well=THREADED, limit=by_user), *TASKS),
    _row("acceptor thread dead", page(THREAD.format(which="Acceptor", what="stop"), count=2), *ACCEPTOR),
    _row("acceptor suspended", page(THREAD.format(which="Acceptor", what="suspend"), count=2), "acceptor-stalled"),
    _row("poller thread dead", page(THREAD.format(which="Poller", what="stop"), count=2), "poller-dead"),
    _row("connections used up (maxConnections)", connections_used_up, "connection-limit"),
)
