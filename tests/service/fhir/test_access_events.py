"""The record of accesses is read as AuditEvents: valid, true, page by page, and each reading is an access.

http://hl7.org/fhir/R4/auditevent.html
"""

from urllib.parse import urlsplit

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from fhir_visits import patient
from sqlalchemy import text

from fhir_profiles import gate
from service.store import accesses, finding

FHIR = "application/fhir+json"
READ = {"place": "/careplans/<id>", "reference": "CarePlan/c", "status": 200}


@pytest.fixture(autouse=True)
def nobody_looked(owner):
    with owner.transaction() as tx:
        tx.execute(text("TRUNCATE access, seal, sealed"))


@pytest.fixture
def look(database):
    """Write down that somebody saw or did something."""

    def look(who="Practitioner/vogt", action="R", patients=("a",), **more):
        with database.transaction() as tx:
            accesses.add(tx, tenant=0, who=who, action=action, patients=patients, **{**READ, **more})

    return look


@pytest.fixture
def search(client):
    def search(query="", **more):
        answer = client.get(f"/fhir/AuditEvent?type=rest{query}", **more)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    return search


def events(found):
    return [entry["resource"] for entry in found.get("entry", ())]


def count(database):
    with database.transaction() as tx:
        return tx.execute(text("SELECT count(*) FROM access")).scalar_one()


def test_an_access_says_who_saw_whose_data_where_and_how_it_ended(search, look):
    look(patients=("b", "a"))

    (event,) = events(search())

    assert event["type"]["code"] == "rest"
    assert (event["action"], event["outcome"], event["outcomeDesc"]) == ("R", "0", "HTTP 200")
    assert event["agent"] == [{"who": {"reference": "Practitioner/vogt"}, "requestor": True}]
    what = [entity["what"]["reference"] for entity in event["entity"] if "what" in entity]
    assert what == ["Patient/a", "Patient/b", "CarePlan/c"]
    assert event["entity"][-1]["name"] == "/careplans/<id>"
    with pytest.raises(KeyError):
        event["meta"]


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "0"), (303, "0"), (403, "4"), (500, "8")], ids=lambda value: str(value)
)
def test_the_outcome_follows_the_answer(search, look, status, outcome):
    look(status=status)

    assert events(search())[0]["outcome"] == outcome


def test_what_was_sent_is_written_down_without_an_answer_and_says_so(search, look):
    look(status=accesses.UNANSWERED)

    (event,) = events(search())
    assert (event["outcome"], event["outcomeDesc"]) == ("0", "sent; written down before there was an answer")


@pytest.mark.parametrize("who", ["Practitioner/vogt", "hospital", ""])
@pytest.mark.parametrize("reference", ["CarePlan/c", None])
def test_each_is_valid_by_the_gate_and_by_its_model(client, search, look, who, reference):
    look(who=who, reference=reference)

    found = search()

    Bundle.model_validate(found)
    (event,) = events(found)
    assert not gate.check(event)
    AuditEvent.model_validate(event)
    alone = client.get(f"/fhir/AuditEvent/{event['id']}")
    assert (alone.status_code, alone.content_type) == (200, FHIR)
    assert alone.get_json() == event


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 4),
        ("&patient=a", 3),
        ("&patient=Patient/b", 2),
        ("&patient=http://127.0.0.1:8000/fhir/Patient/b", 2),
        ("&agent=Practitioner/vogt", 2),
        ("&agent=arslan", 1),
        ("&action=E", 1),
        ("&action=http://hl7.org/fhir/audit-event-action|R", 3),
        ("&patient=a&action=R&agent=vogt", 1),
        ("&patient=nobody", 0),
        ("&date=ge2020-01-01", 4),
        ("&date=lt2020-01-01", 0),
        ("&date=gt2020-01-01&date=le2999-12-31", 4),
        ("&date=2020-01-01", 0),
        ("&_id=access-999999999", 0),
        ("&_id=other", 0),
    ],
)
def test_what_is_asked_for_is_found(search, look, query, expected):
    look()
    look(action="E", patients=("a", "b"))
    look(who="Practitioner/arslan", patients=("b",))
    look(who="hospital", patients=("a",))

    found = search(query)

    assert (len(events(found)), found["total"]) == (expected, expected)


