"""The zeus agent against a stand-in: nearly all that is known of the real product is its directories and scripts.

See tests/stand_ins/README.rst for what is sourced and what is assumed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocf.faults import Fault, Kind
from ocf.programs import Finished, run
from resource_agents.booting import Started
from resource_agents.http import Verdict, ask
from resource_agents.patience import Patience
from resource_agents.processes import Process, alive, everyone, look, send
from resource_agents.starting import start
from resource_agents.stopping import stop
from resource_agents.zeus import Zeus
from tests.ports import free_port
from tests.stand_ins.sunone.running import adopt_orphans, bury
from tests.stand_ins.zeus.install import PROGRAMS, add_site, install
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


class Web:
    """One ZEUSHOME with one site."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        install(home)
        add_site(home, "www", self.port)
        self.server = Zeus({"zeushome": str(home)})

    def script(self, name: str, timeout: float = 60) -> Finished:
        return run([str(self.home / name)], timeout, self.server.start_command().env)

    def start(self) -> Process:
        started = self.script("start-zeus")
        assert started.ok, started.output
        eventually(self.answers, what="the first answer")
        return self.main

    @property
    def mains(self) -> list[Process]:
        bury(frozenset(PROGRAMS))
        return [process for process in everyone() if self.server.is_main(process)]

    @property
    def main(self) -> Process:
        (main,) = self.mains
        return main

    def kin(self, name: str = "") -> list[Process]:
        bury(frozenset(PROGRAMS))
        return [p for p in everyone() if self.server.is_kin(p) and p.exe.endswith(name)]

    def answers(self) -> bool:
        request = Zeus({"zeushome": str(self.home)}).layout.request
        return request is not None and ask(request, connect_timeout=1, timeout=2).verdict is Verdict.GOOD

    def clean(self) -> None:
        eventually(self._nothing_left, what="the end of what was started")
        bury(frozenset(PROGRAMS))
        shutil.rmtree(self.home)

    def _nothing_left(self) -> bool:
        left = [p for p in everyone() if p.exe.startswith(f"{self.home}/") and not p.dead]
        for process in left:
            send(process.identity, signal.SIGKILL)
        return not left


@pytest.fixture
def web() -> Iterator[Web]:
    adopt_orphans(True)
    home = Path(tempfile.mkdtemp(prefix="stand-in-zeus-"))
    home.chmod(0o755)
    web = Web(home)
    yield web
    web.clean()
    adopt_orphans(False)


def end(process: Process, number: int = signal.SIGKILL) -> None:
    send(process.identity, number)
    eventually(lambda: not alive(process.identity), what=f"the end of {process.pid}")


def test_the_parent_is_the_main_process_and_its_children_are_kin(web: Web) -> None:
    main = web.start()
    assert (main.pid, main.exe) == (main.sid, f"{web.home}/web/bin/zeus.web")
    assert web.server.layout.pidfile == f"{web.home}/web/internal/pid"
    words = Path(web.server.layout.pidfile).read_text().split()
    assert words[0] == str(main.pid) and len(words) > 1, "the first word is the pid, more follow"
    assert {p.ppid for p in web.kin() if p.pid != main.pid} == {main.pid}
    assert sorted({os.path.basename(p.exe) for p in web.kin()}) == ["zeus.cgid", "zeus.statd", "zeus.web"]


def test_the_administration_server_is_not_kin(web: Web) -> None:
    web.start()
    admin = [p for p in everyone() if p.exe == f"{web.home}/web/bin/zeus.admin"]
    assert admin and not any(web.server.is_kin(p) or web.server.is_main(p) for p in admin)


def test_another_zeushome_is_not_ours(web: Web) -> None:
    main = web.start()
    other = Zeus({"zeushome": f"{web.home}2"})
    assert not other.is_main(main) and not other.is_kin(main)


def test_a_dead_child_is_replaced_by_the_parent(web: Web) -> None:
    main = web.start()
    child = next(p for p in web.kin("zeus.web") if p.pid != main.pid)
    end(child)
    eventually(lambda: "WARN:child" in (web.home / "web/log/errors").read_text(), what="the replacement")
    assert web.main.pid == main.pid and web.answers()


def test_orphans_of_a_killed_parent_serve_on_and_none_is_taken_for_the_main_process(web: Web) -> None:
    main = web.start()
    end(main)
    assert web.answers()
    assert web.mains == []
    orphans = web.kin()
    assert len(orphans) == 4 and all(web.server.is_child(p) for p in orphans)


def test_a_stop_that_works_leaves_nothing(web: Web) -> None:
    web.start()
    command = web.server.stop_command()
    assert command is not None and run(command.argv, 60, command.env).ok
    assert web.kin() == [] and not web.answers()
    assert web.script("stop-zeus").status == 1


