"""Tomcat's instance parameters: those of ocf:heartbeat:tomcat with their meanings, and ``testregex``."""

from __future__ import annotations

from ocf.declarations import Parameter

_COMPATIBLE = "Accepted so that a configuration for ocf:heartbeat:tomcat needs no change; it has no effect. "

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("tomcat_name", "string", "tomcat", "name of the instance, given to the JVM as -Dname", unique=True),
    Parameter("catalina_home", "string", "", "home directory of Tomcat (must be set)"),
    Parameter("catalina_base", "string", "", "directory of the instance; empty: catalina_home", unique=True),
    Parameter("java_home", "string", "", "home directory of Java, with bin/java below it (must be set)"),
    Parameter("tomcat_user", "string", "root", "user that Tomcat runs as"),
    Parameter(
        "statusurl",
        "string",
        "",
        "URL that says whether Tomcat works",
        "Empty: the first HTTP connector of server.xml is asked, and any answer below 500 is a good one. "
        "Each AJP connector is asked by CPING besides.",
        reloadable=True,
    ),
    Parameter("testregex", "string", "", "regular expression that the page must match", reloadable=True),
    Parameter(
        "tomcat_start_script",
        "string",
        "",
        "start script",
        "Empty: bin/catalina.sh below catalina_home, else /usr/sbin/tomcat or /usr/sbin/tomcat6. catalina.sh and "
        "daemon.sh (jsvc) are called with 'run', Debian's tomcat-start.sh without a word, any other with 'start'.",
    ),
    Parameter("tomcat_start_opts", "string", "", "words for the start script, such as -security"),
    Parameter("catalina_opts", "string", "", "Java options of the server"),
    Parameter("java_opts", "string", "", "Java options of every command of the start script"),
    Parameter(
        "catalina_out", "string", "", "log of the JVM; empty: logs/catalina.out below catalina_base", unique=True
    ),
    Parameter(
        "catalina_pid",
        "string",
        "",
        "pid file to write, for other programs",
        "koboshi itself knows the JVM by its catalina.base.",
        unique=True,
    ),
    Parameter("catalina_tmpdir", "string", "", "directory for temporary files", unique=True),
    Parameter(
        "max_stop_time",
        "integer",
        "",
        "seconds that Tomcat has to stop by itself",
        "Empty: 85 per cent of the time that the stop action has; 0: all of it. Then a thread dump, then SIGKILL.",
        reloadable=True,
    ),
    Parameter(
        "catalina_rotate_log",
        "boolean",
        "NO",
        "write the JVM's log through rotatelogs",
        "The log is then logs/catalina_DATE.log below catalina_base, and catalina_out stays as it is.",
    ),
    Parameter("catalina_rotatetime", "integer", "86400", "seconds between two such logs"),
    Parameter(
        "force_systemd",
        "boolean",
        "0",
        "start and stop the unit tomcat@tomcat_name instead of a script",
        "The unit's own environment file holds its settings; koboshi does not write it.",
    ),
    Parameter("java_endorsed_dirs", "string", "", "JAVA_ENDORSED_DIRS of old Java releases", unique=True),
    Parameter("logging_config", "string", "", "option that names the logging configuration", unique=True),
    Parameter("logging_manager", "string", "", "option that names the logging manager", unique=True),
    Parameter("script_log", "string", "", "log of start and stop", _COMPATIBLE, unique=True),
    Parameter("tomcat_stop_timeout", "integer", "", "deprecated", _COMPATIBLE),
    Parameter("tomcat_suspend_trialcount", "integer", "", "deprecated", _COMPATIBLE),
)
