"""What the machine around the servers lacks: sockets, ports, certificates, disks, names of back ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.causes.fault import Fault
from bench.causes.making import GET
from bench.causes.namespaces import HERE, THERE, joined, move, peer, within
from bench.causes.stage import QUICK, Stage
from tests.ports import free_port
from tests.socket_watch import ask, server_values

#: Probes that are patient, for servers that are slow and well.
PATIENT = QUICK.replace("probe_timeout = 1\n", "probe_timeout = 8\n").replace(
    "connect_timeout = 1\n", "connect_timeout = 8\n"
)


# ---- sockets ---------------------------------------------------------------------------------------------------------


def leak(stage: Stage) -> None:
    """An application (agent command) that never closes a connection again."""
    stage.port = free_port()
    values = "".join(f'{name} = "{value}"\n' for name, value in server_values([stage.port]).items())
    numbers = "close_wait_warning = 5\nclose_wait_error = 10\nclose_wait_age = 0.5\nleak_hold = 1\n"
    stage.config = f'[resource.web]\nagent = "command"\n{values}{numbers}'
    stage.run()
    stage.up()
    ask(stage.port, "/keep")
    for _ in range(30):
        ask(stage.port)


def spins(stage: Stage) -> None:
    """An application that computes for ever in the only thread it has."""
    stage.port = free_port()
    values = "".join(f'{name} = "{value}"\n' for name, value in server_values([stage.port]).items())
    stage.config = f'[resource.web]\nagent = "command"\n{values}'
    stage.run()
    stage.up()
    ask(stage.port, "/spin")


def queue_full(stage: Stage) -> None:
    """Four workers, more clients than they get through with, and an accept queue that is always nearly full."""
    port, _ = stage.back_end(0.05)
    stage.numbers = PATIENT
    stage.configure(f"ProxyPass /app http://127.0.0.1:{port}/ retry=0 timeout=60\n")
    stage.edit("ListenBacklog 8", "ListenBacklog 40")
    stage.run()
    stage.up()
    stage.clients(42, GET % b"/app/")


def syn_flood(stage: Stage) -> None:
    """SYNs from another namespace, whose answers reach nobody."""
    names = joined(stage, "ipv4/tcp_syncookies=0", "ipv4/tcp_max_syn_backlog=128", "core/somaxconn=64")
    stage.configure()
    move(stage, f"127.0.0.1:{stage.port}", f"{HERE}:{stage.port}")
    stage.run()
    stage.up()
    peer(stage, names[1], "flood", HERE, str(stage.port))


def ports_spent(stage: Stage) -> None:
    """A proxy with few local ports, which each wait for a minute after use (TIME_WAIT), and a busy site."""
    names = joined(stage, "ipv4/ip_local_port_range=40000 40063", "ipv4/tcp_tw_reuse=0")
    back = free_port()
    if stage.server == "nginx":
        stage.configure(root=f"proxy_pass http://{THERE}:{back}/;")
    else:
        pool = "disablereuse=on retry=0 timeout=20"
        stage.configure(f"ProxyPass /app http://{THERE}:{back}/ {pool}\n", url="/app/")
    move(stage, f"127.0.0.1:{stage.port}", f"{HERE}:{stage.port}")
    peer(stage, names[1], "answer", THERE, str(back), "0")
    stage.run()
    stage.up()
    peer(stage, names[1], "ask", "2", f"http://{HERE}:{stage.port}/app/")


def conntrack(stage: Stage) -> None:
    """The kernel's table of tracked connections is full of what it may not forget, in a namespace of its own."""
    names = joined(stage)
    for words in (
        "add table ip t",
        "add chain ip t c {type filter hook input priority 0;}",
        "add rule ip t c ct state new",
    ):
        within(names[0], "nft", words)
    stage.configure()
    stage.run()
    stage.up()
    peer(stage, names[0], "track")


# ---- certificates ----------------------------------------------------------------------------------------------------


def certificate(stage: Stage, days: int) -> tuple[Path, Path]:
    """A certificate that expires after so many days (or did before), and its key."""
    folder = stage.folder / "tls"
    folder.mkdir()
    asked, made, key = folder / "asked.pem", folder / "made.pem", folder / "key.pem"
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(asked))
    sign = ("x509", "-req", "-in", str(asked), "-signkey", str(key), "-days", str(days), "-out", str(made))
    for words in (new, sign):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return made, key


def tls(stage: Stage, made: Path, key: Path) -> None:
    """The server's configuration with an HTTPS site besides."""
    port = free_port()
    if stage.server == "nginx":
        site = f"listen 127.0.0.1:{port} ssl; ssl_certificate {made}; ssl_certificate_key {key};"
        stage.configure(http=f"server {{ {site} }}")
        return
    stage.configure(
        f"LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\nListen 127.0.0.1:{port} https\n"
        f"<VirtualHost 127.0.0.1:{port}>\nSSLEngine on\nSSLCertificateFile {made}\nSSLCertificateKeyFile {key}\n"
        "</VirtualHost>\n"
    )


def expired(stage: Stage) -> None:
    tls(stage, *certificate(stage, -1))
    stage.run()


def key_missing(stage: Stage) -> None:
    made, key = certificate(stage, 30)
    key.unlink()
    tls(stage, made, key)
    stage.run()


