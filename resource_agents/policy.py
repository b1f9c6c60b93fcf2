"""How patient recovery is: the numbers an administrator may set for each resource.

All times are seconds. Names follow what people know: restart limit and window from the field's process monitors
(default 3 in 86400 s), thresholds, interval and timeout from Kubernetes probes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

#: Seconds that an action may overrun its own timeout before it counts as lost.
GRACE = 5.0


class PolicyError(ValueError):
    """A policy that cannot keep its promises; the message has the arithmetic and the remedy."""


def _number(default: float, unit: str, low: float, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc, "unit": unit, "low": low})


def _choice(default: str, choices: tuple[str, ...], doc: str) -> Any:
    return field(default=default, metadata={"doc": doc, "unit": "", "choices": choices})


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of one resource. Raises :class:`PolicyError` when they contradict each other."""

    restart_limit: int = _number(3, "restarts", 0, "restarts allowed inside the window before koboshi gives up")
    restart_window: float = _number(86400.0, "s", 1, "sliding window in which restarts are counted")
    restart_wait: float = _number(1.0, "s", 0, "wait before the second try in a row (the first is made at once)")
    restart_wait_factor: float = _number(2.0, "times", 1, "growth of the wait from try to try")
    restart_wait_max: float = _number(60.0, "s", 0, "longest wait between two tries")
    failure_threshold: int = _number(3, "probes", 1, "failed probes in a row that make a stall")
    success_threshold: int = _number(1, "probes", 1, "good probes in a row that end a suspicion")
    probe_interval: float = _number(5.0, "s", 0, "time from probe to probe; 0 turns probes off")
    retry_interval: float = _number(0.5, "s", 0.01, "time from a failed probe to the next, while in doubt")
    probe_timeout: float = _number(2.0, "s", 0.01, "time for a whole answer")
    connect_timeout: float = _number(1.0, "s", 0.01, "time for the connection to be accepted")
    slow_after: float = _number(1.0, "s", 0.01, "an answer that takes longer is called slow; slow alone never restarts")
    start_timeout: float = _number(40.0, "s", 0.1, "time for a start until the server answers")
    stop_timeout: float = _number(60.0, "s", 0.1, "time for a stop until no process and no listener is left")
    check_timeout: float = _number(15.0, "s", 0.1, "time for the server's own configuration test")
    stable_after: float = _number(60.0, "s", 0, "time up after which the waits begin small again")
    child_crash_limit: int = _number(
        10, "deaths", 0, "children killed by a signal in the window that make a fault; 0 = never"
    )
    child_crash_window: float = _number(30.0, "s", 0.1, "window in which deaths of children are counted")
    overload_timeout: float = _number(
        300.0, "s", 0, "overload (everybody busy, and work gets done) is only reported until it has lasted so long"
    )
    ask_timeout: float = _number(
        15.0, "s", 0.01, "time for the clusterware to say whether we may act; no answer, no action"
    )
    lease: float = _number(0.0, "s", 0, "time that one renewal lets koboshi act; 0 = not leased (a machine alone)")
    on_exhausted: str = _choice("report", ("report", "failover", "reboot"), "what is done when restarts cannot help")

    def __post_init__(self) -> None:
        for name in fields(self):
            value, low = getattr(self, name.name), name.metadata.get("low")
            if low is not None and not math.isfinite(value):
                raise PolicyError(f"{name.name} = {value:g} is not a finite number")
            if name.type == "int" and value != int(value):
                raise PolicyError(f"{name.name} = {value:g} must be a whole number of {name.metadata['unit']}")
            if low is not None and value < low:
                raise PolicyError(f"{name.name} = {value:g} is below its least value {low:g} {name.metadata['unit']}")
            choices = name.metadata.get("choices")
            if choices and value not in choices:
                raise PolicyError(f"{name.name} = {value!r} is none of {', '.join(choices)}")
        if self.connect_timeout > self.probe_timeout:
            raise PolicyError(
                f"connect_timeout = {self.connect_timeout:g} s is longer than probe_timeout = {self.probe_timeout:g} s,"
                " so it could never be reached"
            )
        needed = (self.restart_limit + 1) * self.longest_cycle()
        if needed > self.restart_window:
            raise PolicyError(
                f"restart_window = {self.restart_window:g} s cannot hold its own restarts:"
                f" (restart_limit {self.restart_limit} + 1) x longest cycle {self.longest_cycle():g} s"
                f" ({self.cycle_arithmetic()}) = {needed:g} s; older restarts would leave the window before the last"
                " one is counted and a dead server would be restarted for ever."
                f" Make restart_window at least {needed:g} or the cycle shorter"
            )

    def longest_cycle(self) -> float:
        """Seconds from one restart to the next in the worst case: notice, ask, wait, ask again, stop, start."""
        return sum(seconds for _, seconds in self._cycle())

    def cycle_arithmetic(self) -> str:
        """The sum behind :meth:`longest_cycle`, for messages."""
        return " + ".join(f"{name} {seconds:g}" for name, seconds in self._cycle() if seconds)

    def wait_before(self, tries: int) -> float:
        """Seconds to wait before try number ``tries`` (counted from 0) of a row without a stable run between."""
        if tries == 0:
            return 0.0
        wait = self.restart_wait
        for _ in range(tries - 1):
            if wait >= self.restart_wait_max:
                break
            wait *= self.restart_wait_factor
        return min(wait, self.restart_wait_max)

    def _cycle(self) -> tuple[tuple[str, float], ...]:
        notice = self.probe_interval + self.failure_threshold * (self.retry_interval + self.probe_timeout)
        return (
            ("notice", notice),
            ("ask", self.ask_timeout + GRACE if self.lease else 0.0),
            ("wait", self.restart_wait_max),
            ("ask again", self.ask_timeout + GRACE if self.lease else 0.0),
            ("stop", self.stop_timeout + GRACE),
            ("start", self.start_timeout + GRACE),
        )
