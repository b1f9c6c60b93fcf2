"""Where koboshi keeps its things, and which directories it will not use."""

import os
import stat
from pathlib import Path

import pytest

from cluster_glue.places import PlaceError, config_file, control_socket, ensure, journal_file, runtime_dir, state_dir


def test_root_and_plain_users_have_their_own_places() -> None:
    assert [str(place({}, 0)) for place in (runtime_dir, state_dir, config_file)] == [
        "/run/koboshi",
        "/var/lib/koboshi",
        "/etc/koboshi/koboshi.toml",
    ]
    xdg = {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}
    assert [str(place(xdg, 7)) for place in (runtime_dir, state_dir, config_file)] == [
        "/run/user/7/koboshi",
        "/s/koboshi",
        "/c/koboshi/koboshi.toml",
    ]
    home = {"HOME": "/home/u"}
    assert [str(place(home, 7)) for place in (runtime_dir, state_dir, config_file)] == [
        "/tmp/koboshi-7",
        "/home/u/.local/state/koboshi",
        "/home/u/.config/koboshi/koboshi.toml",
    ]


@pytest.mark.parametrize("uid", [0, 7])
def test_each_place_can_be_named(uid: int) -> None:
    env = {"KOBOSHI_RUNTIME_DIR": "/a", "KOBOSHI_STATE_DIR": "/b", "KOBOSHI_CONFIG": "/c.toml", "XDG_RUNTIME_DIR": "/x"}
    assert [str(place(env, uid)) for place in (runtime_dir, state_dir, config_file)] == ["/a", "/b", "/c.toml"]
    assert (str(control_socket(env)), str(journal_file(env))) == ("/a/control.sock", "/b/journal.sqlite")


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    made = ensure(tmp_path / "one" / "two")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert ensure(made) == made


def test_a_directory_that_is_not_safely_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for name, words in (("file", "not a directory"), ("link", "not a directory"), ("open", "written by others")):
        with pytest.raises(PlaceError, match=words):
            ensure(tmp_path / name)
    with pytest.raises(PlaceError, match="cannot be made"):
        ensure(tmp_path / "file" / "below")


@pytest.mark.skipif(os.getuid() != 0, reason="gives a directory away")
def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(PlaceError, match="belongs to uid 65534"):
        ensure(tmp_path)
