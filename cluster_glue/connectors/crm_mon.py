"""What ``crm_mon`` says in XML, read as far as it matters for "may we repair this resource here, now?".

Forms: ``pacemaker-result`` (2.1 and later) and ``crm_mon`` (1.1, 2.0). An attribute that a version does not have says
nothing; what every version has must be there, or nothing is permitted. Anything that cannot be understood is a refusal.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

ROOTS: Final = ("pacemaker-result", "crm_mon")

#: What a pending operation of the cluster's own makes of a repair: two at one server.
BUSY: Final = frozenset({"Starting", "Stopping", "Migrating", "Promoting", "Demoting"})

#: Attributes of a node that each mean: the cluster wants nothing started there.
OFF: Final = ("standby", "standby_onfail", "maintenance", "pending", "unclean", "shutdown")

#: Attributes of a resource, or of the group or clone around it, that each mean: hands off.
HELD: Final = {
    "maintenance": "is in maintenance",
    "disabled": "shall be stopped (target-role)",
    "blocked": "is blocked",
    "orphaned": "was removed from the configuration",
    "removed": "was removed from the configuration",
}


class Nonsense(ValueError):
    """That is no status of a cluster."""


def refusal(text: str, resource: str, node: str) -> str:
    """Why a repair of ``resource`` on ``node`` must not begin; empty when it may. Raises :class:`Nonsense`."""
    root = _parse(text)
    return _of_the_cluster(root) or _of_the_node(root, node) or _of_the_resource(root, resource, node)


def _parse(text: str) -> Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Nonsense("it declares entities")
    begin = text.find("<")  # warnings may stand before it: stderr comes along
    try:
        root = ElementTree.fromstring(text[max(begin, 0) :])
    except ElementTree.ParseError as error:
        raise Nonsense(f"it is not XML: {error}") from None
    if root.tag not in ROOTS:
        raise Nonsense(f"it is a {root.tag[:40]!r}")
    status = root.find("status")
    if status is not None and status.get("code") != "0":
        raise Nonsense(f"it failed: {status.get('message', 'for no reason')}")
    return root


def _of_the_cluster(root: Element) -> str:
    controller, options = root.find("summary/current_dc"), root.find("summary/cluster_options")
    if controller is None or options is None:
        raise Nonsense("it has no summary")
    if controller.get("present") != "true":
        return "the cluster has no designated controller"
    if _is(options, "maintenance-mode"):
        return "the cluster is in maintenance mode"
    if _is(options, "stop-all-resources"):
        return "the cluster shall stop all resources"
    if controller.get("with_quorum") != "true" and options.get("no-quorum-policy") != "ignore":
        return "this partition has no quorum"
    return ""


def _of_the_node(root: Element, node: str) -> str:
    ours = next((each for each in root.findall("nodes/node") if each.get("name") == node), None)
    if ours is None:
        return f"the cluster knows no node {node}"
    if ours.get("online") != "true":
        return f"node {node} is offline"
    return next((f"node {node}: {word}" for word in OFF if _is(ours, word)), "")


def _of_the_resource(root: Element, resource: str, node: str) -> str:
    found = [way for way in _ways(root.find("resources"), ()) if _called(way[-1], resource)]
    if not found:
        return f"the cluster knows no resource {resource}"
    here = [way for way in found if node in _places(way[-1])]
    if not here:
        others = sorted({place for way in found for place in _places(way[-1])})
        return f"{resource} is on {', '.join(others)}" if others else f"{resource} is active on no node"
    return _held(here[0], resource)


def _held(way: tuple[Element, ...], resource: str) -> str:
    one = way[-1]
    if one.get("managed") != "true":
        return f"{resource} is not managed"
    for each in way:
        for attribute, words in HELD.items():
            if _is(each, attribute):
                return f"{resource} {words}"
        if each.get("target_role", "").lower() == "stopped":
            return f"{resource} shall be stopped (target-role)"
    for word in (one.get("pending", ""), one.get("role", "")):
        if word in BUSY:
            return f"the cluster itself acts on {resource} ({word})"
    return ""


def _ways(element: Element | None, above: tuple[Element, ...]) -> list[tuple[Element, ...]]:
    """Every resource, with what is around it (groups, clones, bundles) before it."""
    found: list[tuple[Element, ...]] = []
    for child in element if element is not None else ():
        way = (*above, child)
        found += [way] if child.tag == "resource" else _ways(child, way)
    return found


def without_number(resource: str) -> str:
    """The name of a resource, of which an instance of a clone may be called ``NAME:NUMBER``."""
    name, _, number = resource.rpartition(":")
    return name if name and number.isdigit() else resource


def _called(element: Element, resource: str) -> bool:
    """Whether it is this resource; instances that nothing tells apart are shown, or named to agents, without number."""
    name = element.get("id", "")
    return resource in (name, without_number(name)) or without_number(resource) == name


def _places(element: Element) -> list[str]:
    return [node.get("name", "") for node in element.findall("node")] if element.get("active") == "true" else []


def _is(element: Element, attribute: str) -> bool:
    return element.get(attribute) == "true"
