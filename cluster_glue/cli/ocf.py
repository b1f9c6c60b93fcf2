"""``koboshi install-agents``, and ``koboshi ocf-check``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cluster_glue.cli.failure import FAILED, Failure
from cluster_glue.ocf_check.agent import OCF_ROOT
from cluster_glue.ocf_check.command import ocf_check

DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command("install-agents")
@click.option("--ocf-root", type=DIRECTORY, default=OCF_ROOT, show_default=True, help="Where Pacemaker looks.")
@click.option("--destdir", type=DIRECTORY, default="/", show_default=True, help="Install below it, for a package.")
@click.option("--remove", is_flag=True, help="Take away what was installed.")
def install_agents(ocf_root: Path, destdir: Path, remove: bool) -> None:
    """Put the OCF agents where Pacemaker looks.

    They are ocf:koboshi:apache and so on. Install them again after koboshi or Python was upgraded.
    """
    from cluster_glue import ocf_install

    try:
        if remove:
            ocf_install.remove(ocf_root.absolute(), destdir.absolute())
            return
        for path in ocf_install.install(ocf_root.absolute(), destdir.absolute()):
            click.echo(str(path))
    except OSError as error:
        remedy = "run it as root, or name another --ocf-root or --destdir"
        raise Failure(FAILED, f"{error.filename}: {error.strerror}", remedy) from None


COMMANDS: Final = (install_agents, ocf_check)
