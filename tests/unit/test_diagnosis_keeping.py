"""Evidence is kept for its owner alone, not for ever, and leaves the machine without secrets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster_glue.diagnosis import bundle, senders
from cluster_glue.diagnosis.capabilities import look
from cluster_glue.diagnosis.evidence import DIED, Evidence, Item
from cluster_glue.diagnosis.senders import Who, look_up
from cluster_glue.diagnosis.shelf import Shelf
from cluster_glue.diagnosis.signals import FILTER, Signal, SignalTrace, filter_of
from cluster_glue.diagnosis.tracefs import in_initial_pid_namespace
from ocf.faults import Fault, Kind
from tests.koboshi_daemon import KOBOSHI
from tests.waiting import eventually

FAULT = Fault("killed", Kind.RESOURCE, "it was killed", "SIGKILL", "ask")
EVIDENCE = Evidence(DIED, {"log": Item(("a line",)), "kernel": Item(absent="forbidden")})


def test_an_incident_has_a_directory_of_its_own_that_only_its_owner_can_read(tmp_path: Path) -> None:
    folder = Shelf(tmp_path / "evidence").keep("web-1", EVIDENCE, FAULT, 1.0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    index = json.loads((folder / "index.json").read_text())
    assert (index["cause"], index["moment"], index["items"]["kernel"]["absent"]) == ("killed", "died", "forbidden")
    assert (folder / index["items"]["log"]["file"]).read_text() == "a line\n"


def test_old_evidence_goes_by_age_and_the_oldest_by_room(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, days=10, room=3000)
    big = Evidence(DIED, {"log": Item(("x" * 1000,))})
    for number, days in enumerate((20, 5, 4, 3)):
        folder = shelf.keep(f"web-{number}", big, FAULT, 0.0)
        os.utime(folder, (1e9 - days * 86400,) * 2)
    shelf.tidy(now=1e9)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["web-2", "web-3"]
    Shelf(tmp_path / "nothing").tidy()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET http://alice:hunter2@backend/ failed", "hunter2"),
        ("Authorization: Basic YWxpY2U6aHVudGVyMg==", "YWxpY2U6aHVudGVyMg"),
        ("proxy-authorization: Bearer abc.def-ghi", "abc.def"),
        ('"Authorization": "Digest username=alice, response=abcdef"', "abcdef"),
        ("Cookie: JSESSIONID=1234567; theme=dark", "1234567"),
        ("Set-Cookie: sid=77777; HttpOnly", "77777"),
        ("java -Djavax.net.ssl.keyStorePassword=geheim -jar x", "geheim"),
        ('<Connector keystorePass="changeit" port="8443"/>', "changeit"),
        ("GET /login?user=a&password=geheim&x=1", "geheim"),
        ("mysql --password geheim db", "geheim"),
        ("curl -H 'api_key: geheim99'", "geheim99"),
    ],
)
def test_secrets_are_removed(text: str, secret: str) -> None:
    assert secret in text
    redacted = bundle.redact(text)
    assert secret not in redacted and bundle.HIDDEN in redacted
    assert bundle.redact(redacted).count(secret) == 0


def test_what_is_no_secret_stays() -> None:
    for text in ("http://127.0.0.1:8080/a", "user www-data", "AH00072: could not bind to address 127.0.0.1:80"):
        assert bundle.redact(text) == text


@pytest.mark.parametrize("name", ["out.tar", "out.tar.gz"])
def test_a_bundle_holds_story_and_evidence_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    shelf = Shelf(tmp_path / "evidence")
    folder = shelf.keep("web-1", Evidence(DIED, {"log": Item(("Cookie: sid=4711",))}), FAULT, 1.0)
    (folder / "link").symlink_to("/etc/shadow")
    path = tmp_path / name
    count = bundle.write(path, {"id": "web-1", "reason": "http://a:geheim@b/"}, "the story", folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as tar:
        names = tar.getnames()
        texts = b"".join(tar.extractfile(member).read() for member in tar.getmembers()).decode()  # type: ignore[union-attr]
    assert len(names) == count
    assert {"web-1/why.txt", "web-1/incident.json", "web-1/evidence/log.txt"} <= set(names)
    assert not any("link" in one for one in names)
    assert "geheim" not in texts and "4711" not in texts and "the story" in texts
    with pytest.raises(FileExistsError):
        bundle.write(path, {"id": "web-1"}, "", folder)


def test_each_facility_says_what_it_costs_to_be_without() -> None:
    found = look()
    assert len({one.name for one in found}) == len(found) >= 8
    assert all(one.cost and one.gives for one in found)


def test_a_process_is_known_by_command_user_and_parents() -> None:
    who = look_up(os.getpid(), "")
    assert who.pid == os.getpid() and who.uid == os.geteuid() and who.parents
    assert str(look_up(4_194_305, "kill")) == "pid 4194305 (kill, which had ended before it could be looked at)"


def test_names_of_users_are_asked_for_only_when_they_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the loop, where senders are looked up, a user database that is down would hold up every server."""
    asked: list[int] = []
    monkeypatch.setattr(senders.pwd, "getpwuid", lambda uid: asked.append(uid) or SimpleNamespace(pw_name=f"u{uid}"))
    look_up(os.getpid(), "")
    assert asked == []
    assert str(Who(7, "kill", 0, (), 1000)) == "pid 7 (kill, user u0, logged in as u1000)"
    assert str(Who(7, "kill", 0, (), 0)) == "pid 7 (kill, user u0)"


