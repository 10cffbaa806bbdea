"""What is done besides a Bundle shares its transaction, and where nothing is read after it its round trip."""

import psycopg
import pytest
from fhir_visits import bundle, observation, patient, put, visit

from service.fhir import transaction
from service.store import driver, resources, sendings, standings


def store(tx, bundle, besides):
    entries = transaction.read(bundle)
    return transaction.store(
        tx, entries, tenant=0, sender="lab", base="", repeatable=True, besides=lambda told: besides(tx, told)
    )


def store_in(database, bundle, besides):
    with database.transaction() as tx:
        return store(tx, bundle, besides)


def write_down(tx, told):
    stored = [head.id for head in told.stored]
    sendings.add(
        tx, tenant=0, sender="besides", interaction="test", status=200, entries=len(stored), stored=stored
    )


def test_a_visit_waits_for_the_database_twice(database, tmp_path):
    """Once for what is there, and once for all that is written, with the commit."""
    said = tmp_path / "trace"
    store_in(database, visit("b0"), write_down)
    with database.transaction() as tx, said.open("wb") as file:
        driver.raw(tx).pgconn.trace(file.fileno())
        store(tx, visit("b1"), lambda tx, told: (write_down(tx, told), driver.commit_along(tx)))
        driver.raw(tx).pgconn.untrace()

    assert said.read_text().count("\tReadyForQuery\t") == 2


GET = {"request": {"method": "GET", "url": "Patient/b2"}}
DELETE = {"request": {"method": "DELETE", "url": "Observation/b3-2"}}


@pytest.mark.parametrize("entry", [None, GET, DELETE], ids=["only written", "read", "removed"])
def test_what_is_done_besides_is_told_what_becomes_of_the_visit(database, entry):
    store_in(database, visit("b2"), write_down)
    store_in(database, bundle(put(patient("b3")), put(observation("b3-2", "Patient/b3"))), write_down)
    sent = visit("b3", value=len(str(entry)))
    sent["entry"] += [entry] if entry else []
    told = []

    accepted = store_in(
        database, sent, lambda tx, accepted: (told.append(accepted), write_down(tx, accepted))
    )

    assert told == [accepted]
    assert {"b3", "b3-1"} <= {head.id for head in accepted.stored}
    assert len(accepted.response["entry"]) == len(sent["entry"])
    with database.transaction() as tx:
        newest = sendings.newest(tx, limit=1, tenant=0)[0]
        assert newest.stored == tuple(head.id for head in accepted.stored)
        assert resources.current(tx, "Observation", "b3-1", tenant=0)


@pytest.mark.parametrize("entry", [None, GET], ids=["only written", "read"])
def test_what_is_done_besides_and_fails_takes_the_visit_back(database, entry):
    store_in(database, visit("b2"), write_down)
    sent = visit("b4")
    sent["entry"] += [entry] if entry else []

    def fails(tx, _told):
        driver.raw(tx).execute("SELECT 1 / 0")
        driver.commit_along(tx)

    with pytest.raises(psycopg.errors.DivisionByZero):
        store_in(database, sent, fails)

    with database.transaction() as tx:
        assert resources.current(tx, "Patient", "b4", tenant=0) is None
        assert standings.of_patient(tx, "b4", tenant=0) is None
