"""The configuration file: defaults, and faults that say what would be right."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw import config as configuration
from smsgw.config import Config, ConfigError, HttpSite, Node, SmppListener, find, load, parse
from smsgw.dialects import CodeWords
from smsgw.toml import shown
from smsgw.toml.lines import positions

SAMPLE = Path(__file__).parents[1] / "etc" / "smsgw.toml"


def faults(content: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(content, "smsgw.toml")
    return caught.value.lines


def faults_of(content: str) -> list[str]:
    try:
        parse(content)
    except ConfigError as error:
        return error.lines
    return []


def test_sample_is_the_defaults() -> None:
    """etc/smsgw.toml loads and says what holds without it."""
    config = load(SAMPLE)
    assert config == Config()
    assert config.notices == []


def test_a_site_is_dialects_on_a_listener_or_under_a_host() -> None:
    """``[[http.site]]``; hosts are compared in lower case."""
    config = parse(
        """
        [http]
        dialects = ["rest"]
        [[http.site]]
        dialects = ["sms.cgi"]
        hosts = ["SMS.example.com"]
        [[http.site]]
        dialects = ["websmpp", "relay"]
        listen = ["tcp:8088"]
        """
    )
    assert config.http.dialects == ["rest"]
    assert config.http.site == [
        HttpSite(["sms.cgi"], hosts=["sms.example.com"]),
        HttpSite(["websmpp", "relay"], ["tcp:8088"]),
    ]


def test_faults_of_sites() -> None:
    """Neither listener nor host, a listener or a host twice, dialects that there are not."""
    lines = faults(
        """
        [[http.site]]
        dialects = ["rest"]
        [[http.site]]
        dialects = ["rest"]
        listen = ["tcp:8080"]
        hosts = ["sms.example.com:80"]
        [[http.site]]
        dialects = []
        hosts = ["a.example"]
        [[http.site]]
        dialects = ["soap"]
        hosts = ["a.example"]
        """
    )
    assert len(lines) == 3, lines
    assert lines[0].startswith("smsgw.toml:7: http.site.hosts")
    assert "http.site.dialects" in lines[1]
    assert "http.site.dialects" in lines[2]
    lines = faults(
        """
        [[http.site]]
        dialects = ["rest"]
        [[http.site]]
        dialects = ["rest"]
        listen = ["tcp:8080"]
        [[http.site]]
        dialects = ["rest"]
        hosts = ["a.example", "b.example"]
        [[http.site]]
        dialects = ["sms.cgi"]
        hosts = ["A.example"]
        """
    )
    assert [line.partition(": ")[2].partition(" ")[0] for line in lines] == [
        "http.site:",
        "http.site.listen:",
        "http.site.hosts:",
    ]


def test_absent_file_is_the_defaults(tmp_path: Path) -> None:
    """Without a file every default holds."""
    assert load(tmp_path / "absent.toml") == load(None) == Config()


def test_values_take_the_place_of_defaults() -> None:
    """What the file says holds; what it does not say stays the default."""
    config = parse(
        """
        node.name = "b"
        [[smpp.listen]]
        endpoint = "tcp:4002"
        profile = "link"
        [aerialink]
        allow_plain_http = true
        """
    )
    assert config.node == Node(name="b")
    assert config.smpp.listen == [SmppListener("tcp:4002", "link")]
    assert config.aerialink.allow_plain_http is True
    assert config.http == Config().http


def test_every_fault_is_told_with_line_key_and_remedy() -> None:
    """All faults of a file are collected, each on one line."""
    assert faults(
        """\
