"""The control socket against garbage, idlers, floods and its own stale files."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue import client
from cluster_glue.client import Nonsense, NotRunning, TimedOut, ask
from cluster_glue.control import MOST, ControlError, Peer
from cluster_glue.conversation import LONGEST_REQUEST, understand
from tests.control_server import serving
from tests.house import ROOT
from tests.waiting import LONG, eventually


async def echo(request: dict[str, Any], peer: Peer) -> dict[str, Any]:
    return {"ok": True, "asked": request, "peer": [peer.pid, peer.uid, peer.user]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def served(path: Path) -> Iterator[Path]:
    with serving(path, echo, patience=0.5):
        yield path


def raw(path: Path, data: bytes, end: bool = False) -> bytes:
    """What comes back for these very bytes, until the other side hangs up."""
    with client.connected(path, LONG) as line:
        line.sendall(data)
        if end:
            line.shutdown(socket.SHUT_WR)
        reply = b""
        while chunk := line.recv(65536):
            reply += chunk
        return reply


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_request_is_answered_and_the_peer_is_who_the_kernel_says(served: Path) -> None:
    reply = ask(served, {"do": "start", "resource": "web1", "junk": [1]}, LONG)
    assert reply["asked"] == {"do": "start", "resource": "web1"}
    assert reply["peer"][:2] == [os.getpid(), os.getuid()]


def test_the_socket_is_for_its_owner_only_whatever_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        with serving(path, echo):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_a_path_longer_than_a_socket_address_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    with serving(deep / "control.sock", echo):
        assert ask(deep / "control.sock", {"do": "status"}, LONG)["ok"]


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"garbage\n",
        b"\xff\xfe\x00\n",
        b"[1]\n",
        b"[" * 60000 + b"\n",
        b"1" * 6000 + b"\n",
        b'{"do": 3}\n',
        b'{"do": "explode"}\n',
        b'{"do": "start"}\n',
        b'{"do": "start", "resource": 3}\n',
        b'{"do": "start", "resource": ""}\n',
        b'{"do": "pause", "resource": "w", "for": NaN}\n',
        b'{"do": "pause", "resource": "w", "for": Infinity}\n',
        b'{"do": "pause", "resource": "w", "for": -1}\n',
        b'{"do": "pause", "resource": "w", "for": true}\n',
        b'{"do": "pause", "resource": "w", "for": 1e99}\n',
        b"x" * (LONGEST_REQUEST + 1),
        b"x" * (LONGEST_REQUEST + 1) + b"\n",
    ],
)
def test_garbage_gets_one_line_that_says_no(served: Path, data: bytes) -> None:
    reply = raw(served, data)
    assert reply.count(b"\n") == 1
    told = json.loads(reply)
    assert told["ok"] is False
    assert told["error"]
    assert told["remedy"]


@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: json.dumps({"do": text, "resource": text}).encode())
)
def test_no_bytes_are_misunderstood(line: bytes) -> None:
    understood = understand(line)
    assert isinstance(understood, str) or understood["do"]


def test_a_pause_arrives_with_seconds_and_a_harmless_reason(served: Path) -> None:
    request = {"do": "pause", "resource": "w", "for": 90, "reason": "disk\n\x1b[31mswap"}
    assert ask(served, request, LONG)["asked"] == {**request, "for": 90.0, "reason": "disk swap"}


OCF = {
    "do": "ocf", "action": "start", "instance": "web_0", "mandate": "web_0@1f.json", "timeout": 40, "interval": 0.0,
}  # fmt: skip


def test_a_clusters_action_arrives_as_it_is(served: Path) -> None:
    assert ask(served, OCF, LONG)["asked"] == OCF


@pytest.mark.parametrize(
    "change",
    [
        {"instance": "../../etc/passwd"}, {"instance": ".."}, {"instance": ""}, {"action": 3}, {"mandate": None},
        {"mandate": "../web_0@1f.json"}, {"mandate": "web_0.status"}, {"timeout": 0}, {"timeout": True},
        {"timeout": 1e99}, {"interval": -1}, {"interval": "10"},
    ],
)  # fmt: skip
def test_a_clusters_action_out_of_shape_is_refused(served: Path, change: dict[str, Any]) -> None:
    assert ask(served, OCF | change, LONG)["ok"] is False


def test_half_a_request_is_told_and_ended_in_time(served: Path) -> None:
    told = json.loads(raw(served, b'{"do": "sta'))
    assert "no whole request came" in told["error"]


def test_who_closes_the_sending_half_still_gets_the_answer(served: Path) -> None:
    assert json.loads(raw(served, b'{"do": "status"}\n', end=True))["ok"]


def test_who_leaves_without_a_word_costs_nothing(served: Path) -> None:
    for _ in range(50):
        client.connected(served, LONG).close()
    assert raw(served, b"", end=True) == b""
    assert ask(served, {"do": "status"}, LONG)["ok"]


def test_an_answer_that_breaks_is_an_answer(path: Path) -> None:
    async def broken(request: dict[str, Any], peer: Peer) -> dict[str, Any]:
        if request["do"] == "status":
            raise ZeroDivisionError("oh\nno")
        return {"ok": True, "value": float("nan")}

    with serving(path, broken):
        for do in ("status", "reload-config"):
            reply = ask(path, {"do": do}, LONG)
            assert reply["ok"] is False
            assert "could not answer" in reply["error"]


def test_a_large_answer_arrives_whole_and_one_that_nobody_fetches_is_dropped(path: Path) -> None:
    async def large(request: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return {"ok": True, "text": "x" * 3_000_000}

    with serving(path, large, patience=0.5) as control:
        assert len(ask(path, {"do": "status"}, LONG)["text"]) == 3_000_000
        with client.connected(path, LONG) as line:
            line.sendall(b'{"do": "status"}\n')
            eventually(lambda: control.open, what="the conversation")
            eventually(lambda: not control.open, what="the end of a conversation that nobody fetches")


FLOOD = """
import socket, sys, os
directory = os.open(os.path.dirname(sys.argv[1]), os.O_PATH)
name = f"/proc/self/fd/{directory}/{os.path.basename(sys.argv[1])}"
held, words = [], [b"", b"garbage", b'{"do": "sta', b"\\n", b"x" * 5000]
for number in range(int(sys.argv[2])):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(name)
    try:
        line.send(words[number % len(words)])
    except OSError:
        pass
    held.append(line)
