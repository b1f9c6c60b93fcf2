"""koboshi comes and goes, and rereads its configuration, without touching what runs."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from resource_agents.processes import alive, send
from tests.kinds import KINDS, instance_of
from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.servers import Instance, answers, command_instance, nginx_instance
from tests.waiting import eventually

pytestmark = pytest.mark.live


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", KINDS)
def test_servers_outlive_koboshi_and_the_next_one_adopts_them(kind: str, number: int, tmp_path: Path) -> None:
    instance = instance_of(kind, tmp_path)
    with daemon(tmp_path, table(instance)) as koboshi:
        main = koboshi.main("web")
        koboshi.end(number)
        assert alive(main.identity)
        assert answers(instance.url)
        koboshi.start()
        assert koboshi.main("web").identity == main.identity
        assert koboshi.lines("adopted", "web")
        assert answers(instance.url)
        send(main.identity, signal.SIGKILL)  # and it is watched as before
        koboshi.until_new_main("web", main)
        assert koboshi.status("web")["restarts"] == 1


def test_a_server_that_somebody_else_started_is_adopted_as_it_is(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    with daemon(tmp_path, table(instance, autostart=False)) as koboshi:
        started = koboshi.launch(list(instance.server().start_command().argv))
        eventually(lambda: answers(instance.url), what="an nginx started by hand")
        koboshi.do("start", "web")
        main = koboshi.main("web")
        assert main.identity == started
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        assert "orphans-ended" in koboshi.until_incident_ended("web", 1, "recovered").actions


def ask_to_reread(koboshi: KoboshiDaemon, how: str) -> None:
    """SIGHUP, or the command."""
    before = len(koboshi.lines("config-reloaded"))
    if how == "SIGHUP":
        koboshi.poke(signal.SIGHUP)
    else:
        assert koboshi.command("reload").returncode == 0
    eventually(lambda: len(koboshi.lines("config-reloaded")) > before, what="the new configuration")


@pytest.mark.parametrize("how", ["SIGHUP", "koboshi reload"])
def test_a_new_configuration_changes_only_what_changed(how: str, tmp_path: Path) -> None:
    same, changed, gone, new = (nginx_instance(tmp_path, name=name) for name in ("same", "changed", "gone", "new"))
    tables = [table(same, "same"), table(changed, "changed"), table(gone, "gone")]
    with daemon(tmp_path, "\n".join(tables)) as koboshi:
        mains = {name: koboshi.main(name) for name in ("same", "changed", "gone")}
        koboshi.configure("\n".join([tables[0], table(changed, "changed", restart_limit=7), table(new, "new")]))
        ask_to_reread(koboshi, how)
        koboshi.until("new", "up")
        assert koboshi.main("same").identity == mains["same"].identity
        assert koboshi.main("changed").identity == mains["changed"].identity
        assert koboshi.status("changed")["restart_limit"] == 7
        names = [one["name"] for one in koboshi.ask({"do": "status"})["resources"]]
        assert sorted(names) == ["changed", "new", "same"]
        assert alive(mains["gone"].identity), "what is watched no longer is left as it is"
        assert answers(gone.url)
        assert "1 new, 1 changed, 1 gone" in koboshi.lines("config-reloaded")[-1]
        send(mains["changed"].identity, signal.SIGKILL)
        koboshi.until_new_main("changed", mains["changed"])


def test_a_wrong_configuration_is_refused_with_its_line_and_the_old_one_goes_on(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    good = table(instance)
    with daemon(tmp_path, good) as koboshi:
        main = koboshi.main("web")
        koboshi.configure(good + "restart_limmit = 5\n")
        line = koboshi.config.read_text().count("\n")
        refused = koboshi.command("reload")
        assert refused.returncode == 2
        assert f"{koboshi.config}:{line}" in refused.stderr
        assert "restart_limit" in refused.stderr
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)


# ---- what a server inherits ------------------------------------------------------------------------------------------


def test_a_server_inherits_nothing_of_koboshi(tmp_path: Path) -> None:
    """No descriptor, mask, signal setting, session or variable: it is as if nobody had started it."""
    folder = tmp_path / "sleeper"
    folder.mkdir()
    words = [shutil.which("sleep") or "/bin/sleep", "600"]
    sleeper = Instance("command", folder, folder, 0, "", {"start_command": " ".join(words)})
    with daemon(tmp_path, table(sleeper)) as koboshi:
        main = koboshi.main("web")
        open_files = {name: os.readlink(f"/proc/{main.pid}/fd/{name}") for name in os.listdir(f"/proc/{main.pid}/fd")}
        output = str(koboshi.runtime / "web.out")
        assert open_files == {"0": "/dev/null", "1": output, "2": output}
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{main.pid}/status").read_text().splitlines() if ":\t" in line
        )
        assert status["Umask"] == "0022"
        glibc = 0b11 << 31  # signals 32 and 33 are its own: posix_spawn leaves them ignored
        assert {int(status[name], 16) & ~glibc for name in ("SigBlk", "SigIgn", "SigCgt")} == {0}
        assert main.sid == main.pgid == main.pid
        assert os.readlink(f"/proc/{main.pid}/cwd") == "/"
        variables = Path(f"/proc/{main.pid}/environ").read_bytes()
        assert b"KOBOSHI_RUNTIME_DIR" not in variables
        assert b"PYTHON" not in variables


def test_workers_inherit_nothing_of_koboshi_either(tmp_path: Path) -> None:
    instance = command_instance(tmp_path, workers=2)
    with daemon(tmp_path, table(instance)) as koboshi:
        main = koboshi.main("web")
        assert koboshi.identity is not None
        ours = files_of(koboshi.identity.pid)
        output = str(koboshi.runtime / "web.out")
        for process in [main.pid, *children_of(main.pid)]:
            assert not (files_of(process) - {"/dev/null", output, "anon_inode:[eventpoll]"}) & ours


def files_of(pid: int) -> set[str]:
    """What a process has open."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    """The pids of its children."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
