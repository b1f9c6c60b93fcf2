"""A broken configuration is reported with file and line, is not tried in a loop, and heals when it is mended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from resource_agents.processes import send
from tests.awkward import awkward_instance
from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.servers import Instance, answers, apache_instance, nginx_instance
from tests.waiting import eventually

pytestmark = pytest.mark.live

INSTANCES: dict[str, Callable[[Path], Instance]] = {"apache": apache_instance, "nginx": nginx_instance}


def spoil(instance: Instance) -> str:
    """Add a line that nobody understands; where it is, as FILE:LINE."""
    sound = instance.configfile.read_text()
    instance.configfile.write_text(sound + "senseless 1;\n")
    return f"{instance.configfile}:{sound.count(chr(10)) + 1}"


def tries(koboshi: KoboshiDaemon) -> int:
    """How often a start was tried of koboshi's own accord."""
    return len(koboshi.lines("restarting", "web"))


@pytest.mark.parametrize("kind", INSTANCES)
def test_a_dead_server_with_a_syntax_error_waits_for_the_file_to_be_mended(kind: str, tmp_path: Path) -> None:
    instance = INSTANCES[kind](tmp_path)
    sound = instance.configfile.read_text()
    with daemon(tmp_path, table(instance, restart_wait=0)) as koboshi:
        main = koboshi.main("web")
        place = spoil(instance)
        send(main.identity, signal.SIGKILL)
        status = koboshi.until("web", "misconfigured")
        assert status["cause"] == "config-error"
        assert place in status["reason"]
        assert len(koboshi.lines("misconfigured", "web")) == 1
        assert tries(koboshi) == 1

        looks = koboshi.saved("web")["action"]
        spoil(instance)  # a change that mends nothing is looked at, and no start is spent on it
        eventually(lambda: koboshi.saved("web")["action"] > looks, what="a look at the changed file")
        koboshi.until("web", "misconfigured")
        assert tries(koboshi) == 1

        instance.configfile.write_text(sound)
        koboshi.until_new_main("web", main)
        assert answers(instance.url)
        incident = koboshi.until_incident_ended("web", 1, "recovered")
        assert koboshi.timeline(incident.id)[0].cause == "killed"
        assert tries(koboshi) == 2


@pytest.mark.parametrize("kind", INSTANCES)
def test_a_first_start_with_a_broken_configuration_heals_when_it_is_mended(kind: str, tmp_path: Path) -> None:
    instance = INSTANCES[kind](tmp_path)
    sound = instance.configfile.read_text()
    place = spoil(instance)
    with daemon(tmp_path, table(instance)) as koboshi:
        assert place in koboshi.until("web", "misconfigured")["reason"]
        instance.configfile.write_text(sound)
        koboshi.until("web", "up")


def test_a_configuration_that_vanished_heals_when_it_is_back(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    sound = instance.configfile.read_text()
    with daemon(tmp_path, table(instance)) as koboshi:
        main = koboshi.main("web")
        instance.configfile.unlink()
        send(main.identity, signal.SIGKILL)
        koboshi.until("web", "misconfigured")
        instance.configfile.write_text(sound)
        koboshi.until_new_main("web", main)


def test_a_server_with_a_test_of_its_own_is_not_tried_in_a_loop(tmp_path: Path) -> None:
    """Nothing knows the words of its error, but its configuration test fails as well."""
    awkward = awkward_instance(tmp_path)
    manners = awkward.folder / "manners"
    check = f"/bin/sh -c 'grep -q broken {manners} && echo {manners}:1: broken && exit 1; exit 0'"
    with daemon(tmp_path, table(awkward.instance, check_command=check, restart_wait=0)) as koboshi:
        main = koboshi.main("web")
        awkward.be("broken")
        send(main.identity, signal.SIGKILL)
        status = koboshi.until("web", "misconfigured")
        assert f"{manners}:1" in status["reason"]
        assert tries(koboshi) == 1
        awkward.be()
        koboshi.do("start", "web")
        koboshi.until_new_main("web", main)


@pytest.mark.parametrize("kind", INSTANCES)
@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_what_runs_is_kept_when_its_new_configuration_is_broken(kind: str, verb: str, tmp_path: Path) -> None:
    instance = INSTANCES[kind](tmp_path)
    sound = instance.configfile.read_text()
    with daemon(tmp_path, table(instance, probe_interval=0.2)) as koboshi:
        main = koboshi.main("web")
        place = spoil(instance)
        refused = koboshi.command(verb, "web")
        assert refused.returncode == 1
        assert place in refused.stderr
        assert koboshi.main("web").identity == main.identity
        assert answers(instance.url)
        assert place in koboshi.status("web")["reason"]
        assert koboshi.incidents() == []
        instance.configfile.write_text(sound)
        asked = koboshi.command(verb, "web")
        assert asked.returncode == 0, asked.stderr
        assert (koboshi.main("web").identity == main.identity) == (verb == "reload")


# ---- logs ------------------------------------------------------------------------------------------------------------


def test_a_log_of_two_gigabytes_costs_no_outage(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    instance.error_log.touch()
    os.truncate(instance.error_log, 2 << 30)  # a hole: it takes no room
    with daemon(tmp_path, table(instance)) as koboshi:
        main = koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        assert instance.error_log.stat().st_size >= 2 << 30, "it is the server's, and was left as it is"
        assert resident(koboshi) < 200 << 20, "the log was read whole"
        place = spoil(instance)
        send(koboshi.main("web").identity, signal.SIGKILL)
        assert place in koboshi.until("web", "misconfigured")["reason"]


def resident(koboshi: KoboshiDaemon) -> int:
    """Bytes of koboshi's largest resident size so far (proc(5), VmHWM)."""
    assert koboshi.identity is not None
    for line in Path(f"/proc/{koboshi.identity.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_garbage_and_forged_lines_in_a_log_reach_nobody_raw(tmp_path: Path) -> None:
    """What a server writes before it gives up becomes one harmless line, and cannot pass for koboshi's own words."""
    forged = "12:00:00.000 web recovered: it answers [KOB310, forged, web-1]"
    nasty = (
        b"\x1b]0;title\x07\x1b[31m\xff\xfe\x00bind\r" + b"A" * 100_000 + b"\n" + forged.encode() + b"\n\xe2\x80\xae\n"
    )
    (tmp_path / "nasty").write_bytes(nasty)
    awkward = awkward_instance(tmp_path)
    values = {
        **awkward.instance.values,
        "start_command": f"/bin/sh -c 'cat {tmp_path}/nasty; tail -n 2 {tmp_path}/nasty >&2; exit 3'",
        "error_log": str(tmp_path / "nasty"),
    }
    instance = Instance(
        "command", tmp_path, awkward.instance.configfile, awkward.instance.port, awkward.instance.url, values
    )
    with daemon(tmp_path, table(instance, restart_limit=1, restart_wait=0)) as koboshi:
        koboshi.until("web", "failed")
        eventually(lambda: koboshi.incidents("web"), what="the incident")
        told = koboshi.output.read_bytes() + koboshi.command("why").stdout.encode()
        assert not set(told) & {0x00, 0x07, 0x0D, 0x1B, 0xFF, 0xFE}
        assert "\u202e" not in told.decode()
        assert not any(line.startswith(forged[:20]) for line in told.decode().splitlines())
        assert max(map(len, told.decode().splitlines())) < 2000
