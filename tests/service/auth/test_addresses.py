"""From where a request comes: only proxies that are named are believed, from the right."""

from ipaddress import ip_network

import pytest

from service.auth import addresses

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "found"),
    [
        pytest.param("198.51.100.7", None, "198.51.100.7", id="nobody between"),
        pytest.param("198.51.100.7", "203.0.113.9", "198.51.100.7", id="no proxy of ours says so"),
        pytest.param("10.0.0.5", "203.0.113.9", "203.0.113.9", id="one proxy"),
        pytest.param("10.0.0.5", "203.0.113.9, 10.0.0.6", "203.0.113.9", id="two proxies"),
        pytest.param("10.0.0.5", "1.2.3.4, 203.0.113.9", "203.0.113.9", id="made up by the client"),
        pytest.param("fd00::1", "2001:db8::9", "2001:db8::9", id="IPv6"),
        pytest.param("10.0.0.5", None, "10.0.0.5", id="the proxy itself"),
        pytest.param("10.0.0.5", "unknown", "10.0.0.5", id="no address"),
        pytest.param(None, "203.0.113.9", "", id="no connection that is known"),
    ],
)
def test_the_client_is_the_first_that_no_trusted_proxy_is(remote, forwarded, found):
    assert addresses.client(remote, forwarded, PROXIES) == found