[node]
name = "a b"
roles = ["smpp", "carrier"]
[[smpp.listen]]
profile = "links"
[http]
listen = [
    "tcp:8080",
    "8081",
]
[aerialink]
max_destinations = 0
"""
    ) == [
        'smsgw.toml:2: node.name: "a b" is not allowed; '
        "it must be 1 to 32 letters, digits, - and _",
        'smsgw.toml:3: node.roles: "carrier" is not allowed; it must be "smpp", "http", "smtp", '
        '"carriers", "handover" or "scheduler" (did you mean "carriers"?)',
        "smsgw.toml:4: smpp.listen: endpoint is missing; "
        "add endpoint = ... (see the sample in etc/)",
        'smsgw.toml:5: smpp.listen.profile: "links" is not allowed; it must be "standard", '
        '"websmpp" or "link" (did you mean "link"?)',
        'smsgw.toml:9: http.listen: "8081" is no endpoint; it must be a Twisted endpoint such as '
        '"tcp:2775" or "tcp:8081:interface=127.0.0.1"',
        "smsgw.toml:12: aerialink.max_destinations: 0 is not allowed; "
        "it must be a whole number from 1 to 1000",
    ]


def test_unknown_key_suggests_the_nearest() -> None:
    """A mistyped key is refused, with the known one that is like it."""
    assert faults('[store]\nulr = "sqlite:///x"\n') == [
        'smsgw.toml:2: store.ulr: unknown key; did you mean "url"?'
    ]
    assert faults("[zebra]\n")[0].startswith("smsgw.toml:1: zebra: unknown key; known keys are ")


def test_syntax_error_has_its_line() -> None:
    """What is no TOML is told with the line at which it stops being that."""
    lines = faults('[node]\nname = "a"\nrole\n')
    assert len(lines) == 1
    assert lines[0].startswith("smsgw.toml:3: TOML: ")
    assert faults('[node]\nname = "a')[0].startswith("smsgw.toml:2: TOML: ")


@pytest.mark.parametrize(
    ("content", "key", "right"),
    [
        ('[store]\nurl = "postgresql+psycopg://h/"', "store.url", "postgresql+psycopg://smsgw@"),
        ('[store]\nurl = "var/x.db"', "store.url", "sqlite:///var/smsgw.db"),
        ('[broker]\nurl = "redis://h/"', "broker.url", "embedded:"),
        ('[broker]\nurl = "amqp://u:secret@h:x/"', "broker.url", "port"),
        ('[http]\npublic_url = "https://x/"', "http.public_url", "without a slash"),
        ('[http]\nlisten = ["tcp:99999"]', "http.listen", '"tcp:2775"'),
        ('[http]\nlisten = "tcp:1"', "http.listen", 'a list of endpoints such as ["tcp:8080"]'),
        ('[http]\nadmin = ["unix:"]', "http.admin", "unix:var/admin.sock"),
        ('[log]\nformat = "xml"', "log.format", '"text" or "json"'),
        ("[smpp]\nlisten = 1", "smpp.listen", "[[smpp.listen]]"),
        ("node = 3", "node", "a table"),
        ("[node]\nnumber = true", "node.number", "a whole number"),
        ('[smtp]\nrelay = "mail.example.com"', "smtp.relay", '"mail.example.com:25"'),
        ('[smtp]\nrelay = "mail.example.com:0"', "smtp.relay", '"mail.example.com:25"'),
        ('[smtp]\nrelay_tls = "always"', "smtp.relay_tls", '"required"'),
        ('[smtp]\ndomains = { sms = "a b" }', "smtp.domains.sms", '"sms.example.com"'),
        (
            '[aaisp]\nfediverse_base_url = "https://x/"',
            "aaisp.fediverse_base_url",
            "without a slash",
        ),
        ("[aaisp]\nfediverse_token = 1", "aaisp.fediverse_token", "a text"),
        ("[mm4]\n[link]\nidle_close_s = -1", "link.idle_close_s", "0 to 86400"),
    ],
)
def test_fault_names_key_and_what_would_be_right(content: str, key: str, right: str) -> None:
    """Each wrong value is told with its key and what would be right."""
    (line,) = faults(content)
    assert f" {key}: " in line
    assert right in line.partition("; ")[2] or right in line


@pytest.mark.parametrize(
    ("keys", "key", "right"),
    [
        ('tls = "auto"', "tls", "needs certificate"),
        ('tls = "on"', "tls", '"always"'),
        ('certificate = "c.pem"', "certificate", 'tls = "auto"'),
        ('client_ca = "c.pem"', "client_ca", 'tls = "auto"'),
        ("proxy = true", "proxy", "proxy_from"),
        ('proxy_from = ["10.0.0.5"]', "proxy", "proxy_from"),
        ('proxy_from = ["lb.example.com"]', "proxy_from", "10.0.0.0/8"),
        (
            'tls = "auto"\ncertificate = "c.pem"\nclient_certificate = "required"',
            "client_certificate",
            "client_ca",
        ),
    ],
)
def test_keys_of_an_smpp_listener_need_one_another(keys: str, key: str, right: str) -> None:
    """What would have no effect, or less than it says, is refused."""
    lines = faults(f'[[smpp.listen]]\nendpoint = "tcp:1"\n{keys}')
    assert f" smpp.listen.{key}: " in lines[0]
    assert right in lines[0]


def test_an_ssl_endpoint_has_no_preface() -> None:
    """Its TLS would come before the header of the proxy."""
    ssl = 'endpoint = "ssl:1:privateKey=k"\nproxy = true\nproxy_from = ["10.0.0.5"]'
    (line,) = faults(f"[[smpp.listen]]\n{ssl}")
    assert 'tls = "always"' in line


def test_one_endpoint_for_two_listeners_is_refused() -> None:
    """Two listeners cannot have one endpoint; port 0 is a free one for each."""
    assert faults('[http]\nlisten = ["tcp:8081:interface=127.0.0.1"]') == [
        'smsgw.toml:1: http.admin: "tcp:8081:interface=127.0.0.1" is taken by another listener; '
        "each needs its own"
    ]
    assert parse('[http]\nlisten = ["tcp:0"]\nadmin = ["tcp:0"]').http.admin == ["tcp:0"]


@pytest.mark.parametrize(
    ("lines", "path", "words"),
    [
        ("[http]\nproxy = true", "http.proxy", "proxy_from"),
        ('[http]\nproxy_from = ["10.0.0.5"]', "http.proxy", "proxy_from"),
        (
            '[http]\nlisten = ["ssl:1:privateKey=k"]\nproxy = true\nproxy_from = ["10.0.0.5"]',
            "http.listen",
            "before TLS",
        ),
        (
            '[[http.site]]\ndialects = ["rest"]\nhosts = ["a.example"]\nproxy = true\n'
            'proxy_from = ["10.0.0.5"]',
            "http.site.proxy",
            "without listen",
        ),
    ],
)
def test_http_behind_a_proxy_needs_all_of_it(lines: str, path: str, words: str) -> None:
    """Where the proxies are, a listener, and TLS at the proxy."""
    (line,) = faults(lines)
    assert f": {path}: " in line
    assert words in line


@pytest.mark.parametrize("key", ["http.listen", "http.admin"])
def test_a_proxys_address_is_not_taken_for_the_clients(key: str) -> None:
    """I6: behind ``haproxy:`` every allow-list would be asked about the proxy, so it is refused."""
    (line,) = faults(f'{key} = ["haproxy:tcp:8080"]')
    assert line.startswith(
        f'smsgw.toml:1: {key}: "haproxy:tcp:8080": the PROXY protocol is a matter of'
    )
    (line,) = faults('[[smpp.listen]]\nendpoint = "haproxy:tcp:2775"')
    assert "by proxy = true" in line


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (f"[node]\nnumber = {'1' * 5000}", 2, "TOML: a number of too many digits"),
        (f"[node]\n\nnumber = -{'1_' * 4999}1", 3, "TOML: a number of too many digits"),
        (f"[node]\nnumber = 0x{'f' * 5000}", 2, "node.number: a number of too many digits is not"),
        (f"[node]\nroles = [0x{'f' * 5000}]", 2, "node.roles: a number of too many digits is not"),
        ('store.url = "sqlite:///a\\u0000b"', 1, 'store.url: "sqlite:///a\\u0000b" is not a store'),
        ('http.admin = ["unix:a\\u0000b"]', 1, 'http.admin: "unix:a\\u0000b" is no endpoint'),
        ('http.public_url = "https://a\\nb"', 1, 'http.public_url: "https://a\\nb" is not'),
        ('node.name = "a\\nb\\u2028\\U000e0001"', 1, 'node.name: "a\\nb\\u2028\\U000e0001" is not'),
        ('node.name = """a\r\nb"""', 1, 'node.name: "a\\nb" is not'),
        ('"a\\tb\\n" = 1', 1, "a\\tb\\n: unknown key"),
        (f"node.{'x' * 5000} = 1", 1, f"node.{'x' * 57}...: unknown key"),
    ],
)
def test_a_fault_is_one_line_whatever_the_value(content: str, line: int, said: str) -> None:
    """What would not show on a line is escaped, and what is too long for one is cut."""
    (fault,) = faults(content)
    assert fault.startswith(f"smsgw.toml:{line}: {said}")
    assert fault.isprintable()


def test_only_the_file_that_nobody_names_may_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped ``-c`` is a fault; without it the default file is read if it is there."""
    monkeypatch.chdir(tmp_path)
    assert find(None) == Config()
    for named in (configuration.DEFAULT, "smsgw.tmol"):
        with pytest.raises(ConfigError) as caught:
            find(named)
        assert caught.value.lines == [f"{named}: no such file; name an existing one with -c"]
    default = tmp_path / configuration.DEFAULT
    default.parent.mkdir()
    default.write_text('node.name = "b"')
    assert find(None) == find(configuration.DEFAULT) == parse('node.name = "b"')


