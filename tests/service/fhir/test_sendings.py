"""What was sent is written down, also what was refused: ids and counts, and no values (ui.md, 8)."""

import json
from datetime import timedelta

import pytest
from fhir_visits import bundle, observation, patient, put, visit
from sqlalchemy import text

from service.fhir import senders
from service.store import sendings

FHIR = "application/fhir+json"


@pytest.fixture(autouse=True)
def nothing_sent(database):
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM sending"))


@pytest.fixture
def sent(database):
    """Return what is written down, the newest first."""

    def sent():
        with database.transaction() as tx:
            return sendings.newest(tx, limit=100, tenant=0)

    return sent


def post(client, body, path="/fhir", **headers):
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post(path, data=data, content_type=FHIR, headers=headers)


def test_an_accepted_bundle_is_written_down_with_what_it_stored(client, sent):
    assert post(client, visit("s-1")).status_code == 200

    (row,) = sent()
    assert (row.interaction, row.status, row.entries, row.refused) == ("transaction", 200, 2, 0)
    assert row.patients == ("s-1",)
    assert row.stored == ("Patient/s-1/_history/1", "Observation/s-1-1/_history/1")


def test_a_refused_bundle_is_written_down_although_nothing_of_it_is_stored(client, sent):
    wrong = bundle(put(patient("s-2")), put(observation("o", "Patient/s-2", status="maybe")))
    dangling = bundle(put(observation("o", "Patient/nobody")))

    assert post(client, wrong).status_code == 422
    assert post(client, dangling).status_code == 422

    assert [(r.status, r.entries, r.refused, r.patients, r.stored) for r in sent()] == [
        (422, 1, 1, (), ()),
        (422, 2, 2, (), ()),
    ]
    assert client.get("/fhir/Patient/s-2").status_code == 404


def test_what_the_database_refuses_is_written_down_as_nothing_that_was_stored(client, sent, owner):
    """The row of an accepted Bundle is on its way with the data when the database refuses them."""
    with owner.transaction() as tx:
        tx.execute(text("ALTER TABLE resource ADD CONSTRAINT refuses CHECK (id <> 's-refused')"))
    try:
        assert post(client, visit("s-refused")).status_code == 500
    finally:
        with owner.transaction() as tx:
            tx.execute(text("ALTER TABLE resource DROP CONSTRAINT refuses"))

    assert [(r.status, r.entries, r.refused, r.patients, r.stored) for r in sent()] == [(500, 2, 2, (), ())]
    assert client.get("/fhir/Patient/s-refused").status_code == 404


def test_what_cannot_be_read_is_written_down_without_a_count(client, sent):
    assert post(client, "{").status_code == 400
    assert client.post("/fhir", data="<Bundle/>", content_type="application/xml").status_code == 415

    assert [(r.status, r.entries) for r in sent()] == [(415, None), (400, None)]


def test_each_entry_of_a_batch_is_counted(client, sent):
    batch = {**visit("s-3"), "type": "batch"}
    batch["entry"].append(put(observation("o", "Patient/s-3", status="maybe")))
    batch["entry"].append({"request": {"method": "GET", "url": "Patient/s-3"}})

    assert post(client, batch).status_code == 200

    (row,) = sent()
    assert (row.interaction, row.entries, row.refused) == ("batch", 4, 1)
    assert set(row.stored) == {"Patient/s-3/_history/1", "Observation/s-3-1/_history/1"}


def test_single_resources_and_removals_are_written_down(client, sent):
    client.put("/fhir/Patient/s-4", data=json.dumps(patient("s-4")), content_type=FHIR)
    post(client, observation(None, "Patient/s-4"), "/fhir/Observation")
    client.delete("/fhir/Patient/s-4")

    assert [(r.interaction, r.status, r.entries) for r in sent()] == [
        ("delete", 409, 1),
        ("create", 201, 1),
        ("update", 201, 1),
    ]


def test_what_is_sent_again_under_its_key_is_told_from_what_is_new(client, sent):
    for _ in range(2):
        assert post(client, visit("s-5"), **{"Idempotency-Key": "s-5"}).status_code == 200

    again, first = sent()
    assert (first.repeated, first.entries) == (False, 2)
    assert (again.repeated, again.entries, again.stored) == (True, None, ())


@pytest.mark.parametrize("path", ["/fhir/Patient", "/fhir/metadata", "/fhir/Patient/nobody"])
def test_reading_is_not_sending(client, sent, path):
    client.get(path)

    assert sent() == []


