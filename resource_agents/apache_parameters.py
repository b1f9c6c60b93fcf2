"""Apache's instance parameters: those of ocf:heartbeat:apache with their meanings and better defaults."""

from __future__ import annotations

from ocf.declarations import Parameter

#: A page of mod_status ends with the one, and with ``?auto`` has the other.
STATUS_PATTERN = "</ *html *>|^Scoreboard:"

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "configfile",
        "string",
        "",
        "configuration file",
        "Empty: the first of /etc/apache2/httpd.conf (SUSE), /etc/apache2/apache2.conf (Debian) and "
        "/etc/httpd/conf/httpd.conf that exists.",
        unique=True,
    ),
    Parameter(
        "httpd",
        "string",
        "/usr/sbin/httpd",
        "Apache program",
        "When it is not there, the places where distributions keep it are searched.",
    ),
    Parameter(
        "port",
        "integer",
        "",
        "port to ask",
        "Empty: the first that the configuration file opens, else 80. It has no effect on what Apache listens on.",
    ),
    Parameter(
        "statusurl",
        "string",
        "",
        "URL that says whether Apache works",
        "Empty: testurl; else the location of the server-status handler in the configuration file, else / on the "
        "first address it listens on. For an address that was found like this any answer below 500 is a good one, "
        "and so are 501 to 504, with which a proxy blames others: it proves that Apache answers, which is all that "
        "a restart can mend. A URL that is given must answer with a status below 400 and match testregex.",
        reloadable=True,
    ),
    Parameter(
        "testregex",
        "string",
        STATUS_PATTERN,
        "extended regular expression that statusurl must match",
        "Upper and lower case are alike, ^ and $ are the ends of a line.",
        reloadable=True,
    ),
    Parameter(
        "client",
        "string",
        "",
        "HTTP client",
        "Accepted so that a configuration for ocf:heartbeat:apache needs no change: the agent asks without a client.",
        reloadable=True,
    ),
    Parameter(
        "testurl",
        "string",
        "",
        "URL for monitor level 10",
        "When it begins with /, the address comes from the configuration file.",
        reloadable=True,
    ),
    Parameter("testregex10", "string", "", "extended regular expression that testurl must match", reloadable=True),
    Parameter(
        "testconffile",
        "string",
        "",
        "file of web tests for monitor level 10",
        "Blocks from 'test NAME' to 'end' with the keys url, match, user, password, client_opts (a Host header counts)."
        " It comes before testurl.",
        reloadable=True,
    ),
    Parameter("testname", "string", "", "name of the test in testconffile", "Empty: the first one.", reloadable=True),
    Parameter("options", "string", "", "further words of Apache's command line", "-DSTATUS is always there."),
    Parameter(
        "envfiles",
        "string",
        "/etc/apache2/envvars",
        "shell files that set Apache's environment",
        "Separated by spaces; one that is not there is passed over. When the parameter is not given and there is a "
        "file envvars beside configfile, that one is taken. Nothing else is in Apache's environment but PATH and LANG.",
    ),
    Parameter("use_ipv6", "boolean", "false", "ask the status page over IPv6", reloadable=True),
)
