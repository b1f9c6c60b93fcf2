"""The conformance kit passes for every agent of ours, on real servers, with and without the daemon."""

from __future__ import annotations

import asyncio

import pytest

from cluster_glue.ocf_check.namespaces import play_all
from cluster_glue.ocf_check.registry import every_case
from tests.ocf_stage import MAKERS, ROOT, resource

pytestmark = [pytest.mark.live, pytest.mark.skipif(not ROOT, reason="needs root and namespaces")]

#: What cannot be played, and why: no file to break or no pid file that would be believed, no workers to freeze.
NO_FILE = {"broken-configuration-stop", "missing-configuration-stop", "broken-configuration-monitor",
           "missing-configuration-probe", "syntax-error-start", "exit-reason"}  # fmt: skip
NO_PIDFILE = {"pidfile-names-bystander", "pidfile-blocks-start", "pidfile-garbage", "pidfile-emptied",
              "pidfile-removed"}  # fmt: skip
NO_WORKERS = {"orphans", "frozen-workers-monitor", "frozen-workers-stop"}
SKIPPED = {
    "apache": set(),
    "nginx": set(),
    "haproxy": NO_PIDFILE | {"orphans"},  # its worker ends with the master
    "lighttpd": NO_WORKERS,
    "tomcat": NO_WORKERS | NO_PIDFILE | {"stop-without-software"},
    "command": NO_FILE | NO_PIDFILE | {"stop-without-software"},
    "zeus": NO_FILE,
    "sunone": set(),
}  # fmt: skip

#: Agents that are played again with the daemon turned off.
ALONE = ("apache", "nginx")


@pytest.mark.parametrize(
    ("agent", "recovery"), [*((agent, "true") for agent in MAKERS), *((agent, "false") for agent in ALONE)]
)
def test_every_case_of_the_conformance_kit_passes(agent: str, recovery: str) -> None:
    with resource(agent) as made:
        subject = made.subject(local_recovery=recovery)
        outcomes = asyncio.run(play_all(subject, every_case().values(), jobs=2))
    failed = {outcome.case: outcome.seen for outcome in outcomes if outcome.verdict == "failed"}
    skipped = {outcome.case for outcome in outcomes if outcome.verdict == "skipped"}
    assert failed == {}
    assert skipped <= SKIPPED[agent]