def key_of_another(stage: Stage) -> None:
    made, key = certificate(stage, 30)
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    tls(stage, made, key)
    stage.run()


# ---- disks -----------------------------------------------------------------------------------------------------------


def read_only(folder: str, killed: bool) -> Callable[[Stage], None]:
    """A folder below the server's becomes read-only; then somebody may kill the server."""

    def make(stage: Stage) -> None:
        stage.configure()
        web = stage.folder / "web"
        place = web / folder
        place.mkdir(exist_ok=True)
        if killed:
            stage.edit(f"{web}/error.log", f"{place}/error.log")
        stage.run()
        main = stage.up()
        subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
        stage.undo.callback(lambda: subprocess.run(["umount", "-l", str(place)], check=False))
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        if killed:
            stage.shell(signal.SIGKILL, main.pid)

    return make


# ---- back ends -------------------------------------------------------------------------------------------------------


def back_end_down(stage: Stage) -> None:
    port, close = stage.back_end(0.0)
    stage.configure(root=f"proxy_pass http://127.0.0.1:{port}/;")
    stage.run()
    stage.up()
    close()


def name_lost(stage: Stage) -> None:
    """The name of the back end has an address when the server starts, and none later."""
    _named_back_end(stage, "", f"127.0.0.1:{stage.back_end(0.0)[0]}")
    stage.run()
    stage.up()
    (stage.folder / "hosts").write_text("127.0.0.1 localhost\n")


def name_server_silent(stage: Stage) -> None:
    """The same, and a name server to which questions do not get: the workers wait for it."""
    here, there = joined(stage)
    for words in (
        "add table ip t",
        "add chain ip t c {type filter hook input priority 0;}",
        "add rule ip t c udp dport 53 drop",
    ):
        within(there, "nft", words)
    _named_back_end(stage, f"nameserver {THERE}\n", _answers(stage, there))
    stage.inside = ("/usr/bin/nsenter", f"--net={here}", *stage.inside)
    move(stage, f"127.0.0.1:{stage.port}", f"{HERE}:{stage.port}")
    stage.run()
    stage.up()
    (stage.folder / "hosts").write_text("127.0.0.1 localhost\n")
    peer(stage, there, "ask", "3", f"http://{HERE}:{stage.port}/app/")


def name_never(stage: Stage) -> None:
    """A name that is resolved with each request, and a name server that is not there."""
    resolver = "resolver 127.0.0.1:9 ipv6=off; resolver_timeout 300ms; set $back http://back.invalid;"
    stage.configure(root=f"{resolver} proxy_pass $back;")
    stage.edit("location = /status", "location = /well { return 200 well; } location = /status")
    stage.run()


def _named_back_end(stage: Stage, resolver: str, back_end: str) -> None:
    """Apache in front of a back end that it knows by a name of the stage's own, with ``resolver`` as resolv.conf."""
    host, port = back_end.split(":")
    hosts, resolv = stage.folder / "hosts", stage.folder / "resolv.conf"
    hosts.write_text(f"{host} back.invalid\n127.0.0.1 localhost\n")
    resolv.write_text(resolver or Path("/etc/resolv.conf").read_text())
    mounts = f"mount --bind {hosts} /etc/hosts && mount --bind {resolv} /etc/resolv.conf"
    stage.inside = ("/usr/bin/unshare", "-m", "/bin/sh", "-c", f'{mounts} && exec "$@"', "sh")
    stage.configure(f"ProxyPass /app http://back.invalid:{port}/ disablereuse=on retry=0 timeout=20\n", url="/app/")


def _answers(stage: Stage, name: str) -> str:
    """A back end in a namespace; its address."""
    port = free_port()
    peer(stage, name, "answer", THERE, str(port), "0")
    return f"{THERE}:{port}"


ROWS: tuple[Fault, ...] = (
    Fault("CLOSE_WAIT leak of an application", "command", leak, ("close-wait-leak",)),
    Fault("only worker spinning", "command", spins, ("spinning",)),
    Fault("accept queue full", "apache", queue_full, ("accept-queue-full", "accept-queue-overflow"), spare=True),
    Fault("SYN flood", "nginx", syn_flood, ("syn-flood",), spare=True),
    *(
        Fault("ephemeral ports used up", server, ports_spent, ("local-ports-exhausted", "ports-exhausted"), spare=True)
        for server in ("nginx", "apache")
    ),
    Fault("connection tracking table full", "nginx", conntrack, ("conntrack-full",), spare=True),
    *(
        fault
        for server in ("apache", "nginx")
        for fault in (
            Fault("certificate expired", server, expired, ("certificate-expired",), spare=True),
            Fault("certificate's key missing", server, key_missing, ("certificate-or-key",)),
            Fault("key of another certificate", server, key_of_another, ("certificate-or-key",)),
            Fault("log disk read-only, then killed", server, read_only("logs", True), ("disk-read-only",), spare=True),
        )
    ),
    Fault("read-only document root", "apache", read_only("htdocs", False), ("",), spare=True),
    Fault("back end down", "nginx", back_end_down, ("backend-down",), spare=True),
    Fault("back end's name lost", "apache", name_lost, ("name-resolution",), spare=True),
    Fault("name server silent", "apache", name_server_silent, ("name-resolution",), spare=True),
    Fault("back end's name never resolved", "nginx", name_never, ("name-resolution",), spare=True),
)
