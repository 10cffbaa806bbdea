"""Every kind of answer a server can give has one name, and none ends in an error of ours.

The bad answers of the other side: http://hl7.org/fhir/R4/http.html and what servers really do.
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import hospital_server
import pytest
from certificates import certificate
from hospital_server import HospitalServer, answering, outcome
from joserfc import jwk, jwt

from service.environment import InvalidSettings
from service.hospital import settings
from service.hospital.answers import UNCERTAIN, Kind
from service.hospital.connection import Connection
from service.hospital.settings import Hospital
from service.hospital.transport import MAX_BYTES, Transport
from service.web import words

NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
BUNDLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "resource": {"resourceType": "Flag", "id": "f1", "status": "active"},
            "request": {"method": "PUT", "url": "Flag/f1"},
        }
    ],
}
HTML = b"<html><body>Something went wrong</body></html>"
DATE = "Mon, 05 Jan 2026 09:15:00 GMT"


@pytest.fixture(scope="module")
def only_server() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        yield started


@pytest.fixture
def server(only_server: HospitalServer) -> HospitalServer:
    only_server.begin(date=DATE)
    return only_server


def connected(server: HospitalServer, **more) -> Connection:
    more = {"rate": 1000, "timeout_s": 1, **more}
    return Connection(Hospital(url=server.url, **more), now=lambda: NOW)


def transact(server: HospitalServer, **more):
    with connected(server, **more) as connection:
        return connection.transact(BUNDLE, sent=("Flag/f1", "Patient/p1"))


def test_what_was_asked_for_is_taken(server):
    answer = transact(server)

    assert answer.taken
    assert answer.body["entry"][0]["response"] == {"status": "201 Created", "etag": 'W/"1"'}


@pytest.mark.parametrize(
    ("mood", "kind"),
    [
        pytest.param(answering(200, b"{not json"), Kind.NOT_FHIR, id="not JSON"),
        pytest.param(answering(200, HTML, Content_Type="text/html"), Kind.NOT_FHIR, id="a page of HTML"),
        pytest.param(answering(200, {"hello": "there"}), Kind.NOT_FHIR, id="JSON that is no resource"),
        pytest.param(answering(200, b""), Kind.NOT_FHIR, id="nothing"),
        pytest.param(answering(200, {"resourceType": "Patient"}), Kind.NOT_FHIR, id="another resource"),
        pytest.param(answering(200, outcome("exception")), Kind.FAILED_INSIDE, id="200 with an outcome"),
        pytest.param(
            answering(200, {"resourceType": "Bundle", "type": "transaction-response"}),
            Kind.FAILED_INSIDE,
            id="200 with an entry missing",
        ),
        pytest.param(
            answering(
                200,
                {
                    "resourceType": "Bundle",
                    "type": "transaction-response",
                    "entry": [{"response": {"status": "400 Bad Request"}}],
                },
            ),
            Kind.FAILED_INSIDE,
            id="200 with an entry that failed",
        ),
        pytest.param(answering(302, Location="/elsewhere"), Kind.MOVED, id="redirect"),
        pytest.param(answering(401, HTML), Kind.UNAUTHENTICATED, id="401"),
        pytest.param(answering(403, HTML), Kind.FORBIDDEN, id="403"),
        pytest.param(answering(404, HTML), Kind.NOT_FOUND, id="404"),
        pytest.param(answering(410, HTML), Kind.GONE, id="410"),
        pytest.param(answering(409, outcome("conflict")), Kind.CONFLICT, id="409"),
        pytest.param(answering(412, outcome("conflict")), Kind.CONFLICT, id="412"),
        pytest.param(answering(400, outcome("invalid")), Kind.REFUSED, id="400"),
        pytest.param(answering(422, outcome("invalid")), Kind.REFUSED, id="422"),
        pytest.param(answering(429, b""), Kind.BUSY, id="429"),
        pytest.param(answering(503, b"", Retry_After="7"), Kind.BUSY, id="503 with Retry-After"),
        pytest.param(answering(503, HTML), Kind.SERVER_ERROR, id="503"),
        pytest.param(answering(500, HTML), Kind.SERVER_ERROR, id="500"),
        pytest.param(hospital_server.half, Kind.CUT_OFF, id="half a body"),
        pytest.param(hospital_server.hanging_up, Kind.CUT_OFF, id="hung up"),
        pytest.param(hospital_server.speaking_something_else, Kind.CUT_OFF, id="no HTTP"),
        pytest.param(answering(200, b" " * (10 * 1024 * 1024)), Kind.TOO_LONG, id="10 MB"),
    ],
)
def test_a_bad_answer_has_its_name(server, mood, kind):
    server.mood = mood

    answer = transact(server)

    assert answer.kind is kind
    assert answer.body == {}
    assert answer.of_server is (kind not in {Kind.CONFLICT, Kind.REFUSED, Kind.GONE})


def test_a_redirect_is_not_followed(server):
    server.moods = [answering(307, Location=f"{server.url}/other")]

    assert transact(server).kind is Kind.MOVED
    assert [asked.path for asked in server.asked] == ["/fhir"]


def test_a_server_that_hangs_is_left(server):
    over = threading.Event()
    server.mood = hospital_server.hanging(over)

    assert transact(server).kind is Kind.SILENT
    over.set()


def test_a_body_that_never_ends_is_left(server):
    over = threading.Event()

    def trickle(asked):
        asked.send_response(200)
        asked.send_header("Content-Length", "1000000")
        asked.end_headers()
        # Slowly, so that each byte comes by itself however busy the machine is.
        while not over.wait(0.01):
            asked.wfile.write(b" ")
            asked.wfile.flush()

    ticks = iter(range(1_000_000))
    server.mood = trickle
    hospital = Hospital(url=server.url, timeout_s=1)
    transport = Transport(hospital, monotonic=lambda: float(next(ticks)), sleep=lambda _: None)

    with Connection(hospital, transport=transport, now=lambda: NOW) as connection:
        assert connection.read("Patient", "p1").kind is Kind.SILENT
    over.set()


def test_nobody_there_is_unreachable(server):
    with hospital_server.running() as gone:
        pass

    assert transact(gone).kind is Kind.UNREACHABLE


@pytest.mark.parametrize(
    ("after", "wait_s"),
    [
        pytest.param("120", 120, id="seconds"),
        pytest.param("Mon, 05 Jan 2026 09:16:30 GMT", 90, id="a date, by the server's clock"),
        pytest.param("Mon, 05 Jan 2026 09:10:00 GMT", 1, id="a date that has passed"),
        pytest.param("999999999999", 3600, id="years"),
        pytest.param("soon", None, id="no time at all"),
    ],
)
def test_how_long_a_busy_server_is_left_alone(server, after, wait_s):
    server.mood = answering(429, b"", Retry_After=after)

    # Our clock is an hour behind the server's: only the server's own dates can say how long it means.
    with Connection(Hospital(url=server.url, rate=1000), now=lambda: NOW - timedelta(hours=1)) as connection:
        answer = connection.transact(BUNDLE, sent=())

    assert (answer.kind, answer.wait_s, answer.skew_s) == (Kind.BUSY, wait_s, 3600)


def test_of_what_the_other_side_says_only_codes_paths_and_our_references_are_kept(server):
    said = {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "processing",
                "expression": ["Bundle.entry[0].resource.status", "Lucia Rossi"],
                "diagnostics": "HAPI-1094: Resource Patient/p1 not found; Lucia Rossi, Patient/other, 1961",
            }
        ],
    }
    server.mood = answering(400, said)

    answer = transact(server)

    assert answer.said == "processing, Bundle.entry[0].resource.status, HAPI-1094, Patient/p1"


def test_another_resource_than_the_one_asked_for_is_mixed_up(server):
    server.mood = answering(200, {"resourceType": "Task", "id": "other"})

    with connected(server) as connection:
        assert connection.read("Task", "t1").kind is Kind.MIXED_UP


def test_the_rate_is_kept(server):
    slept = []
    hospital = Hospital(url=server.url, rate=4)
    transport = Transport(hospital, monotonic=lambda: 100.0, sleep=slept.append)

    with Connection(hospital, transport=transport, now=lambda: NOW) as connection:
        for _ in range(3):
            connection.read("Task", "t1")

    assert slept == [0.25, 0.5]


# --------------------------------------------------------------- who we are


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        pytest.param({}, None, id="none"),
        pytest.param(
            {"auth": "basic", "user": "us", "password": "sësame"}, "Basic dXM6c8Orc2FtZQ==", id="basic"
        ),
        pytest.param({"auth": "bearer", "token": "abc"}, "Bearer abc", id="bearer"),
    ],
)
def test_how_we_say_who_we_are(server, auth, header):
    assert transact(server, **auth).taken
    assert server.asked[0].headers.get("Authorization") == header


def key(kind: str = "RSA"):
    made = jwk.RSAKey.generate_key(2048) if kind == "RSA" else jwk.ECKey.generate_key(kind)
    return made, made.as_pem(private=True).decode()


def smart(server: HospitalServer, pem: str, **more) -> Connection:
    return connected(server, auth="smart", client_id="hipway", key=pem, key_id="k1", **more)


def giving(token: str, **more):
    return answering(200, {"access_token": token, "token_type": "bearer", "expires_in": 300, **more})


@pytest.mark.parametrize(("kind", "algorithm"), [("RSA", "RS384"), ("P-384", "ES384")])
def test_a_statement_signed_with_our_key_becomes_a_token(server, kind, algorithm):
    made, pem = key(kind)
    token_url = f"{server.url}/token"
    server.moods = [answering(200, {"token_endpoint": token_url}), giving("first")]

    with smart(server, pem) as connection:
        assert connection.transact(BUNDLE, sent=()).taken
        assert connection.transact(BUNDLE, sent=()).taken

    discovery, exchange, *transactions = server.asked
    assert discovery.path == "/fhir/.well-known/smart-configuration"
    assert [asked.headers["Authorization"] for asked in transactions] == ["Bearer first"] * 2
    form = {name: value for name, (value,) in parse_qs(exchange.content.decode()).items()}
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == "system/*.cruds"
    statement = jwt.decode(form["client_assertion"], made, algorithms=[algorithm])
    assert statement.header == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert statement.claims["iss"] == statement.claims["sub"] == "hipway"
    assert statement.claims["aud"] == token_url
    assert statement.claims["exp"] - statement.claims["iat"] <= 300


def test_a_token_that_was_taken_back_is_renewed_once(server):
    _, pem = key()
    server.moods = [giving("first"), answering(401), giving("second"), answering(401)]

    with smart(server, pem, token_url=f"{server.url}/token") as connection:
        assert connection.transact(BUNDLE, sent=()).kind is Kind.UNAUTHENTICATED

    assert [asked.headers.get("Authorization") for asked in server.asked] == [
        *(None, "Bearer first"),
        *(None, "Bearer second"),
    ]


def test_a_server_whose_clock_is_wrong_gets_a_statement_for_its_own_time(server):
    made, pem = key()
    server.date = "Mon, 05 Jan 2026 11:15:00 GMT"
    server.moods = [answering(400, {"error": "invalid_client"}), giving("first")]

    with smart(server, pem, token_url=f"{server.url}/token") as connection:
        answer = connection.transact(BUNDLE, sent=())

    assert (answer.taken, answer.skew_s) == (True, 7200)
    first, second = (
        jwt.decode(parse_qs(asked.content.decode())["client_assertion"][0], made, algorithms=["RS384"])
        for asked in server.asked[:2]
    )
    assert second.claims["iat"] - first.claims["iat"] == 7200


def test_no_token_is_told_from_no_token_because_of_a_clock(server):
    _, pem = key()
    server.mood = answering(400, {"error": "invalid_client"})

    with smart(server, pem, token_url=f"{server.url}/token") as connection:
        assert connection.transact(BUNDLE, sent=()).kind is Kind.NO_TOKEN
        server.date = "Mon, 05 Jan 2026 11:15:00 GMT"
        assert connection.transact(BUNDLE, sent=()).kind is Kind.NO_TOKEN_FOR_CLOCK


def test_a_token_is_never_fetched_in_clear_from_a_server_that_is_not(server, tmp_path):
    _, pem = key()
    trust, authority = certificate(tmp_path)
    with hospital_server.running(trust) as secure:
        secure.moods = [answering(200, {"token_endpoint": f"{server.url}/token"})]
        with smart(secure, pem, ca_file=authority) as connection:
            assert connection.transact(BUNDLE, sent=()).kind is Kind.NO_TOKEN

    assert server.asked == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("no key", id="text"),
        pytest.param('{"kty": "RSA"}', id="half a JWK"),
        pytest.param(jwk.RSAKey.generate_key(2048).as_pem(private=False).decode(), id="public"),
        pytest.param(jwk.ECKey.generate_key("P-256").as_pem(private=True).decode(), id="another curve"),
        pytest.param(json.dumps({"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}), id="a shared secret"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_by_name(server, text):
    with pytest.raises(InvalidSettings, match="HIPWAY_HOSPITAL_KEY_FILE"):
        smart(server, text)


# --------------------------------------------------------------- certificates


def test_a_certificate_that_does_not_verify_stops_everything(tmp_path):
    trust, authority = certificate(tmp_path)
    with hospital_server.running(trust) as server:
        assert transact(server, auth="bearer", token="abc").kind is Kind.UNTRUSTED
        assert server.asked == []

        assert transact(server, auth="bearer", token="abc", ca_file=authority).taken


# --------------------------------------------------------------- settings

SET = {"HIPWAY_HOSPITAL_URL": "https://fhir.example.org/r4/"}


def test_no_hospital_is_the_default():
    assert settings.from_environment({}) is None
    assert settings.from_environment({"HIPWAY_HOSPITAL_URL": "", "HIPWAY_HOSPITAL_RATE": ""}) is None


def test_one_block_of_variables_describes_it(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    found = settings.from_environment(
        {
            **SET,
            "HIPWAY_HOSPITAL_AUTH": "basic",
            "HIPWAY_HOSPITAL_USER": "us",
            "HIPWAY_HOSPITAL_PASSWORD_FILE": str(secret),
        }
    )

    assert found == Hospital(url="https://fhir.example.org/r4", auth="basic", user="us", password="sesame")
    assert "sesame" not in repr(found)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"HIPWAY_HOSPITAL_RATE": "3"}, "HIPWAY_HOSPITAL_RATE is set and HIPWAY_HOSPITAL_URL is not"),
        ({"HIPWAY_HOSPITAL_URL": "http://fhir.example.org"}, "must begin with https://"),
        ({"HIPWAY_HOSPITAL_URL": "fhir.example.org"}, "must begin with https://"),
        ({"HIPWAY_HOSPITAL_URL": "https://u:p@fhir.example.org"}, "must have no user"),
        ({"HIPWAY_HOSPITAL_URL": "https://fhir.example.org:port"}, "is not an address"),
        ({**SET, "HIPWAY_HOSPITAL_AUTH": "oauth"}, "must be one of none, basic, bearer, smart"),
        ({**SET, "HIPWAY_HOSPITAL_AUTH": "basic", "HIPWAY_HOSPITAL_USER": "us"}, "PASSWORD is required"),
        ({**SET, "HIPWAY_HOSPITAL_AUTH": "bearer"}, "TOKEN is required"),
        ({**SET, "HIPWAY_HOSPITAL_AUTH": "smart", "HIPWAY_HOSPITAL_CLIENT_ID": "us"}, "KEY is required"),
        ({**SET, "HIPWAY_HOSPITAL_KEY": "-----BEGIN"}, "a key stands in a file"),
        ({**SET, "HIPWAY_HOSPITAL_CA_FILE": "/nowhere"}, "cannot be read"),
        ({**SET, "HIPWAY_HOSPITAL_TIMEOUT_S": "0"}, "from 1 to 120"),
        ({**SET, "HIPWAY_HOSPITAL_READ": "hook"}, "must be one of off, poll, subscription"),
        ({**SET, "HIPWAY_HOSPITAL_READ_S": "0"}, "from 1 to 86400"),
        ({**SET, "HIPWAY_HOSPITAL_SINCE": "yesterday"}, "must be a day or a moment"),
        ({**SET, "HIPWAY_HOSPITAL_HOOK_URL": "http://hipway.example.org"}, "must begin with https://"),
        ({**SET, "HIPWAY_HOSPITAL_HOOK_SECRET": "short"}, "must have at least 20 characters"),
    ],
)
def test_what_cannot_be_used_is_named(variables, reason):
    with pytest.raises(InvalidSettings, match=reason):
        settings.from_environment(variables)


def test_reading_is_off_until_it_is_asked_for(tmp_path):
    assert not settings.from_environment(SET).reads
    secret = tmp_path / "secret"
    secret.write_text("open-sesame-open-sesame\n")
    found = settings.from_environment(
        {
            **SET,
            "HIPWAY_HOSPITAL_READ": "subscription",
            "HIPWAY_HOSPITAL_SINCE": "2026-01-31",
            "HIPWAY_HOSPITAL_HOOK_URL": "https://hipway.example.org/hook/",
            "HIPWAY_HOSPITAL_HOOK_SECRET_FILE": str(secret),
        }
    )

    assert found.reads
    assert found.since == datetime(2026, 1, 31, tzinfo=UTC)
    assert (found.hook_url, found.hook_secret) == (
        "https://hipway.example.org/hook",
        "open-sesame-open-sesame",
    )
    assert "sesame" not in repr(found)


def test_http_is_for_this_machine_or_where_it_is_said_to_be_safe():
    assert settings.from_environment({"HIPWAY_HOSPITAL_URL": "http://127.0.0.1:8090/fhir"})
    assert settings.from_environment(
        {"HIPWAY_HOSPITAL_URL": "http://hapi:8080", "HIPWAY_HOSPITAL_TLS": "off"}
    )


def test_certificates_that_are_none_are_named(tmp_path):
    file = tmp_path / "empty.pem"
    file.write_text("")
    with pytest.raises(InvalidSettings, match="HIPWAY_HOSPITAL_CA_FILE"):
        Connection(Hospital(url="https://fhir.example.org", ca_file=file))


# --------------------------------------------------------------- sentences


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_answer_has_a_sentence_that_says_what_to_do(kind, language):
    if kind is not Kind.TAKEN:
        assert len(words.of(language)(f"hospital.answer.{kind}")) > 40


def test_what_is_uncertain_is_what_may_have_been_done():
    assert {Kind.SILENT, Kind.CUT_OFF, Kind.SERVER_ERROR} <= UNCERTAIN
    assert not UNCERTAIN & {Kind.REFUSED, Kind.UNREACHABLE, Kind.MOVED, Kind.UNAUTHENTICATED}
    assert MAX_BYTES < 10 * 1024 * 1024
