"""systemd as a keeper: process 1 of a systemd-nspawn container over this machine's own root, sharing its network.

The container lies on an overlay in a mount namespace of its own, so that nothing of it is left when its processes are
gone, but for empty control groups and a folder of nspawn's, which are noted for :func:`bench.stage.sweep`. Services are
of ``Type=exec`` in the foreground, the quickest kind, with ``KillMode=mixed`` as Debian's unit for Apache has it.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path

from bench import families
from bench.keepers import Keeper
from bench.stage import Unavailable, found, launch, reap
from resource_agents.processes import Identity, alive, look, send

_TARGET = """\
[Unit]
Description=The servers under test
DefaultDependencies=no
Wants={wants}
"""

_SERVICE = """\
[Unit]
DefaultDependencies=no
StartLimitIntervalSec=0
[Service]
Type=exec
ExecStart={line}
Restart=always
RestartSec=0
KillMode=mixed
"""

#: Mounts the overlay and becomes nspawn, in control groups of our own.
_BOOT = """\
set -e
for group in {groups}; do echo 0 >"$group/cgroup.procs"; done
mount -t tmpfs -o mode=755 tmpfs {mount}
mkdir -p {mount}/upper/etc/systemd/system {mount}/work {mount}/root
cp {units}/* {mount}/upper/etc/systemd/system/
mount -t overlay overlay -o lowerdir=/,upperdir={mount}/upper,workdir={mount}/work {mount}/root
exec {nspawn} --quiet --keep-unit --register=no --directory={mount}/root --machine={name} --bind={folder} \
    --console=pipe --link-journal=no --resolv-conf=off --timezone=off --boot -- --unit=bench.target
"""


class Systemd(Keeper):
    """systemd with ``Restart=always`` and ``RestartSec=0``."""

    name = "systemd"

    def start(self) -> Identity:
        if os.geteuid() != 0:
            raise Unavailable("systemd-nspawn needs root")
        nspawn, unshare = found("systemd-nspawn"), found("unshare")
        name = f"koboshi-bench-{os.getpid()}"
        groups = [group / name for group in _hierarchies()]
        outside = [*groups, Path("/run/systemd/nspawn/propagate") / name]
        (self.folder / "outside").write_text("".join(f"{path}\n" for path in outside))
        for group in groups:
            group.mkdir(exist_ok=True)
        units, mount, script = self.folder / "units", self.folder / "mount", self.folder / "boot.sh"
        mount.mkdir()
        units.mkdir()
        for number, site in enumerate(self.sites):
            (units / f"web{number}.service").write_text(_SERVICE.format(line=shlex.join(site.foreground)))
        wants = " ".join(f"web{number}.service" for number, _ in enumerate(self.sites))
        (units / "bench.target").write_text(_TARGET.format(wants=wants))
        words = {"mount": mount, "units": units, "nspawn": nspawn, "name": name, "folder": self.stage.folder}
        script.write_text(_BOOT.format(groups=" ".join(map(str, groups)), **words))
        return launch([unshare, "--mount", "--propagation", "private", "/bin/sh", str(script)], self.output)

    def close(self) -> None:
        """End the container by its first process: nspawn then clears up behind it by itself."""
        for process in list(families.descendants(self.process.pid)) if alive(self.process) else []:
            parent = look(process.ppid)
            if parent is not None and parent.identity == self.process:
                send(process.identity, 9)
        families.wait_dead([self.process], 10.0)
        super().close()
        reap()


def _hierarchies() -> list[Path]:
    """Our own group in the cgroup v2 hierarchy and in systemd's named one, whichever there are."""
    groups = {}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            number, controllers, path = line.split(":", 2)
            groups["cgroup2" if number == "0" else controllers] = path.strip("/")
    found_there = []
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            before, _, after = line.partition(" - ")
            kind = "cgroup2" if after.startswith("cgroup2 ") else "name=systemd" if "name=systemd" in after else ""
            if kind in groups:
                found_there.append(Path(before.split()[4]) / groups[kind])
    if not found_there:
        raise Unavailable("there is no control group hierarchy that systemd could use")
    return found_there
