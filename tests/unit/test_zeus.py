"""The zeus agent without a server: what it reads, and what can be overridden."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocf.declarations import ParameterError
from resource_agents.layouts import Address
from resource_agents.parsing import zeus_config
from resource_agents.processes import Process
from resource_agents.server import load
from resource_agents.zeus import Zeus

SITE = "modules!access!enabled no\naddress 10.0.0.1\nport 8080\ndocroot /www\n"


def site(home: Path, name: str, text: str) -> None:
    path = home / "web/conf/runningsites" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def process(exe: str, ppid: int = 1, pid: int = 4000000, leader: bool = True) -> Process:
    """A process that is not on this machine: its number is above the kernel's limit, or it is given."""
    group = pid if leader else 3999999
    return Process(pid, 1, ppid, group, group, "S", exe, (exe.rpartition("/")[2],), 0)


def test_running_sites_say_where_it_listens(tmp_path: Path) -> None:
    site(tmp_path, "b", "port 8443\nsecurity!enabled yes\n")
    site(tmp_path, "a", SITE)
    layout = Zeus({"zeushome": str(tmp_path)}).layout
    assert layout.addresses == (Address("10.0.0.1", 8080), Address("", 8443, tls=True))
    assert layout.request is not None and layout.request.url == "http://10.0.0.1:8080/"
    assert layout.error_log == f"{tmp_path}/web/log/errors"
    assert f"{tmp_path}/web/conf/runningsites/a" in layout.files


@pytest.mark.parametrize("made", [False, True])
def test_no_running_site_means_nothing_to_ask(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "web/conf/runningsites").mkdir(parents=True)
    layout = Zeus({"zeushome": str(tmp_path)}).layout
    assert (layout.addresses, layout.request) == ((), None)


def test_the_port_can_be_said_where_the_files_do_not_tell(tmp_path: Path) -> None:
    site(tmp_path, "a", "whatever 80\n")
    layout = Zeus({"zeushome": str(tmp_path), "port": "8080"}).layout
    assert layout.addresses == (Address("", 8080),)
    assert layout.request is not None and layout.request.url == "http://127.0.0.1:8080/"


def test_the_keys_of_a_site_can_be_said(tmp_path: Path) -> None:
    site(tmp_path, "a", "net!bind 10.1.1.1\nnet!port 81\n")
    server = Zeus({"zeushome": str(tmp_path), "address_keys": "net!bind", "port_keys": "net!port"})
    assert server.layout.addresses == (Address("10.1.1.1", 81),)


def test_lines_that_are_no_pairs_are_borne(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("\n# comment 1\nflag\nport 80\n")
    assert zeus_config.read_site(path) == {"flag": "", "port": "80"}


def test_scripts_are_those_of_zeushome_unless_said(tmp_path: Path) -> None:
    server = Zeus({"zeushome": str(tmp_path)})
    assert server.start_command().argv == (f"{tmp_path}/start-zeus",)
    assert server.start_command().env["ZEUSHOME"] == str(tmp_path)
    stop = server.stop_command()
    assert stop is not None and stop.argv == (f"{tmp_path}/stop-zeus",)
    assert server.reload_command() is None
    other = Zeus({"zeushome": str(tmp_path), "start_cmd": "/s x", "stop_cmd": "none", "restart_cmd": "/r"})
    reload = other.reload_command()
    assert other.start_command().argv == ("/s", "x") and other.stop_command() is None
    assert reload is not None and reload.argv == ("/r",)


def test_the_parent_is_a_topmost_program_of_this_zeushome(tmp_path: Path) -> None:
    server = Zeus({"zeushome": str(tmp_path)})
    ours = f"{tmp_path}/web/bin/zeus.web"
    assert server.is_main(process(ours))
    assert server.is_main(process(f"{tmp_path}/zxtm/bin/zeus.zxtm"))
    assert not server.is_main(process(ours, leader=False)), "an orphaned child leads nothing"
    assert not server.is_main(process("/elsewhere/web/bin/zeus.web"))
    assert not server.is_main(process(f"{tmp_path}2/web/bin/zeus.web"))
    assert not server.is_main(process(f"{tmp_path}/web/bin/zeus.webadmin"))


def test_the_pid_file_may_name_a_parent_that_leads_nothing(tmp_path: Path) -> None:
    (tmp_path / "web/internal").mkdir(parents=True)
    (tmp_path / "web/internal/pid").write_text("4000000 zeus.web 4.3\n")
    server = Zeus({"zeushome": str(tmp_path)})
    assert server.is_main(process(f"{tmp_path}/web/bin/zeus.web", leader=False))


def test_helpers_are_kin_and_the_administration_server_is_not(tmp_path: Path) -> None:
    server = Zeus({"zeushome": str(tmp_path)})
    assert server.is_kin(process(f"{tmp_path}/web/bin/zeus.statd"))
    assert not server.is_main(process(f"{tmp_path}/web/bin/zeus.statd"))
    assert not server.is_kin(process(f"{tmp_path}/admin/bin/zeus.admin"))


def test_program_names_can_be_said(tmp_path: Path) -> None:
    server = Zeus({"zeushome": str(tmp_path), "process_pattern": "webd"})
    assert server.is_main(process(f"{tmp_path}/bin/webd"))


def test_a_pattern_that_is_none_is_refused(tmp_path: Path) -> None:
    server = Zeus({"zeushome": str(tmp_path), "process_pattern": "("})
    with pytest.raises(ParameterError, match="regular expression"):
        server.is_kin(process("/x"))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("[22/Nov/2026:10:00:00 +0000] FATAL:out of everything", "fatal"),
        ("[22/Nov/2026:10:00:00 +0000] SERIOUS:CGId:cannot fork", "helper-process-failure"),
        ("[22/Nov/2026:10:00:00 +0000] SERIOUS:www:bind: Address already in use", "port-taken"),
    ],
)
def test_known_lines_are_named(line: str, cause: str) -> None:
    fault = Zeus({}).explain([line], "start failed")
    assert fault is not None and fault.cause == cause


def test_the_default_home_is_the_published_one() -> None:
    assert load("zeus") is Zeus
    assert Zeus({}).start_command().argv == ("/usr/local/zeus/start-zeus",)


def test_unverified_facts_say_so() -> None:
    unverified = {p.name for p in Zeus.parameters if "Not verified" in p.long}
    assert {"process_pattern", "pidfile", "address_keys", "port_keys"} <= unverified
