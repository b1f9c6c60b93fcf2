"""What a person hears who asks script/lab for VirtualBox."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagrant.lab.machines import LabError
from vagrant.lab.providers import named


def test_a_lab_of_virtualbox_is_refused_with_what_to_do_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lab = named("virtualbox", tmp_path / "lab")
    with pytest.raises(LabError, match=r"not installed here .* vagrant up --provider virtualbox"):
        lab.begin(2, print)
    tool = tmp_path / "VBoxManage"
    tool.touch(mode=0o755)
    with pytest.raises(LabError, match="vagrant up --provider virtualbox"):
        lab.begin(2, print)
    with pytest.raises(LabError, match="there is no lab"):
        lab.run("node1", "true")
    assert not lab.exists() and not lab.end()
    assert not (tmp_path / "lab").exists()
