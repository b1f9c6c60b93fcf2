"""Releases 6.0 and 6.1 of Sun ONE, as far as their manuals tell. See tests/stand_ins/README.rst."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stand_ins.sunone.running import instances, make
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


@pytest.mark.parametrize(
    ("release", "names"), [("6.0", ("uxwdog", "ns-httpd")), ("6.1", ("webservd-wdog", "webservd"))]
)
def test_the_layout_of_release_6_is_found_by_itself(release: str, names: tuple[str, str]) -> None:
    with instances(release) as product:
        server = make(product)
        server.start()
        assert server.watchdog.argv == (names[0], "-d", f"{server.directory}/config")
        assert server.worker.argv[0] == names[1]
        layout = server.server.layout
        assert (layout.pidfile, layout.user) == (f"{server.directory}/logs/pid", "root")
        assert [str(address) for address in layout.addresses] == [f"127.0.0.1:{server.port}"]
        assert Path(layout.pidfile).read_text().strip() == str(server.watchdog.pid)
        assert server.server.check_command() is None and server.server.reload_command() is None
        assert server.server.programs == {f"{product.root}/bin/https/bin/{name}" for name in names}
        before = server.primordial.pid
        assert server.script("restart").status == 0
        eventually(lambda: server.family().workers and server.primordial.pid != before, what="a new primordial")
        assert server.answer(timeout=20) == 200
        assert server.script("stop").status == 0
        assert server.family().watchdog is None
