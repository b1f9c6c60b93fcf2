"""The configuration: every error at once, with line, name and the nearest valid name; never half of it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue import values
from cluster_glue.config import ConfigErrors, connectors, load, parse
from cluster_glue.recovery.policy import Policy
from cluster_glue.reference import configuration_page
from cluster_glue.toml_lines import Places
from tests.house import text_of
from tests.unit import doll

GOOD = """\
[koboshi]
syslog = ""

[resource.web1]
agent = "doll"
start_command = "/bin/doll --serve"
port = 8080
verbose = true
stop_timeout = "30s"
probe_interval = 2
restart_wait = "1500ms"
restart_limit = 5

[resource."www.example.org"]
agent = "doll"
start_command = "x"
configfile = "/etc/other.conf"
autostart = false
"""

assert doll.AGENT


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "k.toml")
    return str(caught.value).splitlines()


def resource(*lines: str) -> str:
    return "\n".join(["[resource.web1]", 'agent = "doll"', 'start_command = "x"', *lines])


def test_a_good_file_is_taken_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "koboshi.toml"
    path.write_text(GOOD)
    config = load(path)
    assert config.path == str(path)
    assert config.settings.syslog == ""
    assert config.settings.connector == "standalone"
    assert list(config.resources) == ["web1", "www.example.org"]
    web1, www = config.resources.values()
    assert (web1.name, web1.agent, web1.autostart) == ("web1", "doll", True)
    assert web1.values == {"start_command": "/bin/doll --serve", "port": "8080", "verbose": "true"}
    assert web1.policy == Policy(restart_limit=5, stop_timeout=30.0, probe_interval=2.0, restart_wait=1.5)
    assert www.autostart is False
    assert www.policy == Policy()


def test_an_empty_file_watches_nothing() -> None:
    assert parse("").resources == {}


def test_every_error_is_told_at_once_in_the_order_of_the_file() -> None:
    told = errors(
        'typo = 1\n[koboshi]\nsyslgo = "x"\nconnector = "standalnoe"\n'
        '[resource.web1]\nagent = "dol"\nprobe_timeout = true\n'
        '[resource.web2]\nagent = "doll"\nrestrat_limit = 3\nrestart_window = "1w"\nport = "eighty"\n'
        '[resource.web3]\nautostart = "yes"\non_exhausted = "pray"\nrestart_limit = -1\n'
    )
    lines = [1, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16]
    assert [line.partition(": ")[0] for line in told] == [f"k.toml:{number}" for number in lines]
    for line, (name, words) in zip(
        told,
        [
            ("typo", "valid: koboshi, resource"),
            ("koboshi.syslgo", "did you mean syslog?"),
            ("koboshi.connector", "did you mean standalone?"),
            ("resource.web1.agent", "there is no agent 'dol'"),
            ("resource.web1.probe_timeout", "true is no time"),
            ("resource.web2.start_command", "is required: how to start it"),
            ("resource.web2.restrat_limit", "did you mean restart_limit?"),
            ("resource.web2.restart_window", "'1w' is no time"),
            ("resource.web2.port", "'eighty' is not a whole number"),
            ("resource.web3", "it has no agent"),
            ("resource.web3.autostart", "neither true nor false"),
            ("resource.web3.on_exhausted", "valid: failover, reboot, report"),
            ("resource.web3.restart_limit", "at least 0 restarts"),
        ],
        strict=True,
    ):
        assert f" {name}: " in line
        assert words in line


def test_a_misspelt_policy_is_found_even_where_the_agent_is_unknown() -> None:
    told = errors('[resource.a]\nagent = "nosuch"\nstop_timout = 3\nwhatever = 1\n')
    assert len(told) == 2
    assert "did you mean stop_timeout?" in told[1]


def test_a_policy_that_contradicts_itself_is_told_with_the_line_of_its_table() -> None:
    (told,) = errors("# head\n" + resource('restart_window = "10m"'))
    assert told.startswith("k.toml:5: resource.web1.restart_window: restart_window = 600 s cannot hold")
    (told,) = errors("# head\n" + resource("start_timeout = 86400"))
    assert told.startswith("k.toml:2: resource.web1: restart_window = 86400 s cannot hold its own restarts")
    (told,) = errors(resource("connect_timeout = 10"))
    assert "longer than probe_timeout" in told


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[koboshi\n", 1, "not TOML"),
        ("a = 1\na = 2\n", 2, "not TOML"),
        ('x = "', None, "end of the file"),
        ("[resource]\nweb1 = 3\n", 2, "write [resource.web1]"),
        ("resource = 3\n", 1, "it must be a table"),
        ("koboshi = []\n", 1, "it must be a table"),
        ('[resource.web.1]\nagent = "doll"\n', 1, '[resource."web.1"]'),
        ('[resource."-x"]\nagent = "doll"\nstart_command = "x"\n', 1, "cannot be called so"),
        ('[resource."a/b"]\nagent = "doll"\nstart_command = "x"\n', 1, "cannot be called so"),
        (f'[resource.{"x" * 65}]\nagent = "doll"\nstart_command = "x"\n', 1, "cannot be called so"),
        ("[resource.a]\nagent = 3\n", 2, "is no text"),
        (resource("probe_timeout = nan"), 4, "out of all bounds"),
        (resource("probe_interval = inf"), 4, "out of all bounds"),
        (resource("restart_window = 1e300"), 4, "out of all bounds"),
        (resource("restart_wait_factor = 1e6"), 4, "too large"),
        (resource('restart_wait_factor = "2"'), 4, "no number"),
        (resource("restart_limit = 2.5"), 4, "no whole number"),
        (resource("restart_limit = 999999999999999999999999"), 4, "out of all bounds"),
        (resource("port = [80]"), 4, "a list is neither text"),
        (resource("port = 1.5"), 4, "1.5 is neither text"),
        (resource('configfile = "a\\u0000b"'), 4, "control character U+0000"),
        (resource('verbose = "maybe"'), 4, "neither true nor false"),
        (resource('verbose = "true"', "port = 0"), 5, "cannot be verbose"),
        ("x = " + "[" * 100_000, None, "nested too deeply"),
    ],
)
def test_a_wrong_file_is_told_with_line_and_remedy(text: str, line: int | None, words: str) -> None:
    (told,) = errors(text)
    assert told.startswith(f"k.toml:{line}: " if line else "k.toml: ")
    assert words in told


def test_two_resources_never_watch_one_server() -> None:
    (told,) = errors(resource() + "\n" + resource().replace("web1", "web2"))
    assert told.startswith("k.toml:4: resource.web2.configfile: ")
    assert "is what web1 has, too" in told


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "koboshi.toml"
    with pytest.raises(ConfigErrors, match="koboshi"):
        load(path)
    with pytest.raises(ConfigErrors):
        load(tmp_path)
    path.write_bytes(b"[koboshi]\n# caf\xe9\n")
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    assert str(caught.value) == f"{path}:2: byte 0xe9 is not UTF-8; save the file as UTF-8"
    path.write_bytes(b"#" * (5 << 20))
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    assert "is larger than" in str(caught.value)
    with pytest.raises(ConfigErrors) as caught:
        load(os.devnull + "/x")
    assert "Not a directory" in str(caught.value)


def test_an_error_is_one_line_whatever_the_file_holds() -> None:
    told = errors('"evil\\nk.toml:1: fine\\u001b[2J" = 1\n')
    assert len(told) == 1
    assert "\x1b" not in told[0]


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "k.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert len(load(path).resources) == 2


def test_the_clusterware_of_a_machine_alone_is_always_there() -> None:
    assert "standalone" in connectors()


def test_the_page_of_the_configuration_is_up_to_date() -> None:
    made = configuration_page()
    assert text_of("docs/configuration.rst") == made, "run: python -m cluster_glue.config > docs/configuration.rst"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (5, 5.0),
        (0.5, 0.5),
        ("500ms", 0.5),
        ("30m", 1800.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("2 d", 172800.0),
        ("7", 7.0),
    ],
)
def test_times_are_read_as_people_write_them(written: object, seconds: float) -> None:
    assert values.duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "5x", "-5s", "1h-", "m", True, None, [], "1e3s", "٣s m", 10**400, "9" * 400 + "s"]
)
def test_what_is_no_time_is_refused(written: object) -> None:
    with pytest.raises(values.ValueWrong):
        values.duration(written)


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
QUOTED = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=8)
VALUES = st.one_of(
    st.integers().map(str),
    QUOTED.map(lambda text: f'"{text}"'),
    QUOTED.map(lambda text: f'"""\n{text}\n[x]\ny = 1 # \\" """'),
    QUOTED.filter(lambda text: "'" not in text).map(lambda text: f"'''{text}\n]]\n'''"),
    st.lists(QUOTED, max_size=3).map(lambda items: "[\n" + "".join(f'"{item}", # ] "\n' for item in items) + "]"),
    st.just('{ x = "}", y = [1, 2] }'),
)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4), st.booleans())
def test_the_line_of_every_key_is_found(document: dict[str, dict[str, str]], spaced: bool) -> None:
    text, lines = "# head\n", {}
    for table, keys in document.items():
        text += f'["{table}"] # "\n' if spaced else f"[{table}]\n"
        lines[(table,)] = text.count("\n")
        for key, value in keys.items():
            lines[table, key] = text.count("\n") + 1
            text += f"  {key} = {value} # [no.table]\n\n" if spaced else f"{key}={value}\n"
    parse_check = Places(text)
    assert {path: parse_check.line(*path) for path in lines} == lines
    assert parse_check.line("no such table at all") is None
