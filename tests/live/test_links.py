"""An address whose cable is out is known by the carrier of its interface, in whatever network namespace we are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="needs root (network namespaces)")]

ROOT = Path(__file__).resolve().parents[2]
INSIDE = """
import json, subprocess, sys
sys.path.insert(0, sys.argv[1])
from cluster_glue.recovery.sensors.links import Links

def ip(*words):
    subprocess.run(["ip", *words], check=True)

mount = subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
ip("link", "set", "lo", "up")
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


def test_a_cable_that_is_pulled_is_known_by_each_address_of_its_interface() -> None:
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-I", "-c", INSIDE, str(ROOT)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    pulled, plugged, again, without, off = json.loads(done.stdout)
    assert pulled == again == ["inner", "inner", "", "", ""]
    assert plugged == ["", "", "", "", ""]
    assert without == [""]
    assert off == [""]
