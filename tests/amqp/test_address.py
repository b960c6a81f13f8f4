"""URLs of brokers."""

import pytest

from smsgw.amqp.address import BadAddress, parse_address
from tests.outside import World


def test_a_plain_url_has_the_usual_defaults():
    """Port 5672, guest, the virtual host "/" (RabbitMQ URI specification)."""
    found = parse_address("amqp://localhost")
    assert found.hosts == (("localhost", 5672),)
    assert (found.login.user, found.login.password, found.login.vhost) == ("guest", "guest", "/")
    assert not found.tls


def test_every_part_of_a_url_is_read():
    """Escapes are undone, hosts keep their order, IPv6 is in brackets."""
    found = parse_address(
        "amqps://us%40er:pa%2Fss@one,two:5673,[::1]:5674,[fe80::1]/a%2Fb?heartbeat=30"
        "&cacertfile=/ca.pem&certfile=/c.pem&keyfile=/k.pem&server_name_indication=mq.example.com"
        "&auth_mechanism=external&verify=verify_peer&connection_timeout=2500"
    )
    assert found.hosts == (("one", 5671), ("two", 5673), ("::1", 5674), ("fe80::1", 5671))
    login = found.login
    assert (login.user, login.password, login.vhost) == ("us@er", "pa/ss", "a/b")
    assert (login.heartbeat, login.mechanism) == (30, "EXTERNAL")
    assert (found.ca, found.certificate, found.key) == ("/ca.pem", "/c.pem", "/k.pem")
    assert (found.server_name, found.connect_s, found.tls) == ("mq.example.com", 2.5, True)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://localhost", "amqp://"),
        ("amqp://", "host is missing"),
        ("amqp://a,", "host is missing"),
        ("amqp://a:0", "'0' is no port"),
        ("amqp://a:x", "'x' is no port"),
        ("amqp://a:70000", "'70000' is no port"),
        ("amqp://[::1", ""),
        ("amqp://a?heartbeat=soon", "heartbeat is a number"),
        ("amqp://a?heartbeat=70000", "heartbeat is a number"),
        ("amqp://a?cacertfile=/ca", "cacertfile is for amqps"),
        ("amqps://a?verify=verify_none", "verify_peer"),
        ("amqps://a?auth_mechanism=external", "certfile"),
        ("amqp://a?auth_mechanism=digest", "plain or external"),
        ("amqp://a?unknown=1", "unknown is not known"),
        ("amqp://a/" + "v" * 256, "255 octets"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url, text):
    """The text is for an operator."""
    with pytest.raises(BadAddress) as raised:
        parse_address(url)
    assert text in str(raised.value)


def test_an_error_does_not_show_the_password():
    """It goes to the log."""
    with pytest.raises(BadAddress) as raised:
        parse_address("amqp://user:topsecret@host:x/")
    assert "topsecret" not in str(raised.value)


def test_a_file_of_authorities_without_any_is_refused(tmp_path):
    """An empty one would trust nobody, or, worse, everybody."""
    empty = tmp_path / "ca.pem"
    empty.write_text("")
    with pytest.raises(BadAddress, match="no certificate"):
        parse_address(f"amqps://a?cacertfile={empty}").endpoints(World())
