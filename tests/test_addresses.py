"""Which addresses customers may have the gateway connect to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.addresses import host_fault, is_public, url_fault


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:7f00:1::1",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
        "not an address",
        "",
    ],
)
def test_address_inside_is_not_public(address: str) -> None:
    """Private, local, shared, multicast and reserved addresses, in each form that they have."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_address_of_the_internet_is_public(address: str) -> None:
    """Everybody's addresses are allowed."""
    assert is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_no_form_of_an_address_says_other_than_the_address(number: int) -> None:
    """An IPv4 address is as public in IPv6 clothes as without them."""
    plain = IPv4Address(number)
    for form in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_public(str(IPv6Address(form))) == is_public(str(plain))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://10.0.0.1:8080/in",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "https://localhost/in",
        "https://LOCALHOST./in",
        "https://any.localhost/",
        "https://www.example.com@127.0.0.1/",
        "http:///in",
        "http://[::1/",
    ],
)
def test_url_inside_is_a_fault_as_written(url: str) -> None:
    """What a URL says of its host is enough to refuse it, in each way to write an address."""
    assert url_fault(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.example.com/in?",
        "http://8.8.8.8/",
        "http://u:p@www.example.com:8080/",
        "http://[2606:4700:4700::1111]/",
    ],
)
def test_url_outside_is_none(url: str) -> None:
    """A name is looked at when it is connected to, not when it is written."""
    assert url_fault(url) == ""


@given(st.text(max_size=40))
def test_any_text_is_judged(text: str) -> None:
    """Whatever is written: a text comes back, never an exception."""
    assert isinstance(url_fault(f"http://{text}/"), str)
    assert isinstance(host_fault(text), str)