@pytest.mark.parametrize("named", ["", "x" * 300, "smsgw.toml/smsgw.toml"])
def test_a_name_that_cannot_be_looked_up_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """As of a folder that one may not enter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smsgw.toml").touch()
    with pytest.raises(ConfigError) as caught:
        find(named)
    (line,) = caught.value.lines
    assert line.endswith("; make it readable")


SHARED = (
    '[store]\nurl = "postgresql+psycopg://smsgw@h/smsgw"\n[broker]\nurl = "amqp://g:g@h:5672/"\n'
)


def test_listeners_of_edges_that_a_node_has_not_are_noticed() -> None:
    """What has no effect is said, not refused."""
    text = f'{SHARED}[node]\nroles = ["http"]\n[smtp]\nlisten = ["tcp:2525"]\n'
    assert parse(text, "f.toml").notices == [
        "f.toml:8: smtp.listen has no effect: node.roles has no smtp",
    ]


def test_a_node_alone_has_all_roles_that_are_no_edges() -> None:
    """Nobody else would send, hand over, or do what is due."""
    with pytest.raises(ConfigError) as caught:
        parse('[node]\nroles = ["smpp", "carriers"]\n', "f.toml")
    assert caught.value.lines == [
        "f.toml:2: node.roles: without handover and scheduler it needs other nodes: a store.url on "
        "PostgreSQL and a broker.url of RabbitMQ"
    ]


def test_outgoing_clients_have_their_settings() -> None:
    """Mail, callbacks and posts as a file sets them; tokens and passwords are not shown."""
    config = parse(
        """
        [smtp]
        domains = { sms = "sms.example.com" }
        relay = "mail.example.com:587"
        relay_tls = "required"
        relay_username = "smsgw"
        relay_password = "s3cret"
        [aaisp]
        allow_private_callbacks = true
        fediverse_base_url = "https://social.example.com"
        fediverse_token = "t0ken"
        [aql]
        join_parts = false
        [aerialink]
        retry_count = 3
        retry_interval_s = 60
        """
    )
    assert config.smtp.domains.sms == "sms.example.com"
    assert config.smtp.relay == "mail.example.com:587"
    assert config.aaisp.toots
    assert not config.aql.join_parts
    assert (config.aerialink.retry_count, config.aerialink.retry_interval_s) == (3, 60)
    assert "s3cret" not in repr(config)
    assert "t0ken" not in repr(config)
    assert not Config().aaisp.toots


def test_unreadable_file_is_one_line(tmp_path: Path) -> None:
    """A file that is not UTF-8, or no file, gives one line with the remedy."""
    path = tmp_path / "smsgw.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.lines == [f"{path}:1: TOML: not UTF-8; save the file as UTF-8"]
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert caught.value.lines == [f"{tmp_path}:1: file: Is a directory; make it readable"]


@pytest.mark.parametrize(
    ("setting", "peer", "allowed"),
    [
        ('"loopback"', "127.0.0.1", True),
        ('"loopback"', "::1", True),
        ('"loopback"', "unix", True),
        ('"loopback"', "192.0.2.1", False),
        ("true", "192.0.2.1", True),
        ("false", "127.0.0.1", False),
    ],
)
def test_plain_rest_is_for_this_machine_only(setting: str, peer: str, allowed: bool) -> None:
    """E-D5.

    REST without TLS is off, but for clients on this machine, unless the setting says otherwise.
    """
    config = parse(f"[aerialink]\nallow_plain_http = {setting}")
    assert config.aerialink.plain_allowed(peer) is allowed


def test_a_setting_may_be_spelled_with_a_dot() -> None:
    """E-D17 calls them ``retry.count`` and ``retry.interval_s``."""
    config = parse("[aerialink]\nretry.count = 3\nretry.interval_s = 60")
    assert (config.aerialink.retry_count, config.aerialink.retry_interval_s) == (3, 60)
    assert parse("[aerialink.retry]\ncount = 4").aerialink.retry_count == 4
    for text, said in (
        ("retry.count = 3\nretry_count = 3", "aerialink.retry.count: given twice"),
        ("retry.count = -1", "aerialink.retry.count: -1 is not allowed"),
        ("retry.cuont = 1", 'aerialink.retry: unknown key; did you mean "retry_count"?'),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(f"[aerialink]\n{text}", "c.toml")
        assert caught.value.lines[0].startswith(f"c.toml:2: {said}"), caught.value.lines


def test_account_settings_go_over_those_of_all() -> None:
    """Ruling 28: a key of account.settings.dialect holds for one account."""
    link = Config().link
    assert link.for_account({"dlr_format": "minutes"}).dlr_format == "minutes"
    assert link.for_account({}) is link


def test_positions_of_every_way_to_write_a_key() -> None:
    """Lines are right through dotted keys, inline tables, nested arrays and long texts."""
    text = '''\
# comment
a.b = 1
"quoted key" = {x = 1, "y.z" = [1, 2]}
long = """
[not.a.table]
k = "v"
"""
raw = \'\'\'
[[neither]]\'\'\'
list = [ # comment ]
  1979-05-27 07:32:00, # a date
  ["]", '['],
]
[[t]]
[[t.u]]
k = 1
[[t.u]]
k = 2
[t.v]
[[t]]
[[t.u]]
k = 3
'''
    found = positions(text)
    assert found["a", "b"] == 2
    assert found["quoted key", "x"] == 3
    assert found["quoted key", "y.z", 1] == 3
    assert found["long",] == 4
    assert found["list",] == 10
    assert found["list", 0] == 11
    assert found["list", 1] == 12
    assert found["t", 0] == 14
    assert found["t", 0, "u", 1, "k"] == 18
    assert found["t", 0, "v"] == 19
    assert found["t", 1, "u", 0, "k"] == 22
    assert not any("neither" in path or "not" in path for path in found)


@given(st.text(max_size=60))
def test_any_text_gives_a_configuration_or_faults(content: str) -> None:
    """No text makes it fail in another way than with faults."""
    assert all(line.startswith("smsgw.toml:") for line in faults_of(content))


@given(
    st.recursive(
        st.integers() | st.text(max_size=5) | st.booleans() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(
        ["node", "smpp", "http.listen", "store.url", "link.idle_close_s", "smpp.listen"]
    ),
)
def test_any_value_anywhere_gives_a_configuration_or_faults(value: object, key: str) -> None:
    """A value of any type at any key is taken or told."""
    text = repr(value).replace("True", "true").replace("False", "false")
    assert all(line.startswith("smsgw.toml:") for line in faults_of(f"{key} = {text}"))


def test_manual_has_every_key() -> None:
    """docs/operate/configuration.md names each key and each default that is a plain value."""
    manual = (SAMPLE.parents[1] / "docs" / "operate" / "configuration.md").read_text()
    for table in ("node", "store", "broker", "smpp", "http", "smtp", "media", "log"):
        for key in attrs.fields(type(getattr(Config(), table))):
            assert f"| `{table}.{key.name}` |" in manual
    for dialect in ("aerialink", "link", "ams", "aaisp", "aql", "mm4"):
        section = manual.partition(f"### `[{dialect}]`")[2].partition("\n## ")[0]
        for key in attrs.fields(type(getattr(Config(), dialect))):
            default = getattr(getattr(Config(), dialect), key.name)
            said = shown(default) if default not in ([], {}) else str(default)
            assert f"| `{key.name}` | `{said}` |" in section


def test_words_of_rest_codes() -> None:
    """``[aerialink.codes]`` has texts and HTTP statuses by code; what cannot be one is told."""
    codes = parse(
        """
[aerialink.codes]
1022 = { text = "Unknown sender", http = 422 }
52 = { text = "Unsubscribed" }
"""
    ).aerialink.codes
    assert codes == {1022: CodeWords("Unknown sender", 422), 52: CodeWords("Unsubscribed", 0)}
    for wrong in (
        "7 = { text = 'x' }",
        "52 = { http = 400 }",
        "1022 = { http = 200 }",
        "1022 = { http = true }",
        "1022 = {}",
        "1022 = 5",
        'codes = "x"',
        '1022 = { text = "a\\nb" }',
    ):
        table = "[aerialink]" if wrong.startswith("codes") else "[aerialink.codes]"
        with pytest.raises(ConfigError, match=r"aerialink\.codes"):
            parse(f"{table}\n{wrong}")