def test_a_number_that_was_given_to_another_process_is_not_looked_up() -> None:
    assert look_up(os.getpid(), "somebody-else").uid is None


def test_signals_are_told_by_who_sent_them() -> None:
    bash = Who(7, "bash", 0, ("sshd (3)",))
    assert Signal(0.0, 9, 0, 5, bash).told("it") == "SIGKILL to it from pid 7 (bash, user root), started by sshd (3)"
    assert Signal(0.0, 11, 1, 5, Who(5, "x", 0)).told("it").startswith("SIGSEGV to it from the kernel (code 1)")
    assert Signal(0.0, 6, -6, 5, Who(5, "x", 0)).told("it") == "SIGABRT to it from itself"
    assert Signal(0.0, 15, 0, 5, Who(os.getpid(), "x", 0)).told("it") == "SIGTERM to it from koboshi"


async def trace_of(*lines: str) -> SignalTrace:
    trace = SignalTrace()
    trace.close()
    trace.watch("web", [77])
    for line in lines:
        trace._take(line)
    return trace


def test_odd_lines_of_a_trace_do_no_harm() -> None:
    import asyncio

    trace = asyncio.run(
        trace_of(
            "",
            "CPU:1 [LOST 12 EVENTS]",
            " my prog-x-4194305 [001] d.. 1.5: signal_generate: sig=9 errno=0 code=0 comm=a pid=b pid=77 grp=1 res=0",
            " <...>-4194306 [000] d..1. 1.6: signal_generate: sig=15 errno=0 code=0 comm=x pid=77 grp=1 res=1",
            " x-1 [000] d.. 1.6: signal_generate: sig=9 errno=0 code=0 comm=x pid=78 grp=1 res=0",
            " x-1 [000] .... 1.7: signal_generate: sig=nine errno=0 code=0 comm=x pid=77 grp=1 res=0",
        )
    )
    (signal,) = trace.to([77, 78], 0.0)
    assert (signal.number, signal.sender.command, signal.sender.pid) == (9, "my prog-x", 4_194_305)


def test_the_kernels_filter_names_whom_we_watch_as_far_as_it_can() -> None:
    assert filter_of([]) == ""
    assert filter_of([(7, 8), (9,)]).endswith("&&(pid==7||pid==9||pid==8)")
    for count in (1, 100, 1000):
        text = filter_of((4_000_000 + number, 1) for number in range(count))
        assert len(text) <= FILTER and text.startswith("(sig==")
    assert "pid==" not in text


def test_pids_of_another_namespace_are_never_traced() -> None:
    assert in_initial_pid_namespace() == (os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC)


def test_the_doctor_says_what_is_here_and_leaves_nothing() -> None:
    done = subprocess.run(
        [KOBOSHI, "doctor", "--capabilities", "--json"], capture_output=True, text=True, timeout=60, check=True
    )
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["pidfd"]["available"] is True
    assert all(one["available"] == (not one["problem"]) for one in found.values())
    table = subprocess.run([KOBOSHI, "doctor"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "WHAT IT COSTS TO BE WITHOUT" in table and "tracefs" in table


def test_two_who_keep_the_same_incident_at_once_never_leave_a_mixture(tmp_path: Path) -> None:
    shelf, end = Shelf(tmp_path / "evidence"), threading.Event()

    def keep(size: int) -> None:
        evidence = Evidence(DIED, {"log": Item(tuple("x" * 50 for _ in range(size)))})
        while not end.is_set():
            shelf.keep("web-1", evidence, Fault("killed", Kind.RESOURCE, "y" * size), 1.0)

    threads = [threading.Thread(target=keep, args=(size,)) for size in (10, 3000)]
    for thread in threads:
        thread.start()
    try:
        eventually((shelf.path("web-1") / "index.json").exists, what="the first index")
        for _ in range(300):
            index = json.loads((shelf.path("web-1") / "index.json").read_text())
            assert len(index["reason"]) in (10, 3000)
            assert len((shelf.path("web-1") / "log.txt").read_text().splitlines()) in (10, 3000)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert {path.name for path in shelf.path("web-1").iterdir()} == {"index.json", "log.txt"}
