"""Normal running: tree, files, scripts, pages.

The stand-in of Sun ONE behaves as the real server was seen to behave, and the agent draws the right conclusion.
See tests/stand_ins/README.rst.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from ocf.programs import run
from resource_agents.http import Verdict, ask
from resource_agents.processes import everyone
from resource_agents.sunone_family import Standing
from tests.ports import free_port
from tests.stand_ins.sunone.handling import cause, end, standing
from tests.stand_ins.sunone.install import Product
from tests.stand_ins.sunone.running import Instance, make
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


def test_the_tree_is_watchdog_primordial_and_worker_in_one_session(running: Instance) -> None:
    family = running.family()
    assert family.watchdog is not None
    (primordial,), (worker,) = family.primordials, family.workers
    assert (primordial.ppid, worker.ppid) == (family.watchdog.pid, primordial.pid)
    assert family.watchdog.pid == family.watchdog.sid == worker.pgid == primordial.sid
    words = (
        "-d",
        f"{running.directory}/config",
        "-r",
        str(running.product.root),
        "-t",
        str(running.temp),
        "-u",
        "root",
    )
    assert family.watchdog.argv == ("webservd-wdog", *words)
    assert primordial.argv == worker.argv == ("webservd", *words)
    assert worker.exe == f"{running.product.root}/lib/webservd"
    assert {os.readlink(f"/proc/{p.pid}/cwd") for p in (family.watchdog, worker)} == {f"{running.directory}/config"}
    assert len(os.listdir(f"/proc/{primordial.pid}/task")) == 1
    assert len(os.listdir(f"/proc/{worker.pid}/task")) == 18


def test_only_the_watchdog_is_the_main_process(running: Instance) -> None:
    mains = [process.pid for process in everyone() if running.server.is_main(process)]
    assert mains == [running.watchdog.pid]
    assert cause(running, answered=True) == ""
    assert running.server.programs == {f"{running.product.root}/lib/{name}" for name in ("webservd-wdog", "webservd")}


def test_an_instance_whose_name_begins_with_ours_is_not_ours(product: Product, running: Instance) -> None:
    other = make(product, "test2")
    other.start()
    assert len({running.watchdog.pid, other.watchdog.pid}) == 2
    assert not any(other.server.is_kin(process) for process in everyone() if running.server.is_kin(process))
    other.clean()
    assert running.answer() == 200


def test_a_good_start_says_so_on_the_screen_and_in_the_log(server: Instance) -> None:
    started = server.script("startserv")
    assert started.status == 0
    assert [line.split(": ")[1].split(":")[0] for line in started.output.splitlines()] == [
        "CORE3016",
        "HTTP3072",
        "CORE3274",
    ]
    assert server.answer() == 200
    codes = [line.split("): ")[1].split(":")[0] for line in server.errors().splitlines()]
    assert codes == ["CORE1116", "CORE3016", "HTTP3072", "CORE3274"]
    assert server.pid_file == str(server.watchdog.pid)
    assert sorted(os.listdir(server.temp)) == ["pid", "webservd-wdog.socket", "webservd.socket"]
    assert server.temp.stat().st_mode & 0o777 == 0o700


def test_a_second_start_says_0_and_already_running(running: Instance) -> None:
    before = running.pids()
    again = running.script("startserv")
    assert (again.status, again.output.strip()) == (0, "info: server already running")
    assert running.pids() == before
    assert running.syslog().count("logging initialized info") == 2


def test_an_orderly_stop_leaves_nothing_and_says_nothing(running: Instance) -> None:
    said = running.errors()
    stopped = running.script("stopserv")
    assert (stopped.status, stopped.output.strip()) == (0, "server has been shutdown")
    assert not running.temp.exists()
    assert running.errors() == said
    assert standing(running, answered=False) is Standing.DOWN


def test_the_scripts_of_a_stopped_server(server: Instance) -> None:
    assert (server.script("stopserv").status, server.script("stopserv").output.strip()) == (0, "server not running")
    assert server.script("restart").status == server.script("rotate").status == 1
    reconfig = server.script("reconfig")
    assert (reconfig.status, reconfig.output) == (1, "")
    assert server.script("startserv", "--version").output.startswith("heliod Web Server 0.4")
    bogus = server.script("startserv", "--bogus")
    assert (bogus.status, bogus.output.split(":")[0]) == (1, "Usage")
    assert server.script("startserv", "--configtest").status == 0


def test_restart_keeps_the_watchdog_and_renews_the_rest(running: Instance) -> None:
    watchdog, primordial, worker = running.pids()
    assert running.script("restart").status == 0
    eventually(lambda: running.family().workers and running.pids()[1] != primordial, what="a new primordial")
    eventually(lambda: running.answer() == 200, what="an answer")
    assert (running.pids()[0], running.pid_file) == (watchdog, str(watchdog))
    assert running.pids()[2] != worker


def test_rotate_moves_the_logs_away(running: Instance) -> None:
    running.answer()
    assert running.script("rotate").status == 0
    logs = running.directory / "logs"
    eventually(lambda: list(logs.glob("errors.2*")) and list(logs.glob("access.2*")), what="the rotated logs")
    assert running.answer() == 200


def test_reconfig_moves_a_port_without_a_new_process(running: Instance) -> None:
    before, old, new = running.pids(), running.port, free_port()
    running.edit("server.xml", f"<port>{old}</port>", f"<port>{new}</port>")
    done = running.script("reconfig")
    assert done.status == 0
    assert "CORE3276: Installing a new configuration" in done.output and "CORE3280" in done.output
    assert not running.connects()
    running.port = new
    assert running.answer() == 200
    assert running.pids() == before
    assert f"{old} closed" in running.errors()


def test_the_agent_reloads_with_reconfig_and_tests_first(running: Instance) -> None:
    check, reload = running.server.check_command(), running.server.reload_command()
    assert check is not None and run(check.argv, 30, check.env).ok
    assert reload is not None and run(reload.argv, 30, reload.env).ok


def test_three_workers_where_the_configuration_asks_for_them(server: Instance) -> None:
    (server.directory / "config/magnus.conf").write_text("MaxProcs 3\n")
    server.start()
    eventually(lambda: server.errors().count("CORE3274") == 3, what="three workers")
    family = server.family()
    assert (len(family.primordials), len(family.workers)) == (1, 3)
    assert cause(server, answered=True) == ""


def test_only_the_worker_gives_up_root(product: Product) -> None:
    server = make(product, user="nobody")
    server.start()
    assert (server.watchdog.uid, server.primordial.uid) == (0, 0)
    assert server.worker.uid != 0
    assert server.temp.stat().st_uid == server.worker.uid
    assert server.script("stopserv").status == 0
    assert not server.temp.exists()


def test_a_start_in_the_foreground_stays_in_the_callers_group(server: Instance) -> None:
    script = subprocess.Popen(
        [server.directory / "bin/startserv", "-i"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )
    eventually(lambda: server.answer() == 200, what="an answer")
    assert (server.watchdog.ppid, server.watchdog.pgid) == (script.pid, script.pid)
    assert server.script("stopserv").status == 0
    assert script.wait(30) == 0


def test_a_foreground_start_ends_with_1_when_its_watchdog_is_killed(server: Instance) -> None:
    script = subprocess.Popen(
        [server.directory / "bin/startserv", "-i"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )
    eventually(lambda: server.answer() == 200, what="an answer")
    end(server.watchdog)
    assert script.wait(30) == 1
    assert server.answer() == 200
    assert cause(server, answered=True) == "watchdog-gone"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("HEAD", "/", 200), ("OPTIONS", "/", 200), ("GET", "/", 200), ("GET", "/nothing", 404), ("GET", "/empty", 401)],
)
def test_pages_and_their_status(running: Instance, method: str, path: str, status: int) -> None:
    (running.directory / "docs/empty").mkdir()
    assert running.answer(method, path) == status
    assert running.answer(method, path, host="unknown.example") == status


def test_a_missing_document_root_is_404(running: Instance) -> None:
    (running.directory / "docs").rename(running.directory / "away")
    assert running.answer() == 404


def test_statistics_answer_once_enabled(server: Instance) -> None:
    with (server.directory / "config/obj.conf").open("a") as file:
        file.write('<Object name="perf">\nService fn="service-dump"\nService fn="stats-xml"\n</Object>\n')
    server.start()
    assert server.answer(path="/.perf") == server.answer(path="/stats-xml") == 200


def test_the_agents_own_request_gets_a_good_answer(running: Instance) -> None:
    request = running.server.layout.request
    assert request is not None
    assert ask(request, connect_timeout=1, timeout=5).verdict is Verdict.GOOD
