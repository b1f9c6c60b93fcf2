"""From machines that were switched on to services that answer, and back to that from wherever a scenario left it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vagrant.lab.answers import SERVICES
from vagrant.lab.cluster import Cluster
from vagrant.lab.machines import Lab, LabError, rest

HOME = "node1"
#: Where a node keeps the cluster's configuration as it was when the lab was new.
CONFIGURATION = "/var/lib/lab.configuration.xml"
#: What helps while there is a lab.
_LOOK = "; script/lab logs shows what the nodes said"


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for it. Raises :class:`LabError` when it does not come within ``seconds``."""
    began = time.monotonic()
    end = began + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{what} did not come within {seconds:g} s{_LOOK}")
        rest(began, 0.1)
        began = time.monotonic()


def up(lab: Lab, count: int, say: Callable[[str], None]) -> None:
    """Switch on, provision, configure, wait until everything serves. Raises :class:`LabError`; nothing is left then."""
    began = time.monotonic()

    def tell(words: str) -> None:
        say(f"{time.monotonic() - began:5.1f} s  {words}")

    tell(f"a lab of {count} nodes ({lab.provider}) in {lab.directory}, usually {lab.usually} until it serves")
    lab.begin(count, tell)
    try:
        cluster = Cluster(lab)
        until(lambda: len(cluster.online()) == count, 90 * lab.pace, f"a cluster of {count} nodes")
        tell("corosync and Pacemaker see each other")
        if not lab.configures:
            configure(lab)
            tell("the cluster has its configuration: what koboshi scaffold pacemaker prints")
        serving(lab, cluster, 60 * lab.pace)
        must(lab, HOME, f"cibadmin -Q -o configuration >{CONFIGURATION}")
        tell("services answer: " + ", ".join(f"{name} at http://{at}/" for name, at in SERVICES.items()))
    except LabError as error:
        try:
            raise LabError(lab.with_last_words(str(error).removesuffix(_LOOK))) from error
        finally:
            lab.end()
    except BaseException:
        lab.end()
        raise


def configure(lab: Lab) -> None:
    """Give the cluster its configuration."""
    done = lab.run(HOME, ["sh", f"{lab.provision}/cluster.sh", lab.koboshi], 90)
    if done.returncode:
        raise LabError(f"the cluster refused its configuration: {done.stdout.strip()}")


def must(lab: Lab, node: str, command: str, timeout: float = 60.0) -> str:
    """The output of a command that may not fail."""
    done = lab.run(node, command, timeout)
    if done.returncode:
        raise LabError(f"{node}: {command.strip().splitlines()[0]} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def serving(lab: Lab, cluster: Cluster, seconds: float) -> None:
    """Wait until everything runs at home and answers."""
    until(lambda: all(cluster.where(name) == [HOME] for name in SERVICES), seconds, f"services on {HOME}")
    for name, address in SERVICES.items():
        asking = ["curl", "-sf", "-o", "/dev/null", "--max-time", "2", f"http://{address}/"]
        until(lambda asking=asking: lab.run("", asking).returncode == 0, seconds, f"an answer of {name}")  # type: ignore[misc]
    must(lab, HOME, f"crm_resource --wait --timeout {seconds:.0f}s", seconds + 10)


def restore(lab: Lab) -> None:
    """Make the lab as it was when it was new: everything mended, forgotten, and at home."""
    cluster = Cluster(lab)
    for node in lab.nodes:
        lab.ask(f"mend {node} both")
        lab.ask(f"hear {node}")
        if "freeze" in lab.abilities:
            lab.ask(f"thaw {node}")
        lab.ask(f"on {node}")
    until(lambda: len(cluster.online()) == len(lab.nodes), 60 * lab.pace, "all nodes in the cluster")
    must(lab, HOME, f"cibadmin -R -o configuration -x {CONFIGURATION}")
    for name in SERVICES:
        must(lab, HOME, f"crm_resource -r {name}-group -m -p target-role -v Stopped")
    until(lambda: not any(cluster.where(name) for name in SERVICES), 60 * lab.pace, "services to be stopped")
    with ThreadPoolExecutor(len(lab.nodes)) as hands:
        list(hands.map(lambda node: _clear(lab, node), lab.nodes))
    must(lab, HOME, "crm_resource --cleanup")
    must(lab, HOME, f"cibadmin -R -o configuration -x {CONFIGURATION}")
    serving(lab, cluster, 60 * lab.pace)


#: Sets a node's clock to ``$0``, seconds of the epoch, where it is far off: it jumped, or stood still while frozen.
_CLOCK = 'off=$(($0 - $(date +%s))); [ "${off#-}" -lt 10 ] || date -s "@$0"'


def _clear(lab: Lab, node: str) -> None:
    if "kernel" in lab.abilities:
        must(lab, node, f"sh -c '{_CLOCK}' {time.time():.0f}")
    must(lab, node, f"sh {lab.provision}/clear.sh")
    for name in SERVICES:
        must(lab, node, f"attrd_updater -n koboshi-{name} -D -N {node}")
