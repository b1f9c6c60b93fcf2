"""Many probes in one loop: they do not disturb each other, leave nothing behind, and reach the machine in its words."""

import asyncio
import os
import socket
import threading
import time

import pytest

from cluster_glue.recovery.model import Answered, Failed
from cluster_glue.recovery.sensors import names
from cluster_glue.recovery.sensors.probe import ask, to_event
from ocf.faults import Kind
from resource_agents.http import Answer, Verdict
from resource_agents.http_target import Endpoint, Target
from resource_agents.layouts import Request
from tests.ports import free_port
from tests.scripted import hang, say, scripted
from tests.waiting import LONG

GOOD = say(b"HTTP/1.1 200 OK\r\n\r\n")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_hanging_targets_do_not_disturb_each_other() -> None:
    hanging = 400

    async def main(good: str, backlog: str) -> None:
        check = Request(backlog)
        waiting = [asyncio.create_task(ask(check, connect_timeout=60, timeout=60)) for _ in range(hanging)]
        await asyncio.sleep(0)
        answers = [await ask(Request(good), connect_timeout=60, timeout=60) for _ in range(20)]
        assert {answer.verdict for answer in answers} == {Verdict.GOOD}
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    with scripted(GOOD) as good, socket.create_server(("127.0.0.1", 0), backlog=hanging + 10) as silent:
        before = descriptors()
        asyncio.run(main(good, f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert descriptors() <= before + 5  # the scripted server's own connections may linger


def test_name_servers_that_do_not_answer_delay_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe of a name would keep a thread for tens of seconds; there is one for all, and none of asyncio's own."""
    asked, answered = [], threading.Event()

    def resolve(target: Target) -> list[Endpoint]:
        asked.append(target.host)
        assert answered.wait(LONG)
        return [(socket.AF_INET, ("127.0.0.1", target.port))]

    async def main(url: str) -> None:
        for _ in range(3):
            late = await asyncio.gather(*(ask(Request(url), connect_timeout=0.01, timeout=0.01) for _ in range(20)))
            assert {answer.verdict for answer in late} == {Verdict.OURS}
            assert "the resolver did not answer in time" in late[0].detail
        async with asyncio.timeout(LONG):
            assert await asyncio.to_thread(lambda: "at once") == "at once"
        assert asked == ["web.invalid"]
        waiting = asyncio.create_task(ask(Request(url), connect_timeout=LONG, timeout=LONG))
        await asyncio.sleep(0)
        answered.set()
        assert (await waiting).verdict is Verdict.GOOD
        assert asked == ["web.invalid"]
        assert (await ask(Request(url), connect_timeout=LONG, timeout=LONG)).verdict is Verdict.GOOD
        assert asked == ["web.invalid"] * 2

    monkeypatch.setattr(names, "resolve", resolve)
    with scripted(GOOD) as good:
        asyncio.run(main(good.replace("127.0.0.1", "web.invalid")))


def test_a_name_is_looked_up_again_after_no_thread_was_to_be_had_or_the_lookup_broke(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Target) -> list[Endpoint]:
        raise OverflowError("port must be 0-65535")

    async def main(url: str) -> None:
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
            with pytest.raises(RuntimeError):
                await ask(Request(url), connect_timeout=LONG, timeout=LONG)
        with monkeypatch.context() as odd:
            odd.setattr(names, "resolve", broken)
            answer = await ask(Request(url), connect_timeout=LONG, timeout=LONG)
            assert answer.verdict is Verdict.OURS
        monkeypatch.setattr(names, "resolve", lambda target: [(socket.AF_INET, ("127.0.0.1", target.port))])
        assert (await ask(Request(url), connect_timeout=LONG, timeout=LONG)).verdict is Verdict.GOOD

    with scripted(GOOD) as good:
        asyncio.run(main(good.replace("127.0.0.1", "web.invalid")))


def test_each_deadline_is_kept_among_many() -> None:
    async def main(url: str) -> list[Answer]:
        asked = [ask(Request(url), connect_timeout=0.4, timeout=0.4 + number / 1000) for number in range(100)]
        return await asyncio.gather(*asked)

    with scripted(hang) as url:
        answers = asyncio.run(main(url))
    assert {answer.verdict for answer in answers} == {Verdict.MUTE}
    assert all(answer.took >= 0.4 for answer in answers)


def test_a_cancelled_probe_leaves_nothing_behind() -> None:
    async def main(url: str) -> None:
        before = descriptors()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(Request(url), connect_timeout=60, timeout=60), 0.05)
        assert descriptors() <= before  # what tests before this one left may be closed meanwhile

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(main(f"http://127.0.0.1:{silent.getsockname()[1]}"))


def test_a_server_that_drips_costs_no_more_than_its_deadline() -> None:
    async def main(url: str) -> Answer:
        return await ask(Request(url, pattern="y"), connect_timeout=0.5, timeout=0.5)

    with scripted(say(b"HTTP/1.1 200 OK\r\n\r\n", b"x", every=0.01, again=10000)) as url:
        began = time.monotonic()
        assert asyncio.run(main(url)).verdict is Verdict.MUTE
        assert time.monotonic() - began < 10


# ---- words for the machine -------------------------------------------------------------------------------------------


def test_a_good_answer_is_told_with_its_time() -> None:
    assert to_event(Answer(Verdict.GOOD, 0.25, 200)) == Answered(0.25)


@pytest.mark.parametrize(
    ("verdict", "cause", "kind"),
    [
        (Verdict.REFUSED, "not-listening", Kind.RESOURCE),
        (Verdict.UNACCEPTED, "not-accepting", Kind.RESOURCE),
        (Verdict.MUTE, "mute", Kind.RESOURCE),
        (Verdict.CUT, "cut", Kind.RESOURCE),
        (Verdict.WRONG, "wrong-answer", Kind.RESOURCE),
        (Verdict.OURS, "probe-impossible", Kind.OURS),
    ],
)
def test_a_failed_check_has_a_cause_and_a_sentence(verdict: Verdict, cause: str, kind: Kind) -> None:
    event = to_event(Answer(verdict, 1.0, 0, "http://x/ did so"), port_empty=True)
    assert isinstance(event, Failed)
    assert (event.fault.cause, event.fault.kind, event.fault.reason) == (cause, kind, "http://x/ did so")
    assert event.hard is (verdict is Verdict.REFUSED)


def test_a_refusal_is_a_hard_fact_only_when_the_kernel_knows_of_no_listener() -> None:
    answer = asyncio.run(ask(Request(f"http://127.0.0.1:{free_port()}/"), connect_timeout=9, timeout=9))
    soft = to_event(answer)
    assert isinstance(soft, Failed) and not soft.hard
