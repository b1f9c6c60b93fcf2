"""Pacemaker's alerts, as they reach a timeline."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue import alerts
from cluster_glue.recovery.model import Tell


@pytest.mark.parametrize(
    ("env", "resource", "sentence"),
    [
        (
            {"kind": "resource", "rsc": "web", "task": "stop", "node": "n1", "desc": "ok", "interval": "0"},
            "web",
            "stop on n1: ok",
        ),
        (
            {"kind": "resource", "rsc": "web:0", "task": "monitor", "node": "n1", "rc": "7", "interval": "10000"},
            "web_0",
            "monitor every 10 s on n1: 7",
        ),
        (
            {"kind": "attribute", "attribute_name": "koboshi-web", "attribute_value": "0", "node": "n1"},
            "web",
            "attribute koboshi-web of n1 is 0",
        ),
        ({"kind": "attribute", "attribute_name": "koboshi-a", "node": "n"}, "a", "attribute koboshi-a of n is gone"),
        ({"kind": "attribute", "attribute_name": "other", "node": "n1"}, "", "attribute other of n1 is gone"),
        ({"kind": "node", "node": "n2", "desc": "lost"}, "", "node n2: lost"),
        ({"kind": "fencing", "node": "n2", "desc": "done"}, "", "fencing n2: done"),
        ({}, "", ""),
        ({"kind": "weather"}, "", ""),
    ],
)  # fmt: skip
def test_an_alert_becomes_a_sentence_about_a_resource(env: dict[str, str], resource: str, sentence: str) -> None:
    given_ = alerts.read({f"CRM_alert_{key}": value for key, value in env.items()})
    assert alerts.told(given_) == (resource, sentence)


@given(
    st.dictionaries(st.sampled_from(["CRM_alert_kind", "CRM_alert_rsc", "CRM_alert_desc", "PATH"]), st.text(max_size=9))
)
def test_whatever_the_environment_holds_nothing_raises(env: dict[str, str]) -> None:
    alerts.told(alerts.read(env))


def hear(folder: Path, say: Callable[[], object], incidents: dict[str, int]) -> list[tuple[str, Tell]]:
    """What is told while ``say`` says something."""
    told: list[tuple[str, Tell]] = []

    async def listen() -> None:
        ears = alerts.Alerts(folder, lambda name: incidents.get(name, 0), lambda name, tell: told.append((name, tell)))
        ears.open()
        say()
        await asyncio.sleep(0.05)
        ears.close()

    asyncio.run(listen())
    return told


STOPPED = {"kind": "resource", "rsc": "web", "task": "stop", "node": "n1", "desc": "ok"}


def test_it_is_told_in_the_latest_incident(tmp_path: Path) -> None:
    ((name, tell),) = hear(tmp_path, lambda: alerts.send(tmp_path, STOPPED), {"web": 7})
    assert (name, tell.message, tell.detail, tell.incident) == ("web", "cluster-decided", "stop on n1: ok", 7)


def test_what_is_not_ours_is_not_told(tmp_path: Path) -> None:
    assert hear(tmp_path, lambda: alerts.send(tmp_path, STOPPED), {"other": 7}) == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kind": 1}', b"\xff", b'{"kind": {}}', b"x" * 9000, b"[" * 5000])
def test_garbage_is_not_heard(data: bytes, tmp_path: Path) -> None:
    def say() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(data, alerts.address(tmp_path))

    assert hear(tmp_path, say, {"web": 1}) == []


def test_without_a_daemon_an_alert_costs_nothing(tmp_path: Path) -> None:
    assert not alerts.send(tmp_path, STOPPED)
    assert not alerts.send(tmp_path, {})


def test_a_second_listener_is_told_and_does_no_harm(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(alerts.address(tmp_path))
        ((name, tell),) = hear(tmp_path, lambda: None, {})
    assert (name, tell.message) == ("", "sensor-lost")


def test_the_place_may_be_as_long_as_it_likes() -> None:
    assert len(alerts.address(Path("/" + "x" * 500))) <= 107
    assert os.geteuid() >= 0
