"""One request to a subscriber: signed, to the address that was looked at, never for longer than allowed."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from urllib.parse import urlsplit

import hospital_server
import pytest
from certificates import certificate
from hospital_server import HospitalServer, answering
from subscribing import SECRET, is_signed

from service.environment import InvalidSettings
from service.subscriptions import addresses, sending
from service.subscriptions.answers import Kind
from service.subscriptions.sending import Request

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"),)
BODY = b'{"resourceType":"Bundle"}'
UNTRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="module")
def only_server() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        yield started


@pytest.fixture
def server(only_server: HospitalServer) -> HospitalServer:
    only_server.begin()
    only_server.mood = answering(200)
    return only_server


def send(endpoint, *, networks=LOOPBACK, trust=UNTRUSTING, timeout_s=5.0, headers=(), **more):
    request = Request(endpoint=endpoint, headers=headers, body=BODY, secret=SECRET, timeout_s=timeout_s)
    return sending.send(request, now=NOW, trust=trust, networks=networks, **more)


def test_a_request_is_signed_and_carries_the_headers_of_the_subscription(server):
    answer = send(f"{server.url}/hook?to=me", headers=[("Authorization", "Bearer abc"), ("X-Ward", "3")])

    (asked,) = server.asked
    assert (answer.kind, answer.status) == (Kind.TAKEN, 200)
    assert (asked.path, asked.content) == ("/fhir/hook?to=me", BODY)
    assert is_signed(asked)
    assert not is_signed(asked, "another secret that is as long as this")
    assert asked.headers["X-Hipway-Timestamp"] == str(int(NOW.timestamp()))
    assert asked.headers["Authorization"] == "Bearer abc"
    assert asked.headers["X-Ward"] == "3"
    assert asked.headers["Content-Type"] == "application/fhir+json; fhirVersion=4.0"
    assert asked.headers["Host"] == urlsplit(server.url).netloc


def test_the_signature_is_the_documented_one():
    """By an independent tool: printf '%s' '1767605400.{}' | openssl dgst -sha256 -hmac key."""
    expected = "850033b98cc78e7797955632bcef068826d78fc7d8d8992567663def1ad39b69"

    assert sending.signature("key", 1767605400, b"{}") == f"sha256={expected}"


@pytest.mark.parametrize(
    ("mood", "kind"),
    [
        pytest.param(answering(204), Kind.TAKEN, id="204"),
        pytest.param(answering(302, Location="http://127.0.0.1:1/"), Kind.MOVED, id="redirect"),
        pytest.param(answering(400), Kind.REFUSED, id="400"),
        pytest.param(answering(404), Kind.REFUSED, id="404"),
        pytest.param(answering(410), Kind.GONE, id="410"),
        pytest.param(answering(429), Kind.BUSY, id="429"),
        pytest.param(answering(500), Kind.SERVER_ERROR, id="500"),
        pytest.param(answering(503), Kind.SERVER_ERROR, id="503"),
        pytest.param(answering(503, Retry_After="7"), Kind.BUSY, id="503 with a time"),
        pytest.param(hospital_server.hanging_up, Kind.CUT_OFF, id="hanging up"),
        pytest.param(hospital_server.half, Kind.TAKEN, id="half of an answer"),
        pytest.param(hospital_server.speaking_something_else, Kind.CUT_OFF, id="no HTTP"),
    ],
)
def test_each_answer_has_a_name(server, mood, kind):
    server.mood = mood

    answer = send(server.url)

    assert answer.kind is kind
    assert answer.wait_s == (7.0 if kind is Kind.BUSY and answer.status == 503 else None)


def test_a_redirect_is_not_followed(server):
    with hospital_server.running() as inside:
        server.mood = answering(307, Location=inside.url)

        assert send(server.url).kind is Kind.MOVED
        assert inside.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "0.0.0.0"])
def test_nothing_is_sent_to_this_machine_however_it_is_called(server, host):
    port = urlsplit(server.url).port

    answer = send(f"http://{host}:{port}/fhir", networks=())

    assert answer.kind is Kind.NOT_ALLOWED
    assert server.asked == []


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(server):
    """A name that is public when it is looked at and ours a moment later."""
    port = urlsplit(server.url).port
    asked = []

    def changing(host, _port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    answer = send(f"http://rebinding.example:{port}/fhir", resolve=changing)

    assert answer.kind is Kind.TAKEN
    assert asked == ["rebinding.example"]
    assert server.asked[0].headers["Host"] == f"rebinding.example:{port}"


def test_a_name_that_leads_here_is_refused(server):
    port = urlsplit(server.url).port

    answer = send(f"http://inside.example:{port}/fhir", networks=(), resolve=lambda *_: ["127.0.0.1"])

    assert answer.kind is Kind.NOT_ALLOWED
    assert server.asked == []


def test_the_next_address_is_tried_where_one_cannot_be_reached(server):
    port = urlsplit(server.url).port

    answer = send(f"http://two.example:{port}/fhir", resolve=lambda *_: ["127.0.0.77", "127.0.0.1"])

    assert answer.kind is Kind.TAKEN


def test_of_a_host_with_many_addresses_a_few_are_tried(server):
    port = urlsplit(server.url).port
    dead = [f"127.0.0.{last}" for last in range(71, 71 + sending.MOST_ADDRESSES)]

    answer = send(f"http://many.example:{port}/fhir", resolve=lambda *_: [*dead, "127.0.0.1"])

    assert answer.kind is Kind.UNREACHABLE
    assert server.asked == []


def test_all_addresses_of_a_host_have_one_limit_of_time(monkeypatch):
    monkeypatch.setattr(sending, "CONNECTING_S", 0.2)
    dead = [f"127.0.0.{last}" for last in range(71, 71 + sending.MOST_ADDRESSES)]
    with socket.socket() as full:
        # Whoever comes after these is neither let in nor turned away.
        full.bind(("0.0.0.0", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.71", port))
        began = time.monotonic()

        answer = send(f"http://dead.example:{port}/", timeout_s=1.0, resolve=lambda *_: dead)

        took_s = time.monotonic() - began
        for one in waiting:
            one.close()
    assert answer.kind is Kind.UNREACHABLE
    assert 1.0 < took_s < 2.0


def test_a_name_that_is_looked_up_for_too_long_is_unreachable(monkeypatch):
    monkeypatch.setattr(addresses, "RESOLVE_S", 0.2)
    until = threading.Event()

    def slow(*_):
        until.wait(5)
        return ["127.0.0.1"]

    began = time.monotonic()

    answer = send("http://slow.example/", resolve=slow)

    took_s = time.monotonic() - began
    until.set()
    assert answer.kind is Kind.UNREACHABLE
    assert took_s < 2.0


def test_a_name_without_an_address_is_unreachable():
    assert send("http://nobody.invalid/").kind is Kind.UNREACHABLE
    assert send("http://127.0.0.1:1/").kind is Kind.UNREACHABLE


def test_a_subscriber_that_says_nothing_is_left_in_time(server):
    until = threading.Event()
    server.mood = hospital_server.hanging(until)
    began = time.monotonic()

    answer = send(server.url, timeout_s=0.5)

    until.set()
    assert answer.kind is Kind.SILENT
    assert time.monotonic() - began < 2


def test_a_subscriber_that_drips_is_left_in_time(server):
    """Each byte comes within the time that one may take; all of them together do not."""
    ended = threading.Event()

    def dripping(asked):
        try:
            for _ in range(40):
                if not ended.wait(0.1):
                    asked.wfile.write(b"H")
                    asked.wfile.flush()
        except OSError:
            pass

    server.mood = dripping
    began = time.monotonic()

    answer = send(server.url, timeout_s=0.6)

    ended.set()
    assert answer.kind is Kind.SILENT
    assert 0.5 < time.monotonic() - began < 2


@pytest.mark.parametrize(("host", "kind"), [("hook.example", Kind.TAKEN), ("other.example", Kind.UNTRUSTED)])
def test_the_certificate_has_to_be_that_of_the_name(tmp_path, host, kind):
    trust, authority = certificate(tmp_path, "hook.example")
    with hospital_server.running(trust) as secure:
        secure.mood = answering(200)
        port = urlsplit(secure.url).port
        url = f"https://{host}:{port}/fhir"

        answer = send(url, trust=sending.trust(authority), resolve=lambda *_: ["127.0.0.1"])

        assert answer.kind is kind
        assert len(secure.asked) == (kind is Kind.TAKEN)
        assert send(url, trust=sending.trust(None), resolve=lambda *_: ["127.0.0.1"]).kind is Kind.UNTRUSTED


def test_a_file_without_certificates_is_named(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")

    for file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(InvalidSettings, match="HIPWAY_SUBSCRIBERS_CA_FILE"):
            sending.trust(file)


def test_what_is_sent_is_not_shown_by_its_value():
    request = Request(endpoint="https://a.example", headers=(), body=b"{}", secret=SECRET, timeout_s=1.0)

    assert SECRET not in repr(request)
    assert "example" not in repr(request)
    assert json.loads(request.body) == {}
