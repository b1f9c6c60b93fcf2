"""What a lab of virtual machines promises: Vagrant makes it, each has its own kernel, and nothing of it is ever left.

Minutes each where processors are emulated: run by ``script/test --lab libvirt``, or with ``LAB_PROVIDER=libvirt``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.leftovers import traces
from tests.waiting import eventually
from vagrant.lab.bringing_up import up
from vagrant.lab.cluster import Cluster
from vagrant.lab.machines import LabError
from vagrant.machines.libvirt import Domains

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.environ.get("LAB_PROVIDER") != "libvirt", reason="only on machines of libvirt's"),
]

#: Bounds of the README, in seconds, for a machine that has nothing else to do: the box included, and the end of it.
UP, DOWN = 600.0, 15.0


def boot(lab: Domains, node: str) -> str:
    """Which boot of ``node`` this is; empty while it cannot be asked."""
    try:
        done = lab.run(node, "cat /proc/sys/kernel/random/boot_id", 5)
    except LabError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def test_vagrant_makes_a_lab_of_virtual_machines_whose_switch_switches_and_leaves_nothing(tmp_path: Path) -> None:
    lab = Domains(tmp_path / "lab")
    before = traces(lab.directory)
    began = time.monotonic()
    try:
        up(lab, 2, print)
        print(f"up took {time.monotonic() - began:.1f} s of {UP:g} (load {os.getloadavg()[0]:.1f})")
        each_has_a_kernel_of_its_own(lab)
        a_cable_that_is_pulled_stays_pulled(lab)
        a_machine_that_stands_still_goes_on_where_it_stood(lab)
        a_machine_that_is_off_is_fenced_by_the_hypervisor(lab)
    finally:
        began = time.monotonic()
        assert lab.end()
        took = time.monotonic() - began
    assert took < DOWN
    eventually(lambda: not traces(lab.directory) - before, what=f"the end of {lab.directory}", every=0.2)
    assert before - traces(lab.directory) == set()
    assert not lab.directory.exists()


def each_has_a_kernel_of_its_own(lab: Domains) -> None:
    own = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len({own, boot(lab, "node1"), boot(lab, "node2")} - {""}) == 3
    assert lab.run("node1", "systemd-detect-virt --vm").returncode == 0
    assert lab.run("node1", "systemctl is-active koboshi corosync pacemaker").stdout.split() == ["active"] * 3
    assert lab.run("node1", ["printf", "%s", 'a\'b "c" $HOME']).stdout == 'a\'b "c" $HOME'


def a_cable_that_is_pulled_stays_pulled(lab: Domains) -> None:
    carrier = "cat /sys/class/net/eth2/carrier"
    assert lab.ask("cut node2 b") == "ok"
    eventually(lambda: lab.run("node2", carrier).stdout.strip() == "0", what="no carrier", every=0.2)
    assert lab.run("node2", "ip -br address show eth2").stdout.count("10.77.1.12/24") == 1
    assert lab.ask("mend node2 b") == "ok"
    eventually(lambda: lab.run("node2", carrier).stdout.strip() == "1", what="a carrier", every=0.2)


def a_machine_that_stands_still_goes_on_where_it_stood(lab: Domains) -> None:
    was = boot(lab, "node2")
    assert lab.ask("freeze node2") == "ok"
    assert lab.ask("status node2") == "on"
    assert lab.ask("thaw node2") == "ok"
    assert lab.ask("thaw node2") == "ok"
    eventually(lambda: boot(lab, "node2") == was, 60 * lab.pace, "node2 as it was", 0.5)


def a_machine_that_is_off_is_fenced_by_the_hypervisor(lab: Domains) -> None:
    was, since = boot(lab, "node2"), time.time()
    cluster = Cluster(lab)
    assert lab.ask("off node2") == "ok"
    assert lab.ask("status node2") == "off"
    with pytest.raises(LabError, match="is off"):
        lab.run("node2", "true")
    assert "corosync" in lab.read("node1", "/var/log/corosync/corosync.log").lower()
    eventually(
        lambda: any("of node2" in words for _, _, words in cluster.decisions(since)), 60 * lab.pace, "a fence", 1
    )
    assert lab.ask("on node2") == "ok"
    eventually(lambda: boot(lab, "node2") not in ("", was), 60 * lab.pace, "node2 after its boot", 0.5)
    eventually(lambda: sorted(cluster.online()) == ["node1", "node2"], 60 * lab.pace, "both in the cluster", 1)
