"""A full disk and a jumping clock cost no recovery: what is lost is told, and no decision looks at the wall clock."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from resource_agents.processes import send
from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.servers import answers, nginx_instance
from tests.waiting import eventually

pytestmark = pytest.mark.live

#: A mount namespace of its own in which a very small file system covers a directory.
SMALL = 'mkdir -p "$1" && mount -t tmpfs -o size="$2" none "$1" && shift 2 && exec "$@"'

DAY = 86400


def with_little_room(place: Path, size: str) -> tuple[str, ...]:
    """The command line that runs another one with little room at a place."""
    return ("/usr/bin/unshare", "--mount", "/bin/sh", "-c", SMALL, "sh", str(place), size)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a mount namespace")


@needs_root
def test_a_full_disk_for_the_journal_costs_no_recovery_and_is_told(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    inside = with_little_room(state, "16k,mode=0700")
    with daemon(tmp_path, table(nginx_instance(tmp_path)), inside) as koboshi:
        main = koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        eventually(lambda: koboshi.lines("journal-lost"), what="the word that the journal is lost")
        make_room(koboshi, state)
        eventually(lambda: koboshi.lines("journal-back"), what="the word that the journal is back")
        assert "recovered" in koboshi.said


def make_room(koboshi: KoboshiDaemon, place: Path) -> None:
    """Make the small file system large, from inside of koboshi's mount namespace."""
    assert koboshi.identity is not None
    enter = ["/usr/bin/nsenter", "--mount", "--target", str(koboshi.identity.pid)]
    koboshi.launch([*enter, "/bin/mount", "-o", "remount,size=16m", "none", str(place)])


@needs_root
def test_a_full_disk_for_the_saved_state_costs_no_recovery_and_is_told(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    inside = with_little_room(runtime / "resources", "4k,mode=0700")
    instance = nginx_instance(tmp_path)
    with daemon(tmp_path, table(instance), inside) as koboshi:
        main = koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        assert koboshi.lines("state-lost", "web")
        assert answers(instance.url)


#: Python runs this before koboshi: the wall clock is as far off as a file says. The machine's clock is not touched.
SHIFTED = """\
import time

real = time.time


def shifted():
    try:
        with open({path!r}) as file:
            return real() + float(file.read())
    except (OSError, ValueError):
        return real()


time.time = shifted
"""


def test_a_clock_set_forward_and_back_by_a_day_changes_no_decision(tmp_path: Path) -> None:
    shift = tmp_path / "shift"
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock/sitecustomize.py").write_text(SHIFTED.format(path=str(shift)))
    env = {"PYTHONPATH": str(tmp_path / "clock")}
    with daemon(tmp_path, table(nginx_instance(tmp_path), restart_window=DAY / 2, restart_wait=0), env=env) as koboshi:
        moments: list[float] = []
        for days in (0, 1, -1):
            shift.write_text(str(days * DAY))
            main = koboshi.main("web")
            send(main.identity, signal.SIGKILL)
            koboshi.until_new_main("web", main)
            number = len(moments) + 1
            incident = koboshi.until_incident_ended("web", number, "recovered")
            moments.append(incident.fell)
            assert incident.outage is not None
            assert 0 <= incident.outage < DAY / 24
            assert koboshi.status("web")["restarts"] == number, "the budget is not refilled by a clock"
            assert 0 <= koboshi.status("web")["since"] < DAY / 24
        assert moments[1] - moments[0] > DAY / 2, "the daemon's wall clock was not shifted"
        assert moments[2] < moments[0]
        koboshi.do("pause", "web", **{"for": 3600})
        shift.write_text(str(30 * DAY))
        main = koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        koboshi.until("web", "observing")
        assert koboshi.status("web")["paused_for"] > 3000
        koboshi.kill()
        koboshi.start()
        assert koboshi.status("web")["phase"] == "observing"
        assert koboshi.status("web")["restarts"] == 3
