"""koboshi without its diagnosis, to see what that costs an outage: ``python -P bench/undiagnosed.py run -c FILE``."""

from __future__ import annotations

import sys
from unittest.mock import patch

from cluster_glue.cli import main
from cluster_glue.diagnosis.desk import Diagnosis
from cluster_glue.recovery.model import Answered, Failed


async def _unexamined(_: Diagnosis, watch: object, event: Answered | Failed) -> Answered | Failed:  # noqa: ARG001
    return event


def _ignored(_: Diagnosis, *fall: object) -> None:
    """No evidence of this fall."""


if __name__ == "__main__":
    sys.argv[0] = "koboshi"
    with patch.object(Diagnosis, "examine", _unexamined), patch.object(Diagnosis, "_begin", _ignored):
        main()
