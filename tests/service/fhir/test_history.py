"""Histories of one resource, of a type and of all: pages that stay, and nothing missed by a poll.

http://hl7.org/fhir/R4/http.html#history
"""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from fhir_visits import bundle, observation, patient, post, practitioner, put
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.store.database import Database


def named(id_, family):
    return {"resourceType": "Practitioner", "id": id_, "name": [{"family": family}]}


def entries(answer):
    return answer.get_json().get("entry", [])


def seen(answer):
    return [entry["response"]["etag"] + entry["fullUrl"].rpartition("/fhir/")[2] for entry in entries(answer)]


def link(answer, relation="next"):
    links = {each["relation"]: each["url"] for each in answer.get_json()["link"]}
    return links[relation].removeprefix("http://127.0.0.1:8000") if relation in links else None


def walk(client, url):
    """Return the answers of all pages."""
    answers = [client.get(url)]
    while following := link(answers[-1]):
        answers.append(client.get(following))
        assert len(answers) < 100
    return answers


@pytest.fixture
def begun(database):
    """An instant before everything that the test stores."""
    with database.transaction() as tx:
        return clock.now(tx).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_history_says_how_each_version_came_about(client, send):
    made = client.post("/fhir/Practitioner", json={"resourceType": "Practitioner"}).get_json()
    client.put(f"/fhir/Practitioner/{made['id']}", json={**made, "active": True})
    send(bundle(put(practitioner("put"))))

    posted = client.get(f"/fhir/Practitioner/{made['id']}/_history")
    put_ = client.get("/fhir/Practitioner/put/_history")

    assert [entry["request"] for entry in entries(posted)] == [
        {"method": "PUT", "url": f"Practitioner/{made['id']}"},
        {"method": "POST", "url": "Practitioner"},
    ]
    assert [entry["response"]["status"] for entry in entries(posted)] == ["200 OK", "201 Created"]
    assert entries(put_)[0]["request"] == {"method": "PUT", "url": "Practitioner/put"}
    assert entries(put_)[0]["response"]["status"] == "201 Created"


def test_one_resource_has_pages_below_a_version(client, send):
    for number in range(5):
        send(bundle(put(named("pages", f"N{number}"))))

    first = client.get("/fhir/Practitioner/pages/_history?_count=2")
    send(bundle(put(named("pages", "meanwhile"))))
    rest = walk(client, link(first))

    versions = [entry["resource"]["meta"]["versionId"] for page in (first, *rest) for entry in entries(page)]
    assert versions == ["5", "4", "3", "2", "1"]
    assert (first.get_json()["total"], len(rest)) == (5, 2)


