"""A monitor that may answer "stopped" without a full look does so only when that is beyond doubt."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resource_agents import absent

TRUE = b"/bin/true"


def env(tmp_path: Path, **more: bytes) -> dict[bytes, bytes]:
    given = {b"KOBOSHI_RUNTIME_DIR": os.fsencode(tmp_path), b"OCF_RESOURCE_INSTANCE": b"web"}
    return given | {name.encode(): value for name, value in more.items()}


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees all programs")


@root
def test_nothing_speaks_of_it_and_nothing_runs_so_it_is_stopped(tmp_path: Path) -> None:
    assert absent.certain(env(tmp_path), [b"no-such-program-"], b"httpd")


@root
def test_a_program_that_could_be_its_own_makes_it_uncertain(tmp_path: Path) -> None:
    own = os.fsencode(os.path.basename(os.path.realpath(sys.executable)))[:5]
    assert not absent.certain(env(tmp_path), [own], b"httpd")


@root
def test_a_program_named_by_the_parameter_counts_at_the_end_of_its_links(tmp_path: Path) -> None:
    link = tmp_path / "server"
    link.symlink_to(os.path.realpath(sys.executable))
    assert not absent.certain(env(tmp_path, OCF_RESKEY_httpd=os.fsencode(link)), [b"no-such-"], b"httpd")
    assert absent.certain(env(tmp_path, OCF_RESKEY_httpd=TRUE), [b"no-such-"], b"httpd")


@root
def test_a_script_as_program_says_nothing(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    assert not absent.certain(env(tmp_path, OCF_RESKEY_httpd=os.fsencode(script)), [b"no-such-"], b"httpd")


@root
@pytest.mark.parametrize("trace", ["ocf/web@1a.json", "resources/web.json"])
def test_a_mandate_or_a_memory_makes_it_uncertain(tmp_path: Path, trace: str) -> None:
    path = tmp_path / trace
    path.parent.mkdir()
    path.write_text("{}", encoding="ascii")
    assert not absent.certain(env(tmp_path), [b"no-such-"], b"httpd")
    assert absent.certain(env(tmp_path) | {b"OCF_RESOURCE_INSTANCE": b"we"}, [b"no-such-"], b"httpd")


@root
def test_a_deeper_monitor_and_a_strange_name_get_the_full_look(tmp_path: Path) -> None:
    assert not absent.certain(env(tmp_path, OCF_CHECK_LEVEL=b"10"), [b"no-such-"], b"httpd")
    assert not absent.certain(env(tmp_path) | {b"OCF_RESOURCE_INSTANCE": b"a/b"}, [b"no-such-"], b"httpd")


def test_what_is_uncertain_is_carried_out_whole(tmp_path: Path) -> None:
    given = {
        "KOBOSHI_RUNTIME_DIR": str(tmp_path),
        "OCF_RESOURCE_INSTANCE": "web",
        "OCF_RESKEY_start_command": "/bin/true x",
    }
    argv = [sys.executable, "-I", "-S", absent.__file__, "command", "", "", "monitor"]
    done = subprocess.run(argv, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (7, "")
