"""One story out of three: what the client saw, what koboshi said, what Pacemaker did, with seconds since the mark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vagrant.lab.answers import SERVICES, stretches
from vagrant.lab.claims import View
from vagrant.lab.machines import LabError


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that happened ``at`` (seconds of the epoch), told by ``who``."""

    at: float
    who: str
    words: str


def events(view: View) -> list[Event]:
    """All since the mark, oldest first; a node that is off says nothing more."""
    return sorted({*_client(view), *_koboshi(view), *_pacemaker(view)})


def tell(event: Event, since: float) -> str:
    """One line for a person."""
    return f"{event.at - since:8.2f} s  {event.who:16}  {event.words}"


def tell_all(view: View) -> list[str]:
    """The whole story."""
    return [tell(event, view.since) for event in events(view)]


def _client(view: View) -> Iterator[Event]:
    for service in SERVICES:
        for stretch in stretches(view.client.answers(service, view.since)):
            words = f"{service} answers from {stretch.who}" if stretch.good else f"{service} does not answer"
            yield Event(stretch.begin, "client", words)


def _koboshi(view: View) -> Iterator[Event]:
    for node in view.lab.nodes:
        try:
            journal = view.journal(node)
        except LabError:
            continue
        for at, resource, message, detail in journal:
            if message != "cluster-decided":
                yield Event(at, f"koboshi {node}", f"{resource} {message}: {detail}".strip())


def _pacemaker(view: View) -> Iterator[Event]:
    for each in view.cluster.operations(view.since):
        yield Event(each.at, f"Pacemaker {each.node}", f"{each.task} of {each.resource}: {each.words}")
    for at, node, words in view.cluster.decisions(view.since):
        yield Event(at, f"Pacemaker {node}", words)
