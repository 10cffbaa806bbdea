"""`hipway doctor` says whether the hospital's server can be delivered to, read, and call."""

from collections.abc import Iterator

import hospital_server
import pytest
from hospital_server import answering
from source_server import SourceServer

from service.doctor import hospital
from service.hospital.settings import Hospital
from service.settings import Settings

CAPABILITIES = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [{"mode": "server", "resource": [{"type": "Observation"}, {"type": "Subscription"}]}],
}


@pytest.fixture(scope="module")
def only_server() -> Iterator[SourceServer]:
    with hospital_server.running(make=SourceServer) as started:
        yield started


@pytest.fixture
def server(only_server: SourceServer) -> SourceServer:
    only_server.begin()
    only_server.date = ""
    return only_server


def examine(url: str, base_url: str = "http://127.0.0.1:8000", **more: object) -> list[tuple[str, str, str]]:
    settings = Settings(base_url=base_url, hospital=Hospital(url=url, rate=1000, timeout_s=1, **more))
    return [(f.seen, f.fix, f.advice) for f in hospital.examine(settings)]


def saying(server: SourceServer, **changed: object) -> None:
    server.moods = [answering(200, {**CAPABILITIES, **changed})]


def test_without_a_hospital_nothing_is_looked_at():
    assert list(hospital.examine(Settings())) == []


def test_a_server_that_is_read_and_calls_is_well(server):
    saying(server)

    assert examine(server.url, read="subscription") == [
        ("answers as FHIR R4", "", ""),
        ("what is new can be asked for", "", ""),
        ("it is to call http://127.0.0.1:8000/hospital/hook", "", ""),
    ]
    assert [asked.path for asked in server.asked] == ["/fhir/metadata", "/fhir/Observation/_search"]
    assert b"_summary=count" in server.asked[1].content


def test_one_that_is_only_delivered_to_is_asked_nothing_else(server):
    saying(server)

    assert examine(server.url) == [("answers as FHIR R4", "", "")]


def test_a_bad_answer_says_what_to_do(server):
    server.moods = [answering(401, b"")]
    ((seen, fix, _),) = examine(server.url)
    assert seen == "no good answer (unauthenticated)"
    assert "HIPWAY_HOSPITAL_AUTH" in fix

    saying(server)
    server.moods.append(answering(400, hospital_server.outcome("not-supported")))
    _, (seen, fix, _) = examine(server.url, read="poll")
    assert seen == "no good answer (refused)"
    assert fix


def test_another_fhir_is_told(server):
    saying(server, fhirVersion="5.0.0")

    assert examine(server.url)[0][:2] == (
        "speaks another FHIR than R4",
        "set HIPWAY_HOSPITAL_URL to its R4 base",
    )


def test_a_clock_that_is_wrong_is_a_hint(server):
    saying(server)
    server.tell()

    ((seen, fix, advice),) = examine(server.url)

    assert "behind" in seen
    assert (fix, advice) == ("", "set both clocks by the same time service")


def test_a_server_without_subscriptions_is_to_be_polled(server):
    saying(server, rest=[{"mode": "server", "resource": [{"type": "Observation"}]}])

    assert "HIPWAY_HOSPITAL_READ=poll" in examine(server.url, read="subscription")[2][1]


@pytest.mark.parametrize(
    ("hook_url", "told"),
    [
        pytest.param("", "another machine cannot call this one's loopback address", id="loopback"),
        pytest.param(
            "http://hipway.example.org/hook", "it is to call http://hipway.example.org/hook", id="http"
        ),
    ],
)
def test_an_address_that_cannot_be_called_is_told(hook_url, told):
    # Nobody answers there; what is set is looked at even so.
    found = examine("https://fhir.invalid/r4", read="subscription", hook_url=hook_url)

    assert found[-1][0] == told
    assert found[-1][1] or found[-1][2]
