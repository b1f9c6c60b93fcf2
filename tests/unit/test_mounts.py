"""What is mounted read-only, by the kernel's own table and by a look at what the table names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocf.faults import Kind
from resource_agents.mounts import read_only, real

READ_ONLY = next(
    (
        words[4]
        for words in (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
        if "ro" in words[5].split(",") and Path(words[4]).is_dir()
    ),
    "",
)


def test_what_can_be_written_to_is_no_fault(tmp_path: Path) -> None:
    assert read_only(real([str(tmp_path / "error.log"), "relative", ""])) is None


@pytest.mark.skipif(not READ_ONLY, reason="this machine has no directory that is mounted read-only")
def test_what_the_kernel_mounted_read_only_is_the_machines_fault() -> None:
    fault = read_only([f"{READ_ONLY}/error.log"])
    assert fault is not None
    assert (fault.cause, fault.kind) == ("disk-read-only", Kind.HOST)
    assert READ_ONLY in fault.reason and "error.log" in fault.reason


def test_a_table_that_is_wrong_about_a_place_proves_nothing(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"20 1 0:1 / {tmp_path} ro,relatime - tmpfs none ro\n")
    assert read_only([str(tmp_path / "error.log")], str(table)) is None


@pytest.mark.skipif(not READ_ONLY, reason="this machine has no directory that is mounted read-only")
def test_of_several_mounts_the_nearest_and_latest_counts(tmp_path: Path) -> None:
    table, place = tmp_path / "mountinfo", f"{READ_ONLY}/error.log"
    above = "1 0 0:1 / / ro - ext4 /dev/sda1 ro\n"
    table.write_text(f"{above}20 1 0:1 / {READ_ONLY} ro - tmpfs none rw\n21 20 0:1 / {READ_ONLY} rw - tmpfs none rw\n")
    assert read_only([place], str(table)) is None
    table.write_text(f"{above}20 1 0:1 / {READ_ONLY} rw - tmpfs none ro\n")
    fault = read_only([place], str(table))
    assert fault is not None and fault.proof == f"tmpfs of none on {READ_ONLY}"


def test_a_device_can_be_written_to_wherever_it_is(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 0 0:1 / / ro - ext4 /dev/sda1 ro\n")
    assert read_only(["/dev/null"], str(table)) is None


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 2 3 - \n", "20 1 0:1 / /a\\040b ro - x\n", "\xff\x00 - - -\n"])
def test_a_table_that_cannot_be_read_proves_nothing(tmp_path: Path, text: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(text.encode("latin-1"))
    assert read_only(["/var/log/x"], str(table)) is None
    assert read_only(["/var/log/x"], str(tmp_path / "absent")) is None
