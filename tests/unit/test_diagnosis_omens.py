"""What a log says while its server answers: told once for each main process, and not lost when the server falls."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster_glue.diagnosis import case as cases
from cluster_glue.diagnosis.case import Case
from cluster_glue.diagnosis.evidence import Absent
from cluster_glue.diagnosis.host import Groups
from resource_agents.processes import Identity, look
from resource_agents.tomcat import Tomcat
from tests.house import ROOT

FULL = "java.lang.OutOfMemoryError: Java heap space\n"
ENDED = (
    'Exception in thread "http-nio-8080-Poller" java.lang.OutOfMemoryError: unable to create native thread: possibly\n'
)
DUMP = (ROOT / "tests/samples/thread_dumps/poller_gone.txt").read_text()


class Said:
    """A case of a Tomcat whose log a test writes; its main process is this one."""

    def __init__(self, folder: Path) -> None:
        (folder / "conf").mkdir()
        (folder / "logs").mkdir()
        (folder / "conf/server.xml").write_text('<Server port="-1"><Connector port="8080"/></Server>')
        self.log = folder / "logs/catalina.out"
        self.log.write_text("INFO: Server startup\n")
        server = Tomcat({"catalina_home": "/nowhere", "java_home": "/nowhere", "catalina_base": str(folder)})
        self.case = Case("web", server, folder / "output")
        self.case.adopt(self.main)

    @property
    def main(self) -> Identity:
        process = look(1)
        assert process is not None
        return process.identity

    def says(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text)

    def answers(self) -> list[str]:
        """A good probe: the causes of what is new in the log."""
        place = self.case.place()
        found = [fault.cause for fault in self.case.new_omens()] if self.case.may_forebode(place) else []
        self.case.mark(place)
        return found


@pytest.fixture
def said(tmp_path: Path) -> Said:
    return Said(tmp_path)


def test_each_cause_is_told_once_for_each_main_process(said: Said) -> None:
    assert said.answers() == []
    said.says(FULL)
    assert said.answers() == ["heap-exhausted"]
    said.says(FULL)
    assert said.answers() == []
    said.says("java.lang.OutOfMemoryError: Metaspace\n" + FULL)
    assert said.answers() == ["metaspace-exhausted"]
    assert said.case.foretold() == [
        "heap-exhausted: java.lang.OutOfMemoryError: Java heap space",
        "metaspace-exhausted: java.lang.OutOfMemoryError: Metaspace",
    ]
    said.case.adopt(said.main)
    assert said.case.foretold() == []
    said.says(FULL)
    assert said.answers() == ["heap-exhausted"]


def test_what_is_said_after_the_answer_belongs_to_the_fall(said: Said) -> None:
    place = said.case.place()
    said.says(FULL)
    said.case.mark(place)
    assert said.case.news() == [FULL.strip()]


def test_what_a_server_said_before_its_last_answer_was_heard_explains_its_death(said: Said) -> None:
    assert said.answers() == []
    said.says(FULL)
    assert said.answers() == ["heap-exhausted"]
    assert said.case.news() == []
    assert said.case.dying_words() == [FULL.strip()]
    assert said.answers() == []
    assert said.case.dying_words() == []


def test_what_a_server_said_after_its_last_answer_explains_its_death_alone(said: Said) -> None:
    said.says(FULL)
    said.answers()
    said.says("INFO: after\n")
    assert said.case.dying_words() == ["INFO: after"]


def test_another_main_process_has_not_said_it(said: Said) -> None:
    said.says(FULL)
    said.answers()
    said.case.adopt(said.main)
    assert said.case.dying_words() == []


def test_the_last_words_end_where_the_dump_begins_and_begin_with_threads_that_ended(said: Said) -> None:
    said.says(ENDED)
    assert said.answers() == ["thread-limit"]
    assert said.answers() == []
    said.says("INFO: before\n" + DUMP + "INFO: Pausing ProtocolHandler\n")
    assert said.case.last_words() == [ENDED.strip(), "INFO: before", DUMP.splitlines()[0]]


def test_without_a_dump_the_last_words_are_not_known(said: Said) -> None:
    said.says("INFO: Pausing ProtocolHandler\n")
    with pytest.raises(Absent):
        said.case.last_words()
    said.says(ENDED)
    assert said.answers() == ["thread-limit"]
    assert said.case.last_words() == [ENDED.strip()]


def test_what_the_control_groups_counted_long_ago_explains_nothing_today(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what they counted some minutes ago does, although it answered since."""
    clock, kills = [1000.0], [0]
    monkeypatch.setattr(cases, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(cases, "groups_of", lambda _: Groups({"memory.events": kills[0]}))
    said.case.adopt(said.main)
    counted = []
    for minute in range(16):
        clock[0] += 60.0
        kills[0] += minute == 2
        said.case.mark(None)
        assert said.case.good is not None
        counted.append(said.case.good.groups.counts["memory.events"])
    assert counted[:8] == [0] * 8, "the kill of minute 2 may explain what falls until minute 7 at the least"
    assert counted[-1] == 1
