"""Idempotency-Key: sent again is answered again, and nothing is stored twice.

https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
Safety SP-02, SP-13.
"""

import gzip
import os
import subprocess
import sys
import textwrap
import threading
from itertools import count
from pathlib import Path

import pytest
from fhir_visits import MRN, bundle, observation, patient, post, put, visit
from sqlalchemy import text

from fhir_profiles import reading
from service.app import create_app
from service.fhir import idempotency
from service.fhir.refusals import NotExchanged
from service.sandbox import erasing
from service.store import idempotency_keys
from service.store.database import Database

ROOT = Path(__file__).parents[3]
KILLED = -9
UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"

_numbers = count()


@pytest.fixture
def key():
    """A key that no other test has."""
    return f'"key-{next(_numbers)}"'


@pytest.fixture
def request_(client):
    """POST content under a key, to the base by default."""

    def request_(content, key=None, path="/fhir", **headers):
        body = content if isinstance(content, bytes) else reading.write(content)
        if key is not None:
            headers["Idempotency-Key"] = key
        return client.post(path, data=body, content_type="application/fhir+json", headers=headers)

    return request_


@pytest.fixture
def kept(database):
    """Count the kept answers."""

    def kept() -> int:
        with database.transaction() as tx:
            return int(tx.execute(text("SELECT count(*) FROM idempotency_key")).scalar_one())

    return kept


def finding(value: int = 6, **more):
    return observation(None, "Patient/known", valueInteger=value, **more)


@pytest.fixture(scope="module", autouse=True)
def _known(settings, database):
    client = create_app(settings, database).test_client()
    body = reading.write(bundle(put(patient("known"))))
    assert client.post("/fhir", data=body, content_type="application/fhir+json").status_code == 200


def told(response) -> tuple[object, ...]:
    """Everything an answer tells about what was stored."""
    names = ("Location", "ETag", "Last-Modified", "Evaluation-Due", "Content-Type")
    return response.status_code, *(response.headers.get(name) for name in names), response.data


def test_without_a_key_two_creates_are_two_resources(request_):
    first, second = (request_(finding(), path="/fhir/Observation") for _ in range(2))

    assert first.headers["Location"] != second.headers["Location"]


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        pytest.param("/fhir", visit("again"), 200, id="transaction"),
        pytest.param("/fhir", bundle(post(finding())), 200, id="transaction that creates"),
        pytest.param("/fhir/Observation", finding(), 201, id="create"),
    ],
)
def test_sent_again_it_is_answered_again_and_nothing_is_stored(
    path, content, status, key, request_, nothing_stored_after
):
    first = request_(content, key, path)
    nothing_more = nothing_stored_after()

    second = request_(content, key, path)

    assert first.status_code == status
    assert told(second) == told(first)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    nothing_more()


def test_the_first_answer_stays_the_answer_when_the_resource_has_moved_on(key, request_, client):
    first = request_(finding(), key, "/fhir/Observation")
    stored = first.get_json()
    newer = {**stored, "valueInteger": 9}
    path = f"/fhir/Observation/{stored['id']}"
    assert (
        client.put(path, data=reading.write(newer), content_type="application/fhir+json").status_code == 200
    )

    second = request_(finding(), key, "/fhir/Observation")

    assert told(second) == told(first)


def test_a_repetition_is_not_judged_again(key, request_, monkeypatch):
    # A later version of the service may refuse what this one has stored.
    first = request_(finding(), key, "/fhir/Observation")
    monkeypatch.setattr("fhir_profiles.gate.check", lambda _: 1 / 0)

    assert told(request_(finding(), key, "/fhir/Observation")) == told(first)


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        pytest.param("/fhir/Observation", finding(7), {}, id="another body"),
        pytest.param("/fhir/Patient", finding(), {}, id="another path"),
        pytest.param(
            "/fhir/Observation", finding(), {"If-None-Exist": f"identifier={MRN}|1"}, id="a condition"
        ),
    ],
)
def test_a_key_of_another_request_is_refused_and_said_how_to_mend(
    path, content, headers, key, request_, nothing_stored_after
):
    request_(finding(), key, "/fhir/Observation")
    nothing_more = nothing_stored_after()

    response = request_(content, key, path, **headers)

    (issue,) = response.get_json()["issue"]
    assert response.status_code == 422
    assert issue["code"] == "business-rule"
    assert "send a new key" in issue["diagnostics"]
    nothing_more()


