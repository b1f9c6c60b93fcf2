"""What Pacemaker's scheduler plans for each exit code of ours is what the table of conditions says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ocf.conditions import CONDITIONS, Condition
from ocf.programs import run

CRM_SIMULATE = shutil.which("crm_simulate", path="/usr/sbin:/usr/bin")

pytestmark = [pytest.mark.live, pytest.mark.skipif(CRM_SIMULATE is None, reason="crm_simulate is not installed")]

CIB = """<cib crm_feature_set="3.10.0" validate-with="pacemaker-3.4" epoch="1" num_updates="0" admin_epoch="0"
     have-quorum="1">
  <configuration>
    <crm_config>
      <cluster_property_set id="p"><nvpair id="p-s" name="stonith-enabled" value="{fencing}"/></cluster_property_set>
    </crm_config>
    <nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
    <resources>
      <primitive id="fence" class="stonith" type="fence_dummy"/>
      <primitive id="web" class="ocf" provider="koboshi" type="lighttpd">
        <meta_attributes id="w-m"><nvpair id="w-t" name="migration-threshold" value="3"/></meta_attributes>
        <operations><op id="w-mon" name="monitor" interval="10s" timeout="20s"/></operations>
      </primitive>
    </resources>
    <constraints><rsc_location id="l" rsc="web" node="n1" score="10"/></constraints>
  </configuration>
  <status>{nodes}</status>
</cib>
"""

NODE = """<node_state id="{number}" uname="n{number}" in_ccm="true" crmd="online" join="member" expected="member">
  <lrm id="{number}"><lrm_resources>
    <lrm_resource id="web" class="ocf" provider="koboshi" type="lighttpd">{history}</lrm_resource>
  </lrm_resources></lrm>
  <transient_attributes id="{number}"><instance_attributes id="s{number}">{fails}</instance_attributes>
  </transient_attributes>
</node_state>
"""


#: MD5 of no parameters, and of the monitor's timeout, as Pacemaker notes them: another would mean a changed definition.
DIGESTS = {"0": "f2317cad3d54cec5d7d7aa7d0bf35cf8", "10000": "4811cef7f7f94e3a35a70be7916cb2fd"}


def operation(name: str, code: int, call: int, expected: int = 0, failed: bool = False) -> str:
    """One entry of the resource's history; ``name`` has the interval in milliseconds at its end."""
    action, _, interval = name.partition("_")
    key = f"{call}:1:{expected}:00000000-0000-0000-0000-000000000000"
    return (
        f'<lrm_rsc_op id="web_{"last_failure_0" if failed else name}" operation_key="web_{name}" operation="{action}"'
        f' call-id="{call}" rc-code="{code}" op-status="{0 if code == expected else 4}" interval="{interval}"'
        f' transition-key="{key}" transition-magic="0:{code};{key}" last-rc-change="100{call}" exec-time="1"'
        f' queue-time="0" crm_feature_set="3.10.0" op-digest="{DIGESTS[interval]}"/>'
    )


def plan(row: Condition, tmp_path: Path) -> str:
    """What the scheduler does when the row's action, on n1, answers its code."""
    name = {"monitor": "monitor_10000", "start": "start_0", "stop": "stop_0"}[row.action]
    history = "" if row.action == "start" else operation("start_0", 0, 4)
    history += operation(name, row.code, 6, failed=row.code != 0)
    count = "INFINITY" if row.action == "start" else "1"
    fails = "" if row.plan == "nothing" else f'<nvpair id="s1-f" name="fail-count-web#{name}" value="{count}"/>'
    nodes = NODE.format(number=1, history=history, fails=fails)
    nodes += NODE.format(number=2, history=operation("monitor_0", 7, 2, expected=7), fails="")
    cib = tmp_path / "cib.xml"
    cib.write_text(CIB.format(nodes=nodes, fencing=str(row.action == "stop").lower()))
    # Carrying the plan out may fail where the tool cannot write: only the plan counts.
    return said(run([str(CRM_SIMULATE), "-x", str(cib), "-S"], 60).output)


def said(output: str) -> str:
    """crm_simulate's transition summary in the words of the table."""
    _, found, rest = output.partition("Transition Summary:")
    assert found, output
    actions = rest.partition("Executing Cluster Transition")[0]
    if "* Fence" in actions:
        return "fence"
    match = re.search(r"\* (\w+)\s+web\s+\(([^)]*)\)", actions)
    if match is None:
        return "nothing"
    return "move" if "->" in match[2] else {"Stop": "stop", "Recover": "restart"}.get(match[1], match[1])


@pytest.mark.parametrize("row", CONDITIONS.values(), ids=CONDITIONS)
def test_the_scheduler_plans_what_the_table_says(row: Condition, tmp_path: Path) -> None:
    assert plan(row, tmp_path) == row.plan
