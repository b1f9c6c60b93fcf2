"""Everything koboshi says: stable ids, priorities, what each means and what to do about it.

The recovery machine and the engine name an entry of :data:`CATALOGUE` in each ``Tell``. Ids are grouped by hundreds
(1 something is wrong, 2 what koboshi does, 3 good news, 4 handed over, 5 asked for by somebody, 9 koboshi itself) and
are never used again for something else. ``python -m cluster_glue.messages`` prints ``docs/messages.rst``.

Text from outside (log lines, HTTP bodies, file names) goes through :func:`sanitise` before it reaches anybody.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import Final

from cluster_glue.recovery.model import Tell

#: Severities as syslog(3) numbers them, by syslog's own words.
SEVERITIES: Final = {
    "emerg": 0,
    "alert": 1,
    "crit": 2,
    "error": 3,
    "warning": 4,
    "notice": 5,
    "info": 6,
    "debug": 7,
}

GROUPS: Final = {
    "1": "Something is wrong",
    "2": "What koboshi does about it",
    "3": "Good news",
    "4": "Handed over",
    "5": "Asked for by an operator or a cluster",
    "9": "koboshi itself",
}

#: Groups whose lines show the proof; the others would only repeat it.
PROVED: Final = "14"

#: Messages whose fault says more about an incident than what was seen when it began.
EXPLANATIONS: Final = frozenset({"evidence-kept", "explained"})

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS and their kin
    r"|\x1b[ -/]*[0-~]?"
)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the catalogue. ``severity`` is one of :data:`SEVERITIES`."""

    id: str
    name: str
    severity: str
    meaning: str
    advice: str

    @property
    def priority(self) -> int:
        """The severity as syslog's number: 0 is worst, 7 is least."""
        return SEVERITIES[self.severity]


