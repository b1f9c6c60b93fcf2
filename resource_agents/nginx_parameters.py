"""nginx's instance parameters: those of ocf:heartbeat:nginx with their meanings and better defaults."""

from __future__ import annotations

from ocf.declarations import Parameter

STATUS_PATTERN = "Reading: [0-9]+ Writing: [0-9]+ Waiting: [0-9]+"

_CLIENT = "Accepted so that a configuration for ocf:heartbeat:nginx needs no change: the agent asks without a client."

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "configfile",
        "string",
        "",
        "configuration file",
        "Empty: the one that is compiled into the program (--conf-path of nginx -V).",
        unique=True,
    ),
    Parameter("httpd", "string", "", "nginx program", "Empty: nginx in the usual directories."),
    Parameter(
        "port",
        "integer",
        "",
        "port to ask",
        "Empty: the first that the configuration file opens, else 80. It has no effect on what nginx listens on.",
    ),
    Parameter(
        "status10url",
        "string",
        "",
        "status page: URL for monitor level 10",
        "Empty: the location with stub_status in the configuration file. When it begins with /, the address comes from "
        "the configuration file. Without it, test20url is the health request of every check; without both, the "
        "status page that was found, else / on the first address: then any answer below 500 is a good one, and so are "
        "501 to 504, with which a proxy blames others.",
        reloadable=True,
    ),
    Parameter(
        "status10regex",
        "string",
        STATUS_PATTERN,
        "extended regular expression that status10url must match",
        reloadable=True,
    ),
    Parameter("testclient", "string", "", "HTTP client", _CLIENT, reloadable=True),
    Parameter("client", "string", "", "HTTP client (the name that ocf:heartbeat:nginx really reads)", _CLIENT),
    Parameter(
        "test20url", "string", "", "URL for monitor level 20", "Relative as status10url may be.", reloadable=True
    ),
    Parameter("test20regex", "string", "", "extended regular expression that test20url must match", reloadable=True),
    Parameter(
        "test20conffile",
        "string",
        "",
        "file of web tests for monitor level 20",
        "Blocks from 'test NAME' to 'end' with the keys url, match, user, password, client_opts (a Host header counts)."
        " It comes before test20url.",
        reloadable=True,
    ),
    Parameter(
        "test20name", "string", "", "name of the test in test20conffile", "Empty: the first one.", reloadable=True
    ),
    Parameter(
        "external_monitor30_cmd",
        "string",
        "",
        "command for monitor level 30",
        "A shell command line; exit status 0 means healthy.",
        reloadable=True,
    ),
    Parameter("options", "string", "", "further words of nginx's command line", "Such as -p PREFIX or -g DIRECTIVES."),
)
