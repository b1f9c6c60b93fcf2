"""The lab's client asks as long as somebody wants to know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.waiting import eventually

CLIENT = Path(__file__).resolve().parents[2] / "vagrant/lab/client.py"


def test_the_client_ends_with_its_standard_input_whoever_stood_between() -> None:
    words = [sys.executable, "-I", str(CLIENT), "0.02", "1", "web=127.0.0.254"]
    between = subprocess.Popen(
        ["sh", "-c", '"$@"; :', "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert between.stdout is not None
    assert between.stdout.readline().split()[2:4] == ["web", "bad"]
    between.kill()  # as nsenter(1) dies of the signal that it was sent: alone
    between.communicate(timeout=60)  # closes its input, and has all of its output only when nobody writes any more


def test_a_request_is_bad_after_the_clients_patience_and_each_is_told_on_a_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        client = subprocess.Popen(
            [sys.executable, "-I", str(CLIENT), "0.05", "1", "web=127.0.0.254"], stdin=subprocess.PIPE, stdout=out
        )
    assert client.stdin is not None
    try:
        eventually(lambda: log.read_text().count("\n") >= 3, what="three answers")
    finally:
        client.stdin.close()
        client.wait(60)
    for line in log.read_text().splitlines():
        asked, took, service, outcome, why = line.split(" ", 4)
        assert (service, outcome, bool(why)) == ("web", "bad", True)
        assert float(asked) > 0 and float(took) >= 0
