"""The machine's tables, read from files as the kernel writes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster_glue.recovery.sensors.conditions import Reading
from cluster_glue.recovery.sensors.counters import Counters
from cluster_glue.recovery.thresholds import Thresholds
from ocf.faults import Kind

FILES = {
    "net/sockstat": "sockets: used 21\nTCP: inuse 5 orphan 0 tw 7 alloc 5 mem 311\nUDP: inuse 0 mem 0\n",
    "net/sockstat6": "TCP6: inuse 3\nUDP6: inuse 0\n",
    "net/netstat": "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\nIpExt: In\nIpExt: 0\n",
    "sys/net/netfilter/nf_conntrack_count": "10\n",
    "sys/net/netfilter/nf_conntrack_max": "1000\n",
    "sys/fs/file-nr": "752\t0\t2466183\n",
    "sys/net/ipv4/tcp_mem": "287901\t383869\t575802\n",
    "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "sys/kernel/threads-max": "192731\n",
    "sys/kernel/pid_max": "32768\n",
    "loadavg": "1.16 1.71 1.57 2/106 2684\n",
}


@contextmanager
def counters(folder: Path, **changed: str) -> Iterator[Counters]:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed.get(path.name, text))
    made = Counters(folder)
    made.look()
    yield made
    made.close()


def readings(made: Counters) -> dict[str, Reading]:
    return {each.key: each for each in made.readings(Thresholds())}


def test_counters_are_read_by_name(tmp_path: Path) -> None:
    with counters(tmp_path) as made:
        assert made.sockets["inuse"] == 8
        assert made.sockets["tw"] == 7
        assert made.listen == {"ListenOverflows": 22, "ListenDrops": 333}
        assert made.port_range() == (32768, 60999)


def test_a_machine_at_rest_is_far_from_every_limit(tmp_path: Path) -> None:
    with counters(tmp_path) as made:
        assert all(each.value < 5 for each in readings(made).values())
        assert len(readings(made)) == 4


@pytest.mark.parametrize(
    ("name", "text", "cause", "sysctl"),
    [
        ("nf_conntrack_count", "999\n", "conntrack-full", "nf_conntrack_max to 2000"),
        ("file-nr", "960 0 1000\n", "file-table-full", "fs.file-max to 2000"),
        ("sockstat", "TCP: inuse 5 orphan 0 tw 7 alloc 5 mem 575000\n", "tcp-memory-full", "tcp_mem"),
        ("loadavg", "1.0 1.0 1.0 2/32000 2684\n", "tasks-exhausted", "kernel.pid_max to 65536"),
    ],
)
def test_a_full_table_is_the_hosts_fault_and_names_its_sysctl(
    tmp_path: Path, name: str, text: str, cause: str, sysctl: str
) -> None:
    with counters(tmp_path, **{name: text}) as made:
        full = readings(made)[cause]
        assert full.value >= full.error
        assert full.fault.kind is Kind.HOST
        assert sysctl in full.fault.advice
        assert full.patience is None


def test_what_the_kernel_does_not_have_is_left_out(tmp_path: Path) -> None:
    with counters(tmp_path) as made:
        pass
    made = Counters(tmp_path / "nowhere")
    made.look()
    assert made.readings(Thresholds()) == []
    assert made.problem == ""


@pytest.mark.parametrize("text", ["", "TcpExt: A B\n", "TcpExt:\nTcpExt:\n", "\0\n"])
def test_a_strange_netstat_gives_no_counters(tmp_path: Path, text: str) -> None:
    with counters(tmp_path, netstat=text) as made:
        assert made.listen == {}


def test_this_machine_has_sockets() -> None:
    made = Counters()
    made.look()
    assert {"inuse", "tw", "mem"} <= made.sockets.keys()
    assert "ListenOverflows" in made.listen
    made.close()