print("flooded", flush=True)
sys.stdin.read()
"""


def test_ten_thousand_connections_keep_nobody_out_and_leak_nothing(path: Path) -> None:
    with serving(path, echo, patience=60.0) as control:
        before = descriptors()
        flood = [
            subprocess.Popen(
                [sys.executable, "-c", FLOOD, str(path), "2500"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        pipes = 2 * len(flood)
        try:
            answered = 0
            flooded = threading.Event()

            def wait() -> None:
                for one in flood:
                    assert one.stdout is not None
                    assert one.stdout.readline() == b"flooded\n"
                flooded.set()

            watcher = threading.Thread(target=wait)
            watcher.start()
            while not flooded.is_set():
                answered += ask(path, {"do": "status"}, LONG)["ok"]
                assert len(control.open) <= MOST + 1
                assert descriptors() <= before + pipes + MOST + 300
            watcher.join(LONG)
            assert answered
            assert ask(path, {"do": "status"}, LONG)["ok"]
        finally:
            for one in flood:
                one.communicate()
        eventually(lambda: not control.open, what="the end of all conversations")
        eventually(lambda: descriptors() <= before, what="the return of all descriptors")
        assert ask(path, {"do": "status"}, LONG)["ok"]


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as old:
        directory = os.open(path.parent, os.O_PATH)
        old.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
    with pytest.raises(NotRunning, match="not running"):
        ask(path, {"do": "status"}, LONG)
    with serving(path, echo):
        assert ask(path, {"do": "status"}, LONG)["ok"]
    assert not path.exists()


def test_a_living_daemon_keeps_its_socket(served: Path) -> None:
    with pytest.raises(ControlError, match=rf"runs already .*pid {os.getpid()}"), serving(served, echo):
        pass
    assert ask(served, {"do": "status"}, LONG)["ok"]


def test_what_is_no_socket_is_not_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ControlError, match="is not a socket"), serving(path, echo):
        pass
    assert path.read_text() == "precious"


def test_a_socket_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="No such file"), serving(tmp_path / "nowhere" / "control.sock", echo):
        pass


def test_nobody_listening_is_told_with_the_remedy(path: Path) -> None:
    for missing in (path, path / "below", Path("/dev/null/control.sock")):
        with pytest.raises(NotRunning) as caught:
            ask(missing, {"do": "status"}, LONG)
        assert "koboshi run" in caught.value.remedy


@pytest.mark.skipif(os.getuid() != 0, reason="changes its user")
def test_another_user_is_kept_out_by_mode_and_by_credentials(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from cluster_glue.client import *\n"
        "place = os.open(os.path.dirname(sys.argv[1]), os.O_PATH); os.setuid(65534)\n"
        "try: print(ask(Path(f'/proc/self/fd/{place}/control.sock'), {'do': 'status'}, 30))\n"
        "except Refused as error: print('refused;', error.remedy)\n"
    )

    def told() -> str:
        argv = [sys.executable, "-c", program, str(path)]
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout

    with serving(path, echo):
        path.parent.chmod(0o755)
        assert told().startswith("refused; ask as root")
        path.chmod(0o666)
        assert "may not talk" in told()


@pytest.mark.parametrize("answer", [b"", b"garbage\n", b"[]\n", b"{}\n", b'{"ok": 1}\n', b"[" * 100000])
def test_an_answer_that_is_none_is_told(path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        directory = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        listener.listen()

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(1000)
                line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Nonsense) as caught:
            ask(path, {"do": "status"}, LONG)
        thread.join()
    assert "same version" in caught.value.remedy


def test_who_does_not_answer_is_told_in_time(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        directory = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        listener.listen(1)
        with pytest.raises(TimedOut, match=r"within 0.1 s"):
            ask(path, {"do": "status"}, 0.1)
        full = [client.connected(path, 0.1)]
        with pytest.raises(BlockingIOError):
            full.extend(client.connected(path, 0.1) for _ in range(10))
        with pytest.raises(TimedOut):
            ask(path, {"do": "status"}, 0.1)
        for line in full:
            line.close()