def test_a_day_is_a_day(search, look, owner):
    look()
    with owner.transaction() as tx:
        tx.execute(text("ALTER TABLE access DISABLE TRIGGER USER"))
        tx.execute(text("UPDATE access SET at = '2026-06-22T23:59:59.9Z'"))
        tx.execute(text("ALTER TABLE access ENABLE TRIGGER USER"))

    for query, expected in (
        ("2026-06-22", 1),
        ("2026-06-23", 0),
        ("ge2026-06-23", 0),
        ("le2026-06-22", 1),
        ("gt2026-06-22", 0),
        ("2026-06", 1),
        ("lt2026-06-22T23:59:59Z", 0),
    ):
        # Searching is an access, too, of today and of somebody else.
        assert len(events(search(f"&agent=vogt&date={query}"))) == expected, query


def test_page_by_page_each_is_found_once_the_newest_first_although_reading_adds_more(client, search, look):
    for number in range(5):
        look(patients=(f"p-{number}",))

    found, seen = search("&_count=2"), []
    while True:
        seen += [event["entity"][0]["what"]["reference"] for event in events(found)]
        following = [link["url"] for link in found["link"] if link["relation"] == "next"]
        if not following:
            break
        parts = urlsplit(following[0])
        found = client.get(f"{parts.path}?{parts.query}").get_json()

    assert seen == [f"Patient/p-{number}" for number in (4, 3, 2, 1, 0)]


