"""The generated configuration, read by the tools that it is for: crmsh and pcs, without a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cluster_glue.config_model import ResourceConfig
from cluster_glue.connectors.clusterware import Sketch
from cluster_glue.connectors.pacemaker import CONNECTOR
from cluster_glue.recovery.policy import Policy
from tests.generated import assert_sound, write
from tests.house import ROOT

pytestmark = pytest.mark.live

HOSTILE = {"configfile": "/etc/a \"b\" c\\d $HOME `id` 'q';x.conf", "options": "-D A='1' --b <&>"}


def made(folder: Path, form: str) -> Path:
    sketch = Sketch(ResourceConfig("web--1", "apache", HOSTILE, Policy()), options={"form": form, "ip": "192.0.2.7"})
    for script in write(folder, CONNECTOR.scaffold(sketch)):
        assert_sound(script)
    return folder / f"web--1.{form}"


def read(cib: Path) -> tuple[dict[str, str], ElementTree.Element]:
    """The parameters of the resource as they arrived, and the constraints."""
    root = ElementTree.parse(cib).getroot()
    web = next(one for one in root.iter("primitive") if one.get("id") == "web--1")
    assert web.get("provider") == "koboshi"
    given = {pair.get("name", ""): pair.get("value", "") for pair in web.findall("instance_attributes/nvpair")}
    threshold = [pair.get("value") for pair in web.findall("meta_attributes/nvpair")]
    assert threshold == ["1"]
    (constraint,) = root.iter("rsc_location")
    assert constraint.get("rsc") == "web--1-group"
    return given, constraint


@pytest.mark.skipif(not shutil.which("crm"), reason="crmsh is not here")
def test_crmsh_takes_it_and_every_value_arrives_as_it_was(tmp_path: Path) -> None:
    cib = tmp_path / "cib.xml"
    shutil.copy(ROOT / "tests/samples/cib/two_nodes.xml", cib)
    env = {**os.environ, "CIB_file": str(cib), "HOME": str(tmp_path)}
    words = ["crm", "-F", "configure", "load", "update", str(made(tmp_path, "crm"))]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    given, constraint = read(cib)
    assert given == HOSTILE, done.stdout + done.stderr
    assert [one.get("operation") for one in constraint.iter("expression")] == ["defined", "eq"]
    assert {one.get("attribute") for one in constraint.iter("expression")} == {"koboshi-web--1"}


@pytest.mark.skipif(not shutil.which("pcs"), reason="pcs is not here")
def test_pcs_takes_it_and_every_value_arrives_as_it_was(tmp_path: Path) -> None:
    cib = tmp_path / "cib.xml"
    shutil.copy(ROOT / "tests/samples/cib/two_nodes.xml", cib)
    shim = tmp_path / "bin" / "pcs"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("pcs")} -f {cib} "$@" --force\n')
    shim.chmod(0o755)
    env = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    words = ["sh", str(made(tmp_path, "pcs"))]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    given, constraint = read(cib)
    assert given == HOSTILE
    assert [one.get("operation") for one in constraint.iter("expression")] == ["defined", "eq"]
