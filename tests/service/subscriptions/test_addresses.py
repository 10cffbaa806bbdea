"""Nothing is sent to this machine, its neighbours, or what a cloud tells its machines about themselves.

https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from ipaddress import ip_address, ip_network

import pytest

from service.subscriptions import addresses
from service.subscriptions.addresses import NotAllowed, NotKnown

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "169.254.169.254",
        "fe80::1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "fd00::1",
        "fd00:ec2::254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "192.0.2.1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a00:1::",
        "fec0::1",
        # other ways to write 127.0.0.1, which the system understands
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "localhost",
    ],
)
def test_an_address_that_is_not_public_is_refused(host):
    with pytest.raises((NotAllowed, NotKnown)):
        addresses.chosen(host, 443, ())


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "0x7f000001"])
def test_an_address_in_disguise_is_seen_as_what_it_is(host):
    """They lead to the loopback address here, so that it is the look at it that refuses them."""
    assert addresses.chosen(host, 443, [ip_network("127.0.0.0/8")]) == [ip_address("127.0.0.1")]
    assert addresses.is_odd_number(host)


@pytest.mark.parametrize(
    "host", ["example.org", "a1.example", "10.example.org", "127.0.0.1", "fe80::1", "0x.org"]
)
def test_a_name_and_a_plain_address_are_not_in_disguise(host):
    assert not addresses.is_odd_number(host)


@pytest.mark.parametrize("host", [PUBLIC, "2a00:1450:4001:830::200e", "8.8.8.8"])
def test_a_public_address_is_sent_to(host):
    assert addresses.chosen(host, 443, ()) == [ip_address(host)]


def test_a_network_that_is_allowed_is_sent_to_and_no_other():
    allowed = [ip_network("10.20.0.0/16")]

    assert addresses.chosen("10.20.1.1", 443, allowed)
    for host in ("10.21.1.1", "::ffff:10.21.1.1", "127.0.0.1"):
        with pytest.raises(NotAllowed):
            addresses.chosen(host, 443, allowed)


def test_of_several_addresses_only_those_that_are_allowed_are_connected_to():
    found = addresses.chosen("mixed.example", 443, (), lambda *_: ["10.0.0.1", PUBLIC, "::1"])

    assert found == [ip_address(PUBLIC)]


def test_a_name_without_an_address_is_not_known():
    with pytest.raises(NotKnown):
        addresses.chosen("nobody.invalid", 443, ())
    with pytest.raises(NotKnown):
        addresses.chosen("a" * 64 + ".example", 443, ())
