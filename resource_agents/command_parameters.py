"""Instance parameters of ``command``."""

from __future__ import annotations

from ocf.declarations import Parameter

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "start_command",
        "string",
        "",
        "command that starts the server",
        "Split as a shell splits words, but run without a shell: write sh -c '...' for one. The server stays in the "
        "foreground, unless pidfile is given.",
        required=True,
    ),
    Parameter(
        "stop_command",
        "string",
        "",
        "command that stops the server",
        "It has half of the stop's time; what is left then gets signals. Empty: TERM, and KILL for what is left.",
    ),
    Parameter(
        "check_command",
        "string",
        "",
        "command that tests the server's configuration",
        "Exit status 0: good. It runs before a planned restart or reload.",
    ),
    Parameter(
        "pidfile",
        "string",
        "",
        "pid file of a server that goes to the background by itself",
        "Empty: the server stays in the foreground.",
        unique=True,
    ),
    Parameter(
        "port",
        "string",
        "",
        "addresses that the server listens on",
        "PORT, HOST:PORT or [IPV6]:PORT, several with spaces or commas between them. The server's orphans are found by "
        "them, and without statusurl the first one must accept connections.",
    ),
    Parameter(
        "statusurl",
        "string",
        "",
        "URL that says whether the server works",
        "Its status must be below 400.",
        reloadable=True,
    ),
    Parameter(
        "testregex",
        "string",
        "",
        "extended regular expression that statusurl must match",
        "Upper and lower case are alike, ^ and $ are the ends of a line.",
        reloadable=True,
    ),
    Parameter("user", "string", "", "user that the commands run as", "Empty: koboshi's own."),
    Parameter("directory", "string", "/", "directory that the commands run in"),
    Parameter(
        "environment",
        "string",
        "",
        "variables for the commands",
        "Words NAME=value, with quotes where a value has spaces. Besides them there is PATH, LANG, LC_ALL and a mark "
        "by which the server is known again, and nothing else.",
    ),
    Parameter(
        "process_pattern",
        "string",
        "",
        "regular expression for the command line of the main process",
        "For a server that was not started by koboshi and whose main process runs another command line than "
        "start_command, such as one with a title of its own.",
    ),
    Parameter("error_log", "string", "", "log file in which the reason for a failure is looked for"),
)