def test_a_refused_request_leaves_its_key_to_the_corrected_one(key, request_, kept):
    before = kept()
    assert request_(finding(status=None), key, "/fhir/Observation").status_code == 422
    assert request_(b"{", key, "/fhir/Observation").status_code == 400
    assert request_(bundle(post(observation(None, "Patient/nobody"))), key).status_code == 422
    assert kept() == before

    response = request_(finding(), key, "/fhir/Observation")

    assert response.status_code == 201
    assert kept() == before + 1


def test_packed_again_it_is_the_same_request(key, request_, nothing_stored_after):
    body = reading.write(finding())
    first = request_(gzip.compress(body, mtime=1), key, "/fhir/Observation", **{"Content-Encoding": "gzip"})
    nothing_more = nothing_stored_after()

    for again, headers in (
        (gzip.compress(body, mtime=2), {"Content-Encoding": "gzip"}),
        (body, {}),
    ):
        assert told(request_(again, key, "/fhir/Observation", **headers)) == told(first)
    nothing_more()


def test_a_quoted_and_a_bare_key_are_the_same(request_):
    first = request_(finding(), f'"{UUID}"', "/fhir/Observation")

    assert told(request_(finding(), UUID, "/fhir/Observation")) == told(first)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (f'"{UUID}"', UUID),
        (UUID, UUID),
        ("a/b+c=:x", "a/b+c=:x"),
        ('"a b, c;d"', "a b, c;d"),
        (r'"say \"a\" \\ b"', r'say "a" \ b'),
        ('"' + "k" * 255 + '"', "k" * 255),
        ("k" * 255, "k" * 255),
    ],
)
def test_a_key_is_read_without_its_quotes(header, key):
    assert idempotency.key_of(header) == key


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param('""', id="empty string"),
        pytest.param("k" * 256, id="too long"),
        pytest.param('"' + "k" * 256 + '"', id="too long in quotes"),
        pytest.param("a b", id="a space without quotes"),
        pytest.param("a\x01b", id="a control character"),
        pytest.param('"a\x7fb"', id="a control character in quotes"),
        pytest.param('"Zürich"', id="not ASCII"),
        pytest.param('"a', id="no end"),
        pytest.param('"a"b"', id="a quote inside"),
        pytest.param(r'"a\b"', id="an escape that is none"),
        pytest.param('"a", "b"', id="two"),
        pytest.param("a,b", id="two without quotes"),
        pytest.param('"a";x=1', id="parameters"),
    ],
)
def test_a_malformed_key_is_refused(header):
    with pytest.raises(NotExchanged):
        idempotency.key_of(header)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("path", ["/fhir", "/fhir/Observation"])
def test_a_malformed_key_is_400_and_stores_nothing(path, request_):
    response = request_(visit("malformed") if path == "/fhir" else finding(), "a b", path)

    assert response.status_code == 400
    assert "Idempotency-Key" in response.get_json()["issue"][0]["diagnostics"]


def test_on_get_and_put_the_header_means_nothing(client, kept):
    before = kept()
    headers = {"Idempotency-Key": "a b"}
    body = reading.write(patient("known", active=True))

    update = client.put(
        "/fhir/Patient/known", data=body, content_type="application/fhir+json", headers=headers
    )

    assert update.status_code == 200
    assert client.get("/fhir/Patient/known", headers=headers).status_code == 200
    assert kept() == before


