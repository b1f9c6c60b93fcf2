"""What a node of namespaces has of this machine's file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagrant.namespaces import node


def test_a_file_system_of_its_own_is_seen_in_a_node_and_what_the_node_writes_there_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted: list[tuple[str, str]] = []
    monkeypatch.setenv("LAB_CHECKOUT", str(tmp_path))
    monkeypatch.setattr(node.os.path, "ismount", lambda path: path in ("/var", "/var/log"))
    monkeypatch.setattr(node, "mount", lambda _, where, options="": mounted.append((str(where), options)))
    for other in ("bind", "devices", "proc"):
        monkeypatch.setattr(node, other, lambda *_: None)
    root = node.filesystems(tmp_path)
    overlays = [(where, options.split(",")[:2]) for where, options in mounted if options.startswith("lowerdir")]
    assert overlays == [
        (str(root), ["lowerdir=/", f"upperdir={tmp_path}/upper"]),
        (f"{root}/var", ["lowerdir=/var", f"upperdir={tmp_path}/upper/var"]),
        (f"{root}/var/log", ["lowerdir=/var/log", f"upperdir={tmp_path}/upper/var/log"]),
    ]
    assert (tmp_path / "upper/var/log").is_dir()
