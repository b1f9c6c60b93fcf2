"""An address whose cable is out is known by the carrier of its interface, in whatever network namespace we are.

It is handed over only when the cable was in before, and no other address of the server can be reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="needs root (network namespaces)")]

ROOT = Path(__file__).resolve().parents[2]
LAID = """
import json, math, os, socket, subprocess, sys, types
sys.path.insert(0, sys.argv[1])

def ip(*words):
    subprocess.run(["ip", *words], check=True)

subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
ip("link", "set", "lo", "up")
"""
CARRIERS = """
from cluster_glue.recovery.sensors.links import Links

ip("link", "add", "inner", "type", "veth", "peer", "name", "outer")
ip("address", "add", "192.0.2.7/24", "dev", "inner")
ip("address", "add", "2001:db8::7/64", "dev", "inner", "nodad")
ip("link", "set", "inner", "up")
links, said = Links(), []
hosts = ("192.0.2.7", "2001:db8::7", "127.0.0.1", "198.51.100.1", "no address")
for state in ("down", "up", "down"):
    ip("link", "set", "outer", state)
    said.append([links.down(host) for host in hosts])
ip("address", "del", "192.0.2.7/24", "dev", "inner")
said.append([links.down("192.0.2.7")])
ip("link", "set", "inner", "down")
said.append([links.down("2001:db8::7")])
print(json.dumps(said))
"""
HANDED_OVER = """
from cluster_glue.recovery.sensors.listening import Listening
from resource_agents.listeners import listening
from resource_agents.layouts import Address, Layout
from resource_agents.thresholds import Thresholds

for number in (1, 2):
    ip("link", "add", f"inner{number}", "type", "veth", "peer", "name", f"outer{number}")
    ip("address", "add", f"192.0.2.{number}/32", "dev", f"inner{number}")
    ip("link", "set", f"inner{number}", "up")

def cables(*states):
    for number, state in enumerate(states, 1):
        ip("link", "set", f"outer{number}", state)

def serves(*hosts):
    held[:] = [socket.create_server((host, 80)) for host in hosts]
    addresses = tuple(Address(host, 80) for host in hosts)
    server = types.SimpleNamespace(layout=Layout(addresses=addresses), is_kin=lambda process: False)
    sensor = Listening(os.getpid(), lambda: server, lambda: [os.getpid()])
    assert not list(sensor.readings(server, list(listening()), Thresholds(), 0.0))
    return lambda: [(r.key, math.isfinite(r.error)) for r in sensor.left(server, Thresholds())]

held, said = [], {}
cables("up", "up")
look = serves("192.0.2.1", "127.0.0.1")
said["up"] = look()
cables("down", "up")
said["the only one"] = look()
held.clear()
look = serves("192.0.2.1", "127.0.0.1")
said["never seen up"] = look()
cables("up", "up")
said["seen up"] = look()
cables("down", "up")
said["seen up, then down"] = look()
held.clear()
cables("up", "up")
look = serves("192.0.2.1", "192.0.2.2")
said["both up"] = look()
cables("down", "up")
said["one of two"] = look()
cables("down", "down")
said["both of two"] = look()
print(json.dumps(said))
"""


def inside(script: str) -> Any:
    """What ``script`` says in JSON in a network namespace of its own."""
    unshared = ("unshare", "--net", "--mount", "--propagation", "private")
    done = subprocess.run(
        [*unshared, sys.executable, "-I", "-c", LAID + script, str(ROOT)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_cable_that_is_pulled_is_known_by_each_address_of_its_interface() -> None:
    pulled, plugged, again, without, off = inside(CARRIERS)
    assert pulled == again == ["inner", "inner", "", "", ""]
    assert plugged == ["", "", "", "", ""]
    assert without == [""]
    assert off == [""]


def test_a_lost_link_is_handed_over_when_it_was_there_and_nothing_else_of_the_server_is_reached() -> None:
    said, first, second = inside(HANDED_OVER), "link-lost 192.0.2.1", "link-lost 192.0.2.2"
    assert said["up"] == said["seen up"] == said["both up"] == []
    assert said["the only one"] == said["seen up, then down"] == [[first, True]]
    assert said["never seen up"] == [[first, False]], "what never had a carrier was not lost"
    assert said["one of two"] == [[first, False]], "the other address serves on"
    assert said["both of two"] == [[first, True], [second, True]]