def test_at_is_what_was_current_then(client, send, database):
    days = [datetime(2041, 3, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    for day in days:
        with database.transaction() as tx:
            clock.set_(tx, day, held=False)
        send(bundle(put(named("at", f"N{day.day}"))))
    with database.transaction() as tx:
        clock.unset(tx)

    def at(moment):
        return [e["resource"]["meta"]["versionId"] for e in entries(client.get(f"{url}?_at={moment}"))]

    url = "/fhir/Practitioner/at/_history"
    assert at("2041-03-02") == ["2", "1"]
    assert at("2041-03-02T12:00:00.000Z") == ["2"]
    assert at("2041-03-02T11:59:59Z") == ["1"]
    assert at("2041-02") == []
    assert at("2050") == ["3"]
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM history WHERE id = 'at'"))
        tx.execute(text("DELETE FROM resource WHERE id = 'at'"))


def test_a_type_and_all_types_have_pages_that_stay(client, send, begun):
    for number in range(3):
        send(bundle(put(patient("stay")), put(observation(f"stay-{number}", "Patient/stay"))))
    send(bundle(put(observation("stay-1", "Patient/stay", valueInteger=2))))

    of_type = client.get(f"/fhir/Observation/_history?_since={begun}&_count=2")
    of_all = client.get(f"/fhir/_history?_since={begun}&_count=3")
    send(bundle(put(observation("stay-2", "Patient/stay", valueInteger=9))))

    typed = [name for page in (of_type, *walk(client, link(of_type))) for name in seen(page)]
    whole = [name for page in (of_all, *walk(client, link(of_all))) for name in seen(page)]
    assert typed == [
        f'W/"{version}"Observation/stay-{number}' for version, number in ((2, 1), (1, 2), (1, 1), (1, 0))
    ]
    assert set(whole) == {*typed, 'W/"1"Patient/stay'}
    assert len(whole) == 5
    assert (of_type.get_json()["total"], of_all.get_json()["total"]) == (4, 5)


def test_a_count_of_zero_tells_only_the_total(client, send, begun):
    send(bundle(put(practitioner("zero"))))

    answer = client.get(f"/fhir/Practitioner/_history?_count=0&_since={begun}").get_json()

    assert (answer["total"], "entry" in answer) == (1, False)
    assert [each["relation"] for each in answer["link"]] == ["self"]


@pytest.mark.parametrize(
    "query",
    [
        "/fhir/Patient/_history?_at=2026",
        "/fhir/_history?_at=2026",
        "/fhir/_history?_since=yesterday",
        "/fhir/_history?_since=",
        "/fhir/_history?_count=-1",
        "/fhir/_history?_page=3",
        "/fhir/_history?_page=99999999999999999-1-1",
        "/fhir/_history?_page=999999999999999-999999999999999999-1",
        "/fhir/Patient/a/_history?_page=1-1-1",
        "/fhir/_history?patient=a",
        "/fhir/_history?_sort=_lastUpdated",
        "/fhir/_history?_count=1&_count=2",
    ],
)
def test_what_a_history_cannot_be_asked_for_is_named(query, client):
    answer = client.get(query)

    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["diagnostics"]


def test_a_lenient_client_is_told_what_was_used(client, send):
    send(bundle(put(practitioner("lenient"))))
    url = "/fhir/Practitioner/lenient/_history?patient=a&_since=2020"

    answer = client.get(url, headers={"Prefer": "handling=lenient"})

    assert link(answer, "self") == "/fhir/Practitioner/lenient/_history?_since=2020&_count=50"


def test_a_history_is_valid_itself(client, send):
    from fhir_profiles import gate

    send(bundle(put(practitioner("valid")), post(practitioner(None))))
    answer = client.get("/fhir/Practitioner/_history").get_json()

    assert answer["entry"]
    assert gate.check(answer) == ()


@pytest.fixture
def slow(database_url):
    """A writer of its own: it has read the clock, and does not commit before it is told to."""
    own = Database(database_url)
    ready, go = threading.Event(), threading.Event()

    def write():
        entries = transaction.read(bundle(put(patient("slow"))))
        with own.transaction() as tx:
            transaction.store(tx, entries, tenant=0, sender="test", base="", repeatable=True)
            ready.set()
            assert go.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    assert ready.wait(10)

    def finish():
        go.set()
        thread.join()

    yield finish
    finish()
    own.close()


POLLS = {
    "all": lambda since: f"/fhir/_history?_since={since}",
    "a type": lambda since: f"/fhir/Patient/_history?_since={since}",
    "a search": lambda since: f"/fhir/Patient?_lastUpdated=ge{since}",
    "a search after": lambda since: f"/fhir/Patient?_lastUpdated=gt{since}",
}


def polled(client, url, since):
    """Return whom a poll shows, and with what the next poll asks: the newest that this one has seen."""
    shown = [entry["resource"] for page in walk(client, url(since)) for entry in entries(page)]
    newest = max([since, *(resource["meta"]["lastUpdated"] for resource in shown)])
    return {resource["id"] for resource in shown}, newest


@pytest.mark.parametrize("url", POLLS.values(), ids=POLLS)
def test_a_poll_misses_no_version_that_others_have_overtaken(url, client, send, begun, database, slow):
    name = f"fast-{list(POLLS.values()).index(url)}"
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM resource WHERE id = 'slow'"))
    send(bundle(put(patient(name))))

    during, since = polled(client, url, begun)
    slow()
    after, _ = polled(client, url, since)

    # The slow one has the earlier time; shown first, the fast one would have hidden it for ever.
    assert "slow" in during | after
    assert name in during | after
    assert (
        client.get("/fhir/Patient/slow").get_json()["meta"]["lastUpdated"]
        < (client.get(f"/fhir/Patient/{name}").get_json()["meta"]["lastUpdated"])
    )
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM resource WHERE id = 'slow'"))


def test_polls_beside_many_writers_miss_nothing(client, database_url, begun):
    busy = Database(database_url, pool_size=8)
    names = [f"many-{number}" for number in range(48)]

    def write(some):
        for name in some:
            transaction.accept(busy, bundle(put(patient(name))), sender="test")

    threads = [threading.Thread(target=write, args=(names[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    found, since = set(), begun
    while any(thread.is_alive() for thread in threads):
        shown, since = polled(client, POLLS["a type"], since)
        found |= shown
    for thread in threads:
        thread.join()
    last, _ = polled(client, POLLS["a type"], since)

    assert set(names) <= found | last
    busy.close()


def test_the_next_poll_may_ask_with_the_time_of_the_bundle(client, send, begun, slow):
    during = client.get(f"/fhir/Patient/_history?_since={begun}").get_json()
    slow()
    again = client.get(f"/fhir/Patient/_history?_since={during['meta']['lastUpdated']}")

    assert 'W/"1"Patient/slow' in seen(again)


def test_what_was_written_is_in_its_history_at_once_whoever_else_writes(client, send, slow):
    send(bundle(put(practitioner("own"))))

    assert seen(client.get("/fhir/Practitioner/own/_history")) == ['W/"1"Practitioner/own']
    slow()


def test_a_version_is_never_older_than_the_one_before(database, client, send):
    later = datetime.now(UTC) + timedelta(days=1)
    with database.transaction() as tx:
        clock.set_(tx, later, held=False)
    send(bundle(put(practitioner("older"))))
    with database.transaction() as tx:
        clock.unset(tx)
    send(bundle(put(named("older", "Now"))))

    times = [e["response"]["lastModified"] for e in entries(client.get("/fhir/Practitioner/older/_history"))]
    assert times == sorted(times, reverse=True)
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM history WHERE id = 'older'"))
        tx.execute(text("DELETE FROM resource WHERE id = 'older'"))


def test_with_a_clock_that_stands_still_a_poll_misses_nothing(client, send, database):
    moment = datetime(2042, 1, 1, tzinfo=UTC)
    with database.transaction() as tx:
        clock.set_(tx, moment, held=False)
    try:
        send(bundle(put(patient("still-1"))))
        url = "/fhir/Patient/_history?_since="
        first = client.get(f"{url}2041-12-31")
        send(bundle(put(patient("still-2"))))
        again = client.get(f"{url}{first.get_json()['meta']['lastUpdated']}")
    finally:
        with database.transaction() as tx:
            clock.unset(tx)
            tx.execute(text("DELETE FROM resource WHERE id LIKE 'still-%'"))

    assert seen(first) == ['W/"1"Patient/still-1']
    assert 'W/"1"Patient/still-2' in seen(again)


def test_the_pages_of_a_search_end_where_its_first_one_did(client, send, begun):
    for number in range(3):
        send(bundle(put(practitioner(f"ends-{number}"))))
    url = f"/fhir/Practitioner?_lastUpdated=ge{begun}&_count=1"
    first = client.get(url)
    send(bundle(put(named("ends-2", "Later")), put(practitioner("ends-3"))))

    names = [
        entry["resource"]["id"] for page in (first, *walk(client, link(first))) for entry in entries(page)
    ]

    # What changed meanwhile is not before the end of the first page, so the next poll shows it.
    assert names == ["ends-0", "ends-1"]
    newest = max(entry["resource"]["meta"]["lastUpdated"] for entry in entries(first))
    again = client.get(f"/fhir/Practitioner?_lastUpdated=ge{newest}")
    assert {"ends-2", "ends-3"} <= {entry["resource"]["id"] for entry in entries(again)}