@pytest.mark.parametrize("path", ["/fhir", "/fhir/Observation"])
def test_many_at_once_are_stored_once_and_all_get_the_same_answer(path, key, settings, stored, database_url):
    content = reading.write(bundle(post(finding(3))) if path == "/fhir" else finding(3))
    database = Database(database_url, pool_size=16, overflow=0, pool_timeout_s=30)
    app = create_app(settings, database)
    before = stored()
    barrier = threading.Barrier(12)
    answers = []

    def send():
        client = app.test_client()
        barrier.wait()
        headers = {"Idempotency-Key": key}
        answers.append(client.post(path, data=content, content_type="application/fhir+json", headers=headers))

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()

    assert len({told(answer) for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert stored() == before + 1


def test_a_request_waits_for_the_one_that_holds_its_key(key, request_, database):
    """The other has stored and not committed: only waiting gives its answer."""
    name = idempotency.key_of(key)
    held, answers = threading.Event(), []
    with database.transaction() as tx:
        idempotency_keys.hold(tx, name, tenant=0)
        thread = threading.Thread(
            target=lambda: (held.set(), answers.append(request_(finding(5), key, "/fhir/Observation")))
        )
        thread.start()
        held.wait()
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while thread.is_alive() and tx.execute(waiting).scalar_one() == 0:
            pass
        digest = b"of another request"
        answer = idempotency_keys.Kept(digest=digest, status=200, headers={}, body="{}")
        idempotency_keys.keep(tx, name, answer, tenant=0)
    thread.join()

    assert [answer.status_code for answer in answers] == [422]


def killed_at(line: str, url: str, broker_url: str, key: str, *, after: bool) -> int:
    """Serve one request in a process of its own that kills itself at this call."""
    program = textwrap.dedent(f"""
        import os, signal
        from fhir_profiles import reading
        from service.app import create_app
        from service.fhir import intake
        from service.settings import Settings
        holder = intake
        *path, name = {line!r}.split(".")
        for part in path:
            holder = getattr(holder, part)
        original = getattr(holder, name)
        def deadly(*args, **more):
            if {after!r}:
                original(*args, **more)
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(holder, name, deadly)
        client = create_app(Settings(database_url={url!r}, broker_url={broker_url!r})).test_client()
        client.post("/fhir/Observation", data={reading.write(finding(8))!r},
                    content_type="application/fhir+json", headers={{"Idempotency-Key": {key!r}}})
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode


@pytest.mark.parametrize(
    ("line", "after"),
    [
        pytest.param("transaction.store", True, id="before its answer is kept"),
        pytest.param("idempotency_keys.keep", True, id="before the commit"),
    ],
)
def test_killed_before_the_commit_it_is_stored_by_the_retry(
    line, after, key, request_, stored, database_url, broker_url
):
    before = stored()
    assert killed_at(line, database_url, broker_url, key, after=after) == KILLED
    assert stored() == before

    retry = request_(finding(8), key, "/fhir/Observation")

    assert retry.status_code == 201
    assert "Idempotent-Replayed" not in retry.headers
    assert stored() == before + 1


def test_killed_between_the_commit_and_the_answer_the_retry_gets_the_answer(
    key, request_, client, stored, database_url, broker_url
):
    before = stored()
    assert killed_at("_wake", database_url, broker_url, key, after=False) == KILLED
    assert stored() == before + 1

    retry = request_(finding(8), key, "/fhir/Observation")

    assert retry.status_code == 201
    assert retry.headers["Idempotent-Replayed"] == "true"
    reference = "/fhir/Observation/" + retry.get_json()["id"]
    assert client.get(reference).data == retry.data
    assert stored() == before + 1


def test_kept_answers_go_with_the_patients_data(key, request_, database, kept):
    request_(finding(), key, "/fhir/Observation")
    assert kept() > 0

    with database.transaction() as tx:
        erasing.erase(tx)
    assert kept() == 0


def test_the_capability_statement_says_how_keys_are_treated(client):
    (rest,) = client.get("/fhir/metadata").get_json()["rest"]

    assert "Idempotency-Key" in rest["documentation"]
    assert "30 days" in rest["documentation"]
    assert idempotency.REPLAYED in rest["documentation"]
