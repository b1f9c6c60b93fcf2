"""CONTRIBUTING's recipe for a new web server, carried out on a copy of the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ocf.programs import PLAIN_ENVIRONMENT, Finished, run
from tests.house import RECIPE_AGENT, ROOT, blocks, text_of
from tests.ports import free_port
from tests.waiting import eventually


@pytest.fixture
def copy_with_recipe(tmp_path: Path) -> Path:
    """A copy of the tree, with nothing new in it but the one file of the recipe."""
    page = text_of("CONTRIBUTING.rst")
    named = re.search(r"``(resource_agents/\w+\.py)``:\n\n\.\. code-block:: python\n", page)
    assert named, "CONTRIBUTING.rst does not say which file to write"
    copy = tmp_path / "copy"
    for name in ("ocf", "resource_agents", "cluster_glue"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "ruff.toml"):
        shutil.copy(ROOT / name, copy / name)
    target = copy / named[1]
    assert not target.exists(), f"{named[1]} is there already: the recipe is no longer one"
    target.write_text(blocks(page, "python")[0], encoding="utf-8")
    return copy


def in_copy(copy: Path, *argv: str) -> Finished:
    """Run a program of ours as if the copy were the checkout."""
    return run([sys.executable, "-P", *argv], 180.0, {**PLAIN_ENVIRONMENT, "PYTHONPATH": str(copy)}, cwd=str(copy))


def test_the_recipe_for_a_web_server_touches_no_list(copy_with_recipe: Path) -> None:
    program = (
        "import resource_agents.server as server\n"
        f"assert server.__file__.startswith({str(copy_with_recipe)!r}), server.__file__\n"
        f"assert {RECIPE_AGENT!r} in server.names(), server.names()\n"
        f"agent = server.load({RECIPE_AGENT!r})({{'directory': '/srv', 'port': ' 8080 '}}, 'files')\n"
        "assert agent.values['port'] == '8080' and agent.values['python'] == '/usr/bin/python3'\n"
        "assert [address.port for address in agent.layout.addresses] == [8080]\n"
        "fault = agent.explain(['OSError: [Errno 98] Address already in use'], 'it did not start')\n"
        "assert fault.cause == 'port-taken'\n"
        "for wrong in ({}, {'directory': '/srv', 'port': 'http'}, {'directory': '/srv', 'prot': '1'}):\n"
        "    try:\n"
        f"        server.load({RECIPE_AGENT!r})(wrong, 'files')\n"
        "    except server.ParameterError:\n"
        "        continue\n"
        "    raise AssertionError(wrong)\n"
    )
    tried = in_copy(copy_with_recipe, "-c", program)
    assert tried.ok, tried.output


def test_the_recipe_s_file_is_clean(copy_with_recipe: Path) -> None:
    file = f"resource_agents/{RECIPE_AGENT}.py"
    for argv in (
        ["-m", "ruff", "check", "--no-cache", file],
        ["-m", "ruff", "format", "--no-cache", "--check", file],
        ["-m", "mypy", "--cache-dir", str(copy_with_recipe / "cache"), file],
    ):
        checked = in_copy(copy_with_recipe, *argv)
        assert checked.ok, checked.output


def test_the_recipe_s_configuration_is_accepted(copy_with_recipe: Path, tmp_path: Path) -> None:
    [sample] = blocks(text_of("CONTRIBUTING.rst"), "toml")
    (tmp_path / "koboshi.toml").write_text(sample)
    command = "from cluster_glue.cli import main; main()"
    accepted = in_copy(copy_with_recipe, "-c", command, "check-config", str(tmp_path / "koboshi.toml"))
    assert accepted.ok, accepted.output


def test_the_recipe_s_server_starts_and_is_known(copy_with_recipe: Path, tmp_path: Path) -> None:
    port = free_port()
    program = (
        "import sys, resource_agents.server as server\n"
        f"agent = server.load({RECIPE_AGENT!r})({{'directory': {str(tmp_path)!r}, 'port': '{port}',"
        " 'python': sys._base_executable}, 'files')\n"
        "print('\\0'.join(agent.start_command().argv), end='')\n"
    )
    argv = in_copy(copy_with_recipe, "-c", program).output.split("\0")
    known = (
        "import resource_agents.server as server, resource_agents.processes as processes\n"
        f"agent = server.load({RECIPE_AGENT!r})({{'directory': {str(tmp_path)!r}, 'port': '{port}',"
        f" 'python': {argv[0]!r}}}, 'files')\n"
        "print([process.pid for process in processes.everyone() if agent.is_main(process)])\n"
    )
    web = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = eventually(
            lambda: f"[{web.pid}]" == in_copy(copy_with_recipe, "-c", known).output.strip(), what="the server is known"
        )
        assert found
    finally:
        web.send_signal(signal.SIGKILL)
        web.wait()


def test_the_recipe_s_server_gets_back_up(copy_with_recipe: Path, tmp_path: Path) -> None:
    """The whole of koboshi with the new server, and nothing else written."""
    sample = blocks(text_of("CONTRIBUTING.rst"), "toml")[0]
    sample = sample.replace('"/srv/files"', f'"{tmp_path}"').replace("8000", str(free_port()))
    config = tmp_path / "koboshi.toml"
    config.write_text(f'[koboshi]\nsyslog = ""\n{sample}')
    env = {**PLAIN_ENVIRONMENT, "PYTHONPATH": str(copy_with_recipe)}
    env |= {"KOBOSHI_RUNTIME_DIR": str(tmp_path / "r"), "KOBOSHI_STATE_DIR": str(tmp_path / "s")}
    command = [sys.executable, "-P", "-c", "from cluster_glue.cli import main; main()"]

    def koboshi(*words: str) -> Finished:
        return run([*command, *words], 60.0, env, cwd=str(copy_with_recipe))

    def up_with(restarts: int) -> dict[str, Any] | None:
        answer = koboshi("status", "--json", "files")
        resource: dict[str, Any] = json.loads(answer.output)["resources"][0] if answer.ok else {}
        return resource if resource.get("phase") == "up" and resource.get("restarts") == restarts else None

    daemon = subprocess.Popen(
        [*command, "run", "-c", str(config)], env=env, cwd=copy_with_recipe, stdin=subprocess.DEVNULL
    )
    try:
        before = eventually(lambda: up_with(0), what="the server is up")
        os.kill(before["main_pid"], signal.SIGKILL)
        after = eventually(lambda: up_with(1), what="the server is up again")
        assert after["main_pid"] != before["main_pid"]
        assert "SIGKILL" in koboshi("why").output
    finally:
        stopped = koboshi("stop", "files")
        daemon.terminate()
        daemon.wait(30)
    assert stopped.ok, stopped.output