_ENTRIES = (
    Message("KOB110", "fell", "error", "A server that should be up died or stopped answering; an incident is opened.",
            "Nothing at once: koboshi repairs it. `koboshi why` tells the cause."),
    Message("KOB111", "suspect", "warning", "A probe failed; more failures in a row would make it a stall.",
            "Nothing yet. If it comes often, look at the server's load and at `probe_timeout`."),
    Message("KOB112", "slow", "warning", "Answers take longer than `slow_after`. Slow alone never restarts.",
            "Look at load, back ends and disks; raise `slow_after` if this is normal for the server."),
    Message("KOB113", "degraded", "warning", "The server runs, but something that a restart does not mend is wrong.",
            "Mend what the sentence names: a configuration file, or something that the server depends on."),
    Message("KOB114", "child-died", "warning", "A child of the server was ended by a signal; the server goes on.",
            "Look in the server's error log for the request or module that crashed it."),
    Message("KOB115", "gone", "notice", "A server that nobody asked koboshi to keep up is gone.",
            "Nothing, or `koboshi start RESOURCE` if it should be up."),
    Message("KOB116", "void", "info", "koboshi itself was not scheduled in time, so a probe's result is thrown away.",
            "If it comes often, the machine is overloaded: find what takes the processors."),
    Message("KOB117", "misconfigured", "error", "The server cannot start with its configuration; no restart helps.",
            "Mend the file and line that the proof names; koboshi starts the server as soon as the file changes."),
    Message("KOB118", "start-failed", "error", "A start ended without an answering server.",
            "Read the proof and the server's error log; koboshi tries again while the budget lasts."),
    Message("KOB119", "stop-failed", "crit", "Something of the server could not be ended, so nothing may be started.",
            "End what the sentence names (a process in state D waits for its disk), then `koboshi clear RESOURCE`."),
    Message("KOB120", "sighting", "warning", "A look at the server's processes, sockets or log showed something odd.",
            "Nothing at once: a sighting alone restarts nothing. If it comes often, look at what the sentence names."),
    Message("KOB121", "blocked", "error", "Something else stands in the way of the start; no restart helps.",
            "Move what the sentence names out of the way; koboshi starts the server as soon as its way is free."),
    Message("KOB210", "restarting", "warning", "koboshi restarts the server; of its own accord only within the budget.",
            "Nothing; the next message says how it went."),
    Message("KOB211", "waiting", "warning", "The next restart is put off: a crash loop must not burn the budget.",
            "Use the time to mend the cause."),
    Message("KOB212", "observing", "warning", "The server is faulty, and koboshi may not act now; it only looks on.",
            "If koboshi should act: `koboshi resume RESOURCE`, or end the cluster's maintenance."),
    Message("KOB213", "orphans-ended", "notice", "Processes that outlived the server's main process were ended.",
            "Nothing."),
    Message("KOB214", "leftovers-removed", "notice", "Stale pid files or semaphore sets without an owner were removed.",
            "Nothing."),
    Message("KOB215", "evidence-kept", "info", "What showed the cause was kept with the incident.",
            "Read it with `koboshi why`."),
    Message("KOB216", "explained", "info", "How the main process ended is known now.",
            "Read it with `koboshi why`."),
    Message("KOB217", "worker-replaced", "notice", "A hung child was ended, for a healthy parent to replace it.",
            "Nothing."),
    Message("KOB218", "postponed", "warning", "An action could not be begun, and is tried again each second.",
            "Look at who uses up the machine's threads or koboshi's descriptors: the sentence says which."),
    Message("KOB310", "recovered", "notice", "The server serves again; the incident is closed.",
            "Read `koboshi why` for the cause, so that it does not come again."),
    Message("KOB311", "up", "info", "The server is up.", "Nothing."),
    Message("KOB312", "normal", "notice", "The server answers as it should again; nothing was restarted.", "Nothing."),
    Message("KOB313", "adopted", "info", "koboshi found the server running and watches it without touching it.",
            "Nothing."),
    Message("KOB314", "eased", "notice", "Something odd about sockets, descriptors, the log or the machine is over.",
            "Nothing."),
    Message("KOB410", "exhausted", "crit", "The restarts of the window are spent and the server is still down.",
            "Mend the cause (`koboshi why`), then `koboshi clear RESOURCE`."),
    Message("KOB411", "hopeless", "crit", "The fault is the machine's, so that a restart here cannot help.",
            "Mend the machine as the sentence says, then `koboshi clear RESOURCE`."),
    Message("KOB412", "escalated", "alert", "The resource was handed over, as `on_exhausted` says.",
            "Look where the service runs now; `koboshi clear RESOURCE` when it may run here again."),
    Message("KOB413", "hand-over-failed", "crit",
            "The clusterware was not to be told; what it hears when it asks next says the same.",
            "See that the cluster's commands work for the user that koboshi runs as, and what the sentence says."),
    Message("KOB414", "reboot-suppressed", "crit",
            "The machine would have been rebooted, but a guard forbids it.",
            "Mend the cause (`koboshi why`), then `koboshi clear RESOURCE`."),
    Message("KOB415", "rebooting", "alert", "The machine is being rebooted, as `on_exhausted` says.",
            "After the reboot, read `koboshi why` for what led to it."),
    Message("KOB416", "taken-back", "notice", "A hand-over was taken back: the resource may run on this node again.",
            "Nothing; the cluster decides where it runs."),
    Message("KOB417", "cluster-decided", "notice", "What the cluster did about the resource, as its alert says.",
            "Nothing."),
    Message("KOB510", "starting", "info", "A start was asked for.", "Nothing."),
    Message("KOB511", "stopping", "info", "A stop was asked for.", "Nothing."),
    Message("KOB512", "stopped", "notice", "The server was stopped as asked.", "Nothing."),
    Message("KOB513", "paused", "notice", "koboshi only observes this server until the pause ends.",
            "`koboshi resume RESOURCE` ends it early."),
    Message("KOB514", "resumed", "notice", "The pause is over; koboshi acts again.", "Nothing."),
    Message("KOB515", "cleared", "notice", "The restart budget is full again and a hand-over is forgotten.",
            "Nothing."),
    Message("KOB516", "reloaded", "info", "The server took its configuration anew.", "Nothing."),
    Message("KOB517", "reload-refused", "warning", "A reload was asked for while the server is not up.",
            "Reload it when `koboshi status` shows it up."),
    Message("KOB518", "reload-failed", "error", "The reload failed; the server goes on with what it had.",
            "Mend what the proof names and reload again."),
    Message("KOB519", "restart-refused", "error",
            "A restart was asked for, but the new configuration is broken: the running server is kept.",
            "Mend the file and line that the proof names and ask again."),
    Message("KOB520", "released", "notice", "The resource is no longer watched; its server is left as it is.",
            "Nothing."),
    Message("KOB910", "daemon-started", "info", "koboshi runs.", "Nothing."),
    Message("KOB911", "daemon-ended", "notice", "koboshi ended; the servers go on without it.",
            "Start it again if the servers should be watched."),
    Message("KOB912", "config-reloaded", "notice", "koboshi took its own configuration anew.", "Nothing."),
    Message("KOB913", "config-refused", "error", "koboshi's new configuration has errors; it goes on with the old one.",
            "`koboshi check-config` lists every error; mend them and reload."),
    Message("KOB914", "journal-lost", "error", "Incidents cannot be written to the journal; recovery goes on without.",
            "Free space in the state directory, or mend what the sentence names."),
    Message("KOB915", "journal-back", "notice", "The journal can be written again.",
            "Nothing; the number of lost entries is in the sentence."),
    Message("KOB916", "state-lost", "error", "What koboshi knows of a resource could not be saved; recovery goes on.",
            "Free space in the runtime directory: if koboshi is killed now, it forgets the restarts of this window."),
    Message("KOB917", "sensor-lost", "warning", "One of koboshi's ways to see is not to be had; the others go on.",
            "Mend what the sentence names, often a limit on open files."),
    Message("KOB918", "balancer-lost", "error", "A load balancer's door could not be opened; it hears nothing there.",
            "Free the address that the sentence names, then `koboshi reload`."),
    Message("KOB919", "stood-still", "notice", "koboshi itself was not scheduled for a while.",
            "Look whether the machine was paused by its hypervisor, suspended, or short of processors."),
)  # fmt: skip