def got(client, *urls, kind="batch"):
    """Return the entries that answer GETs in a Bundle."""
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    answer = client.post("/fhir", json=bundle, content_type=FHIR)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["entry"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_in_a_bundle_the_same_are_found_and_read(client, search, look, kind):
    look()
    look(patients=("b",))
    found = search("&action=R&date=ge2020")
    event = events(found)[1]

    url = f"AuditEvent/{event['id']}"
    inside, alone, part = got(
        client, "AuditEvent?type=rest&agent=vogt", url, f"{url}?_elements=action", kind=kind
    )

    assert inside["resource"]["total"] == 2
    assert events(inside["resource"]) == events(found)
    assert alone == {"resource": event, "response": {"status": "200 OK"}}
    assert "action" in part["resource"]
    assert "outcomeDesc" not in part["resource"]
    assert client.get(f"/fhir/{url}?_elements=action").get_json() == part["resource"]


def test_in_a_bundle_an_access_that_does_not_exist_and_a_wrong_question_are_refused(client, look):
    look()

    answers = got(client, "AuditEvent/access-999999", "AuditEvent?type=rest&nonsense=1")

    assert [entry["response"]["status"][:3] for entry in answers] == ["404", "400"]


def test_in_a_bundle_reading_them_is_an_access_to_their_patients(client, database, look):
    look(patients=("a", "b"))

    got(client, "AuditEvent?type=rest")

    with database.transaction() as tx:
        (_, newest), *_ = accesses.find(tx, accesses.Filters(), before=0, limit=9, tenant=0)
    assert (newest.who, newest.patients) == ("hospital", ("a", "b"))


def test_more_than_is_quickly_counted_has_a_total_only_where_it_is_asked_for(search, look, monkeypatch):
    monkeypatch.setattr(finding, "COUNTED", 3)
    for _ in range(4):
        look()

    assert "total" not in search("&agent=vogt&_count=2")
    assert search("&agent=vogt&_count=2&_total=accurate")["total"] == 4
    assert "total" not in search("&agent=vogt&_total=none")
    assert search("&agent=arslan")["total"] == 0


def test_the_order_that_there_is_may_be_asked_for(search, look):
    for number in range(3):
        look(patients=(f"p-{number}",))

    found = search("&_sort=-date&_total=accurate&_count=2")

    assert [event["entity"][0]["what"]["reference"] for event in events(found)] == [
        "Patient/p-2",
        "Patient/p-1",
    ]
    assert all("_sort=-date&_total=accurate" in link["url"] for link in found["link"])


def test_reading_the_record_of_accesses_is_an_access(client, database, search, look):
    look(patients=("a", "b"))
    event = events(search())[0]
    client.get(f"/fhir/AuditEvent/{event['id']}")

    with database.transaction() as tx:
        found = [row for _, row in accesses.find(tx, accesses.Filters(), before=0, limit=9, tenant=0)]
    assert [(row.who, row.action, row.patients) for row in found] == [
        ("hospital", "R", ("a", "b")),
        ("hospital", "R", ("a", "b")),
        ("Practitioner/vogt", "R", ("a", "b")),
    ]
    assert found[0].reference == f"AuditEvent/{event['id']}"
    search("&patient=nobody")
    assert count(database) == 3


@pytest.mark.parametrize(
    "query",
    [
        "&nonsense=1",
        "&date=yesterday",
        "&patient=Group/a",
        "&patient=../x",
        "&action=X",
        "&type=other",
        "&_count=x",
        "&_sort=date",
        "&_sort=-date,patient",
        "&_total=maybe",
        "&_elements=action",
        "&type=rest",
        "&patient=a&patient=b",
        "&agent=vogt&agent=arslan",
        "&action=R&action=E",
        "&_id=access-1&_id=access-2",
        "&_count=1&_count=2",
        "&_sort=-date&_sort=-date",
    ],
)
def test_what_is_not_understood_is_refused(client, look, query):
    answer = client.get(f"/fhir/AuditEvent?type=rest{query}")

    assert answer.status_code == 400
    assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_a_lenient_search_says_what_it_used(search, look):
    look()

    found = search("&nonsense=1&action=R&_sort=agent", headers={"Prefer": "handling=lenient"})

    assert len(events(found)) == 1
    (link,) = found["link"]
    assert urlsplit(link["url"]).query == "type=rest&action=R&_count=50"


def test_they_are_found_by_a_form_as_well(client, look):
    look()

    answer = client.post("/fhir/AuditEvent/_search", data={"type": "rest", "patient": "a"})

    assert answer.get_json()["total"] == 1


def test_a_search_that_does_not_name_the_type_finds_what_is_stored(client, look):
    look()

    assert client.get("/fhir/AuditEvent?patient=a").get_json()["total"] == 0


@pytest.mark.parametrize("id_", ["access-0", "access-01", "access-999999", "access-x", "access-1' OR 1=1"])
def test_an_access_that_does_not_exist_is_not_found(client, look, id_):
    look()

    assert client.get(f"/fhir/AuditEvent/{id_}").status_code == 404


@pytest.mark.parametrize(("method", "status"), [("put", 403), ("patch", 404), ("delete", 204)])
def test_an_access_is_not_written_changed_or_removed(client, database, search, look, method, status):
    client.put("/fhir/Patient/a", json=patient("a"), content_type=FHIR)
    look(reference=None)
    event = events(search())[0]
    before = count(database)

    body = [{"op": "add", "path": "/language", "value": "en"}] if method == "patch" else event
    media = "application/json-patch+json" if method == "patch" else FHIR
    request = {"put": client.put, "patch": client.patch, "delete": client.delete}[method]
    answer = request(f"/fhir/AuditEvent/{event['id']}", json=body, content_type=media)

    # To delete what is not stored is answered as having been done (http.html#delete), and does nothing.
    assert answer.status_code == status
    assert count(database) == before
    assert client.get(f"/fhir/AuditEvent/{event['id']}").get_json() == event


def test_the_statement_says_how_they_are_asked_for(client):
    rest = client.get("/fhir/metadata").get_json()["rest"][0]
    (of_type,) = (one for one in rest["resource"] if one["type"] == "AuditEvent")

    for name in ("type=rest", "patient", "agent", "action", "date", "_id"):
        assert name in of_type["documentation"]
