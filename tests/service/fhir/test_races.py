"""Many senders at once: one of each resource, every input kept, no deadlock reaches a client."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from fhir_visits import MRN, URN, bundle, observation, patient, post, practitioner, put, put_by, visit
from locks import wait_for_who_waits
from sqlalchemy import text

from service.fhir.transaction import Accepted, accept
from service.store import resources
from service.store.database import Database

THREADS = 64


@pytest.fixture(scope="module")
def busy(database_url):
    database = Database(database_url, pool_size=16, overflow=0, pool_timeout_s=30)
    yield database
    database.close()


def at_once(work: Callable[[int], Accepted], count: int = THREADS) -> list[Accepted]:
    barrier = threading.Barrier(count)
    results: list[Accepted] = []
    errors: list[Exception] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results.append(work(number))
        except Exception as error:  # noqa: BLE001 - whatever it is fails the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results


def versions(database, type_, **where) -> list[int]:
    condition = " AND ".join(f"{name} = :{name}" for name in where) or "true"
    with database.transaction() as tx:
        statement = f"SELECT version FROM resource WHERE type = :type AND {condition}"
        return list(tx.execute(text(statement), {"type": type_, **where}).scalars())


def arrivals(database, patient_: str) -> int:
    with database.transaction() as tx:
        statement = "SELECT count(*) FROM arrival WHERE patient = :patient"
        return int(tx.execute(text(statement), {"patient": patient_}).scalar_one())


def send(database, content) -> Accepted:
    return accept(database, content, sender="test")


def test_one_patient_is_created_once(busy):
    results = at_once(lambda _: send(busy, bundle(put(patient("once")))))

    assert versions(busy, "Patient", id="once") == [1]
    assert sum(result.changed for result in results) == 1


def test_one_condition_creates_once(busy):
    results = at_once(lambda _: send(busy, bundle(post(patient(mrn="cond"), unless=f"{MRN}|cond"))))

    assert len({result.patient for result in results}) == 1
    assert sum(result.changed for result in results) == 1


def test_one_bundle_sent_by_many_is_stored_once(busy):
    content = bundle(
        post(patient(mrn="same"), unless=f"{MRN}|same", full_url=URN.format(1)),
        post(practitioner(None, identifier=[{"system": MRN, "value": "dr"}]), unless=f"{MRN}|dr"),
        post(observation(None, URN.format(1))),
        put_by(observation(None, URN.format(1), identifier=[{"system": MRN, "value": "o"}]), f"{MRN}|o"),
    )

    results = at_once(lambda _: send(busy, content))

    assert len({tuple(head.id for head in result.stored) for result in results}) == 1
    assert versions(busy, "Observation", patient=results[0].patient) == [1, 1]
    assert arrivals(busy, results[0].patient) == 1


def test_changes_in_opposite_order_do_not_deadlock(busy):
    ids = [f"cross-{number}" for number in range(8)]

    def work(number: int) -> Accepted:
        order = ids if number % 2 else ids[::-1]
        return send(
            busy,
            bundle(
                put(patient("cross")),
                *(put(observation(id_, "Patient/cross", valueInteger=number)) for id_ in order),
            ),
        )

    results = at_once(work)

    assert sum(result.changed for result in results) == THREADS
    assert arrivals(busy, "cross") == THREADS
    assert set(Counter(versions(busy, "Observation", patient="cross"))) == {THREADS}


def test_visits_of_many_patients_share_their_practitioner(busy):
    def work(number: int) -> Accepted:
        content = visit(f"many-{number}")
        content["entry"].append(put(practitioner("shared")))
        return send(busy, content)

    at_once(work)

    assert versions(busy, "Practitioner", id="shared") == [1]
    assert len(versions(busy, "Patient")) >= THREADS


def test_an_unchanged_practitioner_is_not_waited_for(busy):
    send(busy, bundle(put(practitioner("held"))))
    with busy.transaction() as other:
        other.execute(text("SET LOCAL statement_timeout = '10s'"))
        other.execute(text("SELECT FROM resource WHERE id = 'held' FOR UPDATE"))
        content = visit("unhindered")
        content["entry"].append(put(practitioner("held")))

        assert send(busy, content).changed


def test_a_name_that_is_lost_while_others_wait_is_given_once(busy):
    """Two Bundles have seen the name, and wait for another; meanwhile its resource is renamed."""
    named = [{"system": MRN, "value": "lost-name"}]
    send(busy, bundle(put(practitioner("renamed", identifier=named))))
    awaited = [("Practitioner", "identifier", MRN, f"awaited-{number}") for number in range(2)]

    def work(number: int) -> Accepted:
        awaited_one = [{"system": MRN, "value": f"awaited-{number}"}]
        return send(
            busy,
            bundle(
                post(practitioner(None, identifier=awaited_one), unless=f"{MRN}|awaited-{number}"),
                post(practitioner(None, identifier=named), unless=f"{MRN}|lost-name"),
            ),
        )

    def rename() -> None:
        wait_for_who_waits(busy, len(awaited))
        send(busy, bundle(put(practitioner("renamed"))))

    with busy.transaction() as holding:
        resources.lock_identities(holding, 0, awaited)
        renaming = threading.Thread(target=rename)
        renaming.start()
        waiting = threading.Thread(target=lambda: results.extend(at_once(work, len(awaited))))
        results: list[Accepted] = []
        waiting.start()
        renaming.join()
    waiting.join()

    made = {result.stored[1].id for result in results}
    assert len(results) == len(awaited)
    assert len(made) == 1
    assert made != {"renamed"}