CATALOGUE: Final = {message.name: message for message in _ENTRIES}


def sanitise(text: str | bytes, limit: int = 500) -> str:
    """``text`` as one harmless line of at most ``limit`` characters.

    No line ends, control characters, terminal escapes or direction marks (each run of white space becomes one space);
    what is not UTF-8 or no character at all becomes U+FFFD; what was cut ends in an ellipsis. Sanitising twice changes
    nothing.
    """
    enough = limit * 8
    cut = len(text) > enough
    text = text[:enough]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(_harmless(char) for char in _ESCAPES.sub("", text))
    line = _SPACES.sub(" ", text).strip()
    if cut or len(line) > limit:
        line = line[: limit - 1] + "…"
    return line


def _harmless(char: str) -> str:
    if " " <= char <= "~":
        return char
    if char.isspace():
        return " "
    match unicodedata.category(char):
        case "Cc" | "Cf":
            return ""
        case "Cs" | "Cn" | "Co":
            return "\N{REPLACEMENT CHARACTER}"
    return char


def incident_id(resource: str, number: int) -> str:
    """How people name an incident: ``web1-7``."""
    return f"{resource}-{number}"


def render(resource: str, tell: Tell) -> str:
    """One line for people. ``resource`` is empty when koboshi speaks of itself."""
    message = CATALOGUE[tell.message]
    line = f"{resource or 'koboshi'} {message.name}: {sanitise(tell.detail) or message.meaning}"
    if tell.fault is not None and tell.fault.proof and (message.id[3] in PROVED or message.name in EXPLANATIONS):
        line += f" | {sanitise(tell.fault.proof)}"
    marks = [message.id]
    if tell.fault is not None:
        marks.append(sanitise(tell.fault.cause, 64))
    if tell.incident:
        marks.append(incident_id(resource, tell.incident))
    return f"{line} [{', '.join(marks)}]"


def catalogue_page() -> str:
    """``docs/messages.rst``."""
    lines = [
        ".. Generated by ``python -m cluster_glue.messages``; edit cluster_glue/messages.py instead.",
        "",
        "Messages",
        "========",
        "",
        "Each thing that koboshi says has an id that stays the same from version to version. It stands first in",
        "syslog, where ``resource=``, ``event=`` and ``incident=`` follow, and in brackets at the end of a line of",
        "``koboshi run``. Transitions are said once, not again and again. ``koboshi why`` tells the whole story of",
        "an incident.",
        "",
    ]
    for digit, title in GROUPS.items():
        lines += [title, "-" * len(title), ""]
        for message in sorted(_ENTRIES, key=lambda entry: entry.id):
            if message.id[3] == digit:
                lines += [f".. _{message.id}:", "", f"**{message.id}** ``{message.name}`` ({message.severity})"]
                lines += [f"    {_rst(message.meaning)}", "", f"    *What to do:* {_rst(message.advice)}", ""]
    return "\n".join(lines)


def _rst(text: str) -> str:
    return text.replace("`", "``")


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
