"""A running koboshi and a Tomcat that is short of something: warned of while it answers, named when it fails."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.diagnosed import explained
from tests.koboshi_daemon import KoboshiDaemon, daemon
from tests.tomcat_server import HOME, TomcatServer
from tests.waiting import LONG, eventually

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not HOME.exists(), reason="the package tomcat10 is not installed"),
]

#: Failures in quick succession count; a Tomcat on a busy machine is given its time.
QUICK = "probe_interval = 0.5\nretry_interval = 0.3\nprobe_timeout = 4\nconnect_timeout = 4\nstart_timeout = 120\n"

#: Ends the thread that accepts connections for HTTP, as an Error that nobody catches does.
END_ACCEPTOR = """<% for (Thread one : Thread.getAllStackTraces().keySet())
  if (one.getName().startsWith("http-") && one.getName().endsWith("-Acceptor")) one.stop(); %>"""


class Watched:
    """A Tomcat that koboshi keeps, with a page that does it harm."""

    def __init__(self, folder: Path, page: str) -> None:
        self.tomcat = TomcatServer(folder / "tomcat")
        (self.tomcat.base / "webapps/ROOT/hurt.jsp").write_text(page)
        values = "".join(f'{name} = "{value}"\n' for name, value in self.tomcat.values.items())
        self.config = f'[resource.web]\nagent = "tomcat"\n{values}{QUICK}'

    def hurt(self) -> None:
        """Ask for the page; what becomes of the answer is no matter."""
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.tomcat.http}/hurt.jsp", timeout=LONG).close()

    @property
    def log(self) -> str:
        return Path(self.tomcat.log).read_text(errors="replace")


@pytest.fixture
def full_heap(tmp_path: Path) -> Iterator[tuple[Watched, KoboshiDaemon]]:
    watched = Watched(tmp_path, "<%@ include file='oom.jsp' %>")
    with daemon(tmp_path, watched.config) as koboshi:
        yield watched, koboshi


def test_a_jvm_without_memory_that_answers_is_warned_of_once_and_left_alone(
    full_heap: tuple[Watched, KoboshiDaemon],
) -> None:
    watched, koboshi = full_heap
    main = koboshi.main("web")
    watched.hurt()
    line = eventually(lambda: "".join(koboshi.lines("sighting", "web")[:1]), what="the warning")
    assert "it answers, but its log tells of heap-exhausted; raise the heap (-Xmx" in line
    assert line.endswith("java.lang.OutOfMemoryError: Java heap space [KOB120, heap-exhausted]")
    watched.hurt()
    eventually(lambda: watched.log.count("OutOfMemoryError: Java heap space") >= 2, what="the second error")
    assert koboshi.main("web").identity == main.identity
    assert not koboshi.incidents("web")
    koboshi.do("restart", "web")
    koboshi.until_new_main("web", main)
    eventually(lambda: koboshi.lines("eased", "web"), what="the end of the warning")
    assert sum("heap-exhausted" in one for one in koboshi.lines("sighting", "web")) == 1


def test_an_acceptor_that_ended_is_named_by_a_dump_from_before_the_stop(tmp_path: Path) -> None:
    watched = Watched(tmp_path, END_ACCEPTOR)
    with daemon(tmp_path, watched.config) as koboshi:
        main = koboshi.main("web")
        watched.hurt()
        koboshi.until_new_main("web", main)
        incident = explained(koboshi)
    connector = f"http-nio-127.0.0.1-{watched.tomcat.http}"
    assert (incident.cause, incident.reason) == (
        "acceptor-dead",
        f"the thread of {connector} that accepts connections has ended, and its JVM lives on",
    )
    assert watched.log.index("Full thread dump") < watched.log.index("Pausing ProtocolHandler")
