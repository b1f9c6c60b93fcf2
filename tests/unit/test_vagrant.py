"""What Vagrant is given can be understood, by Vagrant and by the shells, and refuses what cannot be made."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

VAGRANT = Path(__file__).resolve().parents[2] / "vagrant"
#: Where Debian's packages say that Vagrant has a provider; VirtualBox's comes with Vagrant and needs the program.
PLUGINS = Path("/usr/share/vagrant-plugins/plugins.d")


def scripts(*shells: str) -> list[Path]:
    """The scripts below ``vagrant`` that begin with one of these words."""
    return [
        path for path in sorted(VAGRANT.rglob("*")) if path.is_file() and path.read_bytes().startswith(_heads(shells))
    ]


def _heads(shells: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(f"#!/bin/{shell}\n".encode() for shell in shells)


def installed(provider: str) -> bool:
    """Whether Vagrant can make machines of that kind here."""
    if provider == "virtualbox":
        return shutil.which("VBoxManage") is not None
    return (PLUGINS / f"vagrant-{provider}.json").exists()


def vagrant(place: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Vagrant with a home of its own, asking nobody outside."""
    if not shutil.which("vagrant"):
        pytest.skip("vagrant is not here: script/setup lab-lxc")
    own = {"VAGRANT_HOME": str(place / "home"), "VAGRANT_DOTFILE_PATH": str(place / "machines")}
    own |= {"VAGRANT_CWD": str(VAGRANT), "VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_NO_COLOR": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "VAGRANT_"))}
    return subprocess.run(
        ["vagrant", *words], env={**inherited, **own, **settings}, cwd=place, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("script", scripts("sh", "bash"), ids=lambda path: str(path.relative_to(VAGRANT)))
def test_each_script_is_understood_by_its_shell_and_by_shellcheck(script: Path) -> None:
    shell = script.read_text().splitlines()[0].removeprefix("#!/bin/")
    assert subprocess.run([shell, "-n", str(script)], capture_output=True, check=False).stderr == b""
    if shutil.which("shellcheck"):
        words = ["shellcheck", "--severity=warning", str(script)]
        checked = subprocess.run(words, capture_output=True, text=True, check=False)
        assert checked.stdout == ""


@pytest.mark.parametrize(
    "file", [VAGRANT / "Vagrantfile", *sorted(VAGRANT.glob("providers/*.rb"))], ids=lambda f: f.name
)
def test_each_file_of_vagrants_is_understood_by_ruby(file: Path) -> None:
    if not shutil.which("ruby"):
        pytest.skip("ruby is not here")
    assert subprocess.run(["ruby", "-wc", str(file)], capture_output=True, text=True, check=False).stderr == ""


#: Vagrant as far as its file needs it to say what it would give to a machine.
STAND_IN = """
module Vagrant
  module Errors
    class VagrantError < StandardError; end
  end
  def self.configure(_version); end
end
load ARGV.first
require "json"
"""
#: What a provider's file does with a machine: each call by its name, with what it was given.
CALLS = """
class Told < BasicObject
  def initialize(calls)
    @calls = calls
  end

  def method_missing(name, *words, **more)
    @calls << [name, *words, more]
    yield self, self if ::Kernel.block_given?
    self
  end
end
told = ARGV.drop(2).map do |name|
  [].tap { |calls| Lab.public_send(ARGV[1], Told.new(calls), name, Lab.number_of(name)) }
end
puts told.to_json
"""


def ruby(place: Path, program: str, *words: str, **settings: str) -> Any:
    """What a program prints, with what Vagrant's file defines."""
    if not shutil.which("ruby"):
        pytest.skip("ruby is not here")
    done = subprocess.run(
        ["ruby", "-e", STAND_IN + program, str(VAGRANT / "Vagrantfile"), *words],
        env={"PATH": os.environ["PATH"], **settings}, cwd=place, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_what_a_machine_is_provisioned_with_is_words(tmp_path: Path) -> None:
    settings = {"LAB_COUNT": "3", "LAB_FENCE": "sbd", "LAB_TOKEN": "700"}
    assert ruby(tmp_path, "puts Lab.settings.to_json", **settings) == {
        "LAB_NODES": "node1 node2 node3",
        "LAB_FENCE": "sbd",
        "LAB_SERVERS": "apache nginx",
        "LAB_CONFIGURE": "yes",
        "LAB_TOKEN": "700",
    }


@pytest.mark.parametrize(
    ("provider", "fence"), [("", "xvm"), ("libvirt", "xvm"), ("lxc", "lab"), ("virtualbox", "sbd")]
)
def test_machines_are_fenced_by_what_their_provider_has(provider: str, fence: str, tmp_path: Path) -> None:
    def fenced(**settings: str) -> str:
        settings |= {"VAGRANT_DOTFILE_PATH": str(tmp_path)}
        return str(ruby(tmp_path, "puts Lab.settings.to_json", **settings)["LAB_FENCE"])

    assert fenced(VAGRANT_DEFAULT_PROVIDER=provider) == fence
    if provider:
        (tmp_path / "machines/node1" / provider).mkdir(parents=True)
        (tmp_path / "machines/node1" / provider / "id").touch()
        assert fenced() == fence, "as they were made, when they are provisioned again"


def test_the_disk_by_which_virtualboxes_nodes_fence_is_made_once_and_given_to_each(tmp_path: Path) -> None:
    place = {"LAB_FENCE": "sbd", "VAGRANT_DOTFILE_PATH": str(tmp_path)}
    names = ("node1", "node2", "client")

    def disks() -> list[list[str]]:
        machines = ruby(tmp_path, CALLS, "virtualbox", *names, **place)
        return [[call[1][0] for call in calls if call[0] == "customize"] for calls in machines]

    assert disks() == [["createmedium", "modifymedium", "storageattach"], ["storageattach"], []]
    (tmp_path / "koboshi-lab-sbd.vdi").touch()
    assert disks() == [["storageattach"], ["storageattach"], []]


@pytest.mark.parametrize("provider", ["lxc", "libvirt", "virtualbox"])
def test_another_box_is_taken_by_name_or_as_a_file_for_each_provider(provider: str, tmp_path: Path) -> None:
    def boxes(**settings: str) -> dict[str, str]:
        calls = ruby(tmp_path, CALLS, provider, "node1", VAGRANT_DEFAULT_PROVIDER=provider, **settings)[0]
        return {call[0]: call[1] for call in calls if call[0] in ("box=", "box_url=")}

    file = tmp_path / "own.box"
    file.touch()
    assert boxes(LAB_BOX=str(file)) == {"box=": str(file), "box_url=": f"file://{file}"}
    assert boxes(LAB_BOX=str(file), LAB_ROOM=str(tmp_path)) == boxes(LAB_BOX=str(file))
    assert boxes(LAB_BOX="some/box") == {"box=": "some/box"}
    standard = {"box_url=": f"file://{tmp_path}/koboshi-lab-{provider}.box"}
    assert boxes(LAB_BOXES=str(tmp_path)) == ({"box=": "debian/bookworm64"} if provider == "virtualbox" else standard)


@pytest.mark.parametrize("provider", ["lxc", "libvirt", "virtualbox"])
def test_vagrant_accepts_its_file_for_each_provider_and_packs_koboshi_without_git(
    provider: str, tmp_path: Path
) -> None:
    if not installed(provider):
        pytest.skip(f"Vagrant's provider {provider} is not here")
    done = vagrant(tmp_path, "validate", VAGRANT_DEFAULT_PROVIDER=provider, LAB_COUNT="3")
    assert done.returncode == 0, done.stdout
    assert "validated successfully" in done.stdout
    with tarfile.open(tmp_path / "machines/koboshi.tar.gz") as packed:
        names = packed.getnames()
    needed = {"setup.cfg", "cluster_glue/daemon.py", "dist/systemd/koboshi.service", "vagrant/provision/machine.sh"}
    assert needed <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LAB_COUNT", "1", "a number from 2 to 8"),
        ("LAB_COUNT", "9", "a number from 2 to 8"),
        ("LAB_COUNT", "many", "a number from 2 to 8"),
        ("LAB_FENCE", "hope", "none of xvm, sbd, lab, none"),
        ("LAB_SERVERS", "apache,iis", "there is no iis; there are apache, nginx"),
        ("LAB_TOKEN", "5", "a number from 500 to 60000"),
        ("LAB_MEMORY", "64", "a number from 512 to 65536"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_in_one_sentence(
    name: str, value: str, sentence: str, tmp_path: Path
) -> None:
    done = vagrant(tmp_path, "status", **{name: value})
    assert done.returncode != 0
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith(f"{name}={value}")
    assert sentence in last
    assert "Vagrantfile" not in done.stdout  # nothing about Ruby and line numbers


def test_status_tells_what_can_be_chosen_and_needs_no_lab(tmp_path: Path) -> None:
    done = vagrant(tmp_path, "status", LAB_DIR=str(tmp_path / "none"), LAB_COUNT="3")
    assert done.returncode == 0, done.stdout
    assert "node3" in done.stdout
    told = done.stdout.partition("What can be chosen")[2]
    names = re.findall(r'"(LAB_\w+)" =>', (VAGRANT / "Vagrantfile").read_text().partition("def self.settings")[0])
    assert len(names) > 8
    for name in (*names, "VAGRANT_DEFAULT_PROVIDER"):
        assert re.search(rf"^  {name} ", told, re.MULTILINE), name


def test_what_vagrant_does_with_machines_it_does_in_their_room(tmp_path: Path) -> None:
    """A lab that Vagrant does not know is found all the same."""
    (tmp_path / "lab").mkdir()
    lab = {"provider": "namespaces", "pid": 0, "start": "", "nodes": 2}
    (tmp_path / "lab/lab.json").write_text(json.dumps(lab))
    done = vagrant(tmp_path, "ssh", "node1", LAB_DIR=str(tmp_path / "lab"))
    assert done.returncode == 1
    assert "is of namespaces, which Vagrant does not know: use script/lab" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ((), 2, "usage: vagrant/build-box"),
        (("--help",), 0, "usage: vagrant/build-box"),
        (("docker",), 2, "there is no form docker; there are lxc and libvirt"),
        (("lxc", "--output"), 2, "usage: vagrant/build-box"),
        (("lxc", "--release"), 2, "usage: vagrant/build-box"),
        (("lxc", "--release", "12"), 2, '"12" is no name of a release'),
    ],
)
def test_build_box_says_what_it_takes(words: tuple[str, ...], status: int, sentence: str) -> None:
    build = [str(VAGRANT / "build-box"), *words]
    done = subprocess.run(build, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status
    assert sentence in done.stdout + done.stderr
