"""The tools that administrators and packagers already have are content with our agents."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from cluster_glue.ocf_check.peers import apache as apache_with_a_status_page
from ocf.programs import run
from resource_agents.server import names
from tests.ocf_stage import MAKERS, ROOT, agents, resource, tool
from tests.ports import free_port

pytestmark = [pytest.mark.live, pytest.mark.skipif(not ROOT, reason="needs root")]

AGENTS = names()
TESTED = ("apache", "nginx", "tomcat", "lighttpd", "haproxy", "zeus", "sunone", "command")
RNG = Path("/usr/share/pcs/data/ocf-1.1.rng")
DTD = Path("/usr/share/resource-agents/ra-api-1.dtd")
CASES = Path("/usr/share/resource-agents/ocft/configs")

CIB = """<cib validate-with="pacemaker-3.7" epoch="1" num_updates="0" admin_epoch="0">
  <configuration>
    <crm_config/><nodes/>
    <resources>
      <primitive id="web" class="ocf" provider="koboshi" type="{agent}">
        <instance_attributes id="web-ia">{values}</instance_attributes>
      </primitive>
    </resources>
    <constraints/>
  </configuration>
  <status/>
</cib>
"""


def needs(*programs: str) -> None:
    """Skip the test on a machine without one of these."""
    for program in programs:
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{program} is not installed")


def places(home: Path) -> dict[str, str]:
    return {"KOBOSHI_RUNTIME_DIR": f"{home}/run", "KOBOSHI_STATE_DIR": f"{home}/state"}


# ---- ocf-tester and ocft ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", TESTED)
def test_ocf_tester_passes(agent: str) -> None:
    needs("ocf-tester", "xmllint")
    with resource(agent) as made:
        words = [word for name, value in made.values.items() for word in ("-o", f"{name}={value}")]
        path = f"/usr/lib/ocf/resource.d/koboshi/{agent}"
        ended = tool(["ocf-tester", "-n", "web", *words, path], 240, places(made.home))
    assert ended.status == 0, ended.output + ended.problem
    assert "passed all tests" in ended.output


def ocft(made_for: str, values: dict[str, str], cases: str, home: Path) -> str:
    """Run the peers' own cases on our agent; what ocft said."""
    folder = home / "ocft"
    folder.mkdir()
    text = re.sub(r"\tAgentRoot .*", "\tAgentRoot /usr/lib/ocf/resource.d/koboshi", cases)
    (folder / made_for).write_text(text)
    script = f"ocft make -d {folder} {made_for} && ocft test {made_for}"
    env = {f"OCF_RESKEY_{name}": value for name, value in values.items()}
    ended = tool(["sh", "-c", script], 240, env | places(home))
    assert ended.status == 0, ended.output + ended.problem
    return ended.output


def all_good(said: str, agent: str, cases: int) -> bool:
    """Whether each case was reported, and none as failed."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    return len(re.findall(rf"(?m)^{agent}: .* - ", plain)) == cases and not re.search(r"(?i)fail", plain)


def test_the_ten_ocft_cases_for_apache_pass() -> None:
    needs("ocft")
    cases = (CASES / "apache").read_text()
    # The system's own Apache is neither installed nor started for them; nothing else is changed.
    cases = re.sub(r"(?m)^SETUP-AGENT\n(?:.*\n)*?(?=^CASE-BLOCK default_status)", "", cases)
    cases = re.sub(r"(?m)^\s*InstallPackage .*\n", "", cases)
    with tempfile.TemporaryDirectory(prefix="koboshi-ocft-") as home:
        values = apache_with_a_status_page(Path(home), free_port())
        said = ocft("apache", values, cases, Path(home))
    assert all_good(said, "apache", 10), said


def test_the_ocft_cases_for_tomcat_pass() -> None:
    needs("ocft")
    cases = (CASES / "tomcat").read_text()
    with resource("tomcat") as made:
        java = made.values["java_home"]
        own = f"VARIABLE\n\tcatalina_home={made.values['catalina_home']}\n\ttomcat_user=root\n\tjava_home={java}\n"
        cases = re.sub(r"(?m)^VARIABLE\n(?:.+\n)*", own, cases)
        said = ocft("tomcat", made.values, cases, made.home)
    assert all_good(said, "tomcat", 5), said


# ---- metadata --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", AGENTS)
def test_metadata_is_valid_by_the_dtd_of_ocf_1_0_and_the_schema_of_ocf_1_1(agent: str) -> None:
    needs("xmllint")
    path = agents() / "lib/koboshi/metadata" / f"{agent}.xml"
    if DTD.exists():
        ended = run(["xmllint", "--noout", "--valid", str(path)], 20, cwd=str(DTD.parent))
        by_pipe = run(["xmllint", "--noout", "--valid", "-"], 20, cwd=str(DTD.parent), given=path.read_bytes())
        assert by_pipe.ok, by_pipe.output
        assert by_pipe.ok or ended.ok
    if RNG.exists():
        ended = run(["xmllint", "--noout", "--relaxng", str(RNG), str(path)], 20)
        assert ended.ok, ended.output


@pytest.mark.parametrize("agent", AGENTS)
def test_pcs_crmsh_and_pacemaker_read_the_metadata(agent: str) -> None:
    needs("pcs", "crm", "crm_resource")
    name = f"ocf:koboshi:{agent}"
    script = f"pcs resource describe {name} && crm ra info {name} && crm_resource --show-metadata {name}"
    ended = tool(["sh", "-ec", script], 120)
    assert ended.ok, ended.output
    assert ended.output.count("local_recovery") >= 3
    assert "Traceback" not in ended.output


# ---- crm_resource without a cluster ----------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["lighttpd", "apache"])
def test_crm_resource_starts_checks_and_stops_without_a_cluster(agent: str) -> None:
    needs("crm_resource")
    with resource(agent) as made:
        pairs = [f'<nvpair id="web-{name}" name="{name}" value="{value}"/>' for name, value in made.values.items()]
        cib = made.home / "cib.xml"
        cib.write_text(CIB.format(agent=agent, values="".join(pairs)))
        options = " ".join(f"--option {name}='{value}'" for name, value in made.values.items() if value)
        script = f"""
            crm_resource --validate --class ocf --provider koboshi --agent {agent} {options}
            crm_resource -r web --force-check && exit 1
            crm_resource -r web --force-start
            crm_resource -r web --force-check
            crm_resource -r web --force-check=10
            crm_resource -r web --force-stop
            crm_resource -r web --force-check && exit 1
            echo all of it
        """
        ended = tool(["sh", "-ec", script], 120, {"CIB_file": str(cib), **places(made.home)})
    assert ended.ok, ended.output
    assert "all of it" in ended.output


def test_every_agent_has_an_instance_to_be_tried_on() -> None:
    assert set(AGENTS) == set(MAKERS)