def test_no_value_of_a_patient_is_written_down(client, database, sent):
    body = bundle(
        put(patient("s-6", mrn="MRN-SECRET", name=[{"family": "Secretname"}], birthDate="1961-04-02")),
        put(observation("s-6-1", "Patient/s-6", valueString="Secretvalue")),
    )
    post(client, body)
    post(
        client, {**body, "entry": [*body["entry"], put(observation("x", "Patient/s-6", status="Secretcode"))]}
    )

    with database.transaction() as tx:
        rows = " ".join(tx.execute(text("SELECT s::text FROM sending s")).scalars())
    assert "s-6" in rows
    assert not any(secret in rows for secret in ("SECRET", "Secret", "1961"))


def test_where_a_refusal_cannot_be_written_down_the_answer_stands(client, owner, sent):
    with owner.transaction() as tx:
        tx.execute(text("ALTER TABLE sending RENAME TO elsewhere"))
    try:
        refused = post(client, bundle(put(observation("o", "Patient/nobody")))).status_code
        accepted = post(client, visit("s-7")).status_code
    finally:
        with owner.transaction() as tx:
            tx.execute(text("ALTER TABLE elsewhere RENAME TO sending"))

    assert refused == 422
    assert accepted >= 500, "what is stored is written down with it, or not stored"
    assert client.get("/fhir/Patient/s-7").status_code == 404


def header(**source):
    resource = {"resourceType": "MessageHeader", "source": source}
    return {"resourceType": "Bundle", "entry": [{"resource": resource}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({}, "hospital", id="says nothing"),
        pytest.param({"meta": {"source": "urn:lab"}}, "urn:lab", id="the source of the Bundle"),
        pytest.param({"meta": {"source": "urn:lab#42"}}, "urn:lab", id="without the number of the message"),
        pytest.param(header(name="Lab", endpoint="urn:x"), "Lab", id="a message"),
        pytest.param(header(endpoint="urn:x"), "urn:x", id="a message without a name"),
        pytest.param(
            {"entry": [{"resource": {"meta": {"source": "urn:ris"}}}]}, "urn:ris", id="of a resource"
        ),
        pytest.param({"meta": {"source": 7}, "entry": "none"}, "hospital", id="no text, no list"),
        pytest.param({"meta": {"source": "a\0b"}}, "hospital", id="what cannot be shown or stored"),
        pytest.param({"meta": {"source": "x" * 500}}, "x" * 100, id="too long"),
    ],
)
def test_a_sender_has_the_name_that_the_request_says(body, expected):
    assert senders.sender_of(body) == expected


def test_of_each_sender_the_last_request_is_known_whoever_is_silent_first(client, database):
    for source in ("urn:ris", "urn:lab", "urn:lab"):
        post(client, {**visit(f"s-{source[4:]}"), "meta": {"source": source}})
    post(client, {**bundle(put(observation("o", "Patient/nobody"))), "meta": {"source": "urn:lab"}})
    with database.transaction() as tx:
        found = sendings.senders(tx, tenant=0)

    assert [(sender.name, sender.status) for sender in found] == [("urn:ris", 200), ("urn:lab", 422)]
    assert all(sender.stored_at and sender.stored_at <= sender.at for sender in found)
    assert all(0 <= sender.age_s < 60 for sender in found)


def test_rows_are_kept_for_a_month_and_the_newest_of_a_sender_for_a_year(database, owner):
    ages = {"busy": (0, 29, 31, 400), "silent": (364, 40, 300), "gone": (366,)}
    with owner.transaction() as tx:
        for sender, days in ages.items():
            for age in days:
                sendings.add(tx, tenant=0, sender=sender, interaction="t", status=200, entries=1)
                tx.execute(
                    text(
                        "UPDATE sending SET at = clock_timestamp() - :age "
                        "WHERE key = (SELECT max(key) FROM sending)"
                    ),
                    {"age": timedelta(days=age)},
                )

    with database.transaction() as tx:
        removed = sendings.purge(tx)
        left = tx.execute(text("SELECT sender, (now() - at)::text FROM sending ORDER BY sender, at")).all()

    assert removed == 5
    assert [(sender, int(age.split()[0]) if "day" in age else 0) for sender, age in left] == [
        ("busy", 29),
        ("busy", 0),
        ("silent", 40),
    ]