def test_a_parent_deaf_to_term_is_left_to_signals(web: Web) -> None:
    main = web.start()
    (web.home / "stand-in/deaf").touch()
    assert web.script("stop-zeus", timeout=1).status is None
    assert alive(main.identity)
    for process in web.kin():
        send(process.identity, signal.SIGKILL)
    eventually(lambda: web.kin() == [], what="the end of all")


def test_hup_takes_new_sites_and_keeps_the_parent(web: Web) -> None:
    main = web.start()
    port = free_port()
    add_site(web.home, "zzz", port)
    assert web.server.reloads_with == signal.SIGHUP and web.server.reload_command() is None
    send(main.identity, signal.SIGHUP)
    later = Zeus({"zeushome": str(web.home), "port": str(port)})
    request = later.layout.request
    assert request is not None
    eventually(lambda: ask(request, connect_timeout=1, timeout=2).verdict is Verdict.GOOD, what="the new site")
    assert web.main.pid == main.pid


def test_restart_zeus_makes_a_new_parent(web: Web) -> None:
    main = web.start()
    assert web.script("restart-zeus").ok
    eventually(web.answers, what="an answer")
    assert web.main.pid != main.pid


def test_a_taken_port_is_named_from_the_log(web: Web) -> None:
    thief = subprocess.Popen(
        ["/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", str(web.port)], stderr=subprocess.DEVNULL
    )
    try:
        eventually(web.answers, what="the thief")
        started = web.script("start-zeus")
        assert started.status == 1
        lines = Path(web.server.layout.error_log).read_text().splitlines()
        fault = web.server.explain(lines, "start failed")
        assert fault is not None and fault.cause == "port-taken"
        eventually(lambda: web.kin() == [], what="the end of the failed start")
    finally:
        thief.kill()
        thief.wait()


def test_no_running_site_is_not_a_fault(web: Web) -> None:
    (web.home / "web/conf/runningsites/www").unlink()
    layout = Zeus({"zeushome": str(web.home)}).layout
    assert (layout.addresses, layout.request) == ((), None)
    assert web.script("start-zeus").ok
    eventually(lambda: web.mains, what="the parent")


def test_a_mute_server_connects_and_never_answers(web: Web) -> None:
    web.start()
    (web.home / "stand-in/mute").touch()
    request = web.server.layout.request
    assert request is not None
    assert ask(request, connect_timeout=1, timeout=0.5).verdict is not Verdict.GOOD


def test_a_stale_pid_file_naming_a_stranger_convinces_nobody(web: Web) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        (web.home / "web/internal/pid").write_text(f"{stranger.pid} zeus.web 4.3\n")
        process = look(stranger.pid)
        assert process is not None and not web.server.is_main(process) and not web.server.is_kin(process)
        stranger.kill()


# ---- through koboshi's own lifecycle ---------------------------------------------------------------------------------


def bring_up(web: Web) -> Started:
    server = Zeus({"zeushome": str(web.home)})
    return start(lambda: server, server, None, None, web.home / "output", Patience(40))


def bring_down(web: Web, seconds: float = 20) -> Fault | None:
    return stop(Zeus({"zeushome": str(web.home)}), None, None, Patience(seconds), True)[0]


def test_a_start_ends_with_an_answer_and_a_stop_with_nothing(web: Web) -> None:
    started = bring_up(web)
    assert started.fault is None and started.remembered is not None
    assert started.remembered.main == web.main.identity and web.answers()
    assert bring_down(web) is None
    assert web.kin() == [] and not web.answers() and not Path(web.server.layout.pidfile).exists()


def test_a_start_sweeps_the_orphans_of_a_killed_parent_first(web: Web) -> None:
    main = web.start()
    orphans = {process.pid for process in web.kin()}
    end(main)
    assert bring_up(web).fault is None
    assert web.answers() and orphans.isdisjoint(process.pid for process in web.kin())


def test_a_stop_of_a_deaf_parent_is_complete(web: Web) -> None:
    web.start()
    (web.home / "stand-in/deaf").touch()
    assert bring_down(web, 6) is None
    assert web.kin() == [] and not web.answers()


def test_a_stop_kills_no_stranger_with_the_old_pid(web: Web) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], start_new_session=True) as stranger:
        (web.home / "web/internal/pid").write_text(f"{stranger.pid} zeus.web 4.3\n")
        assert bring_down(web) is None
        assert stranger.poll() is None
        stranger.kill()


def test_a_start_on_a_taken_port_names_the_thief(web: Web) -> None:
    with socket.create_server(("127.0.0.1", web.port)):
        fault = bring_up(web).fault
    assert fault is not None and (fault.cause, fault.kind) == ("port-taken", Kind.HOST)
    assert str(os.getpid()) in fault.reason
