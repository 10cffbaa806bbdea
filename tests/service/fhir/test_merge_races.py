"""Joining while others send, evaluate and join: nothing is lost, nothing is misfiled, one of them wins.

Safety: SP-16, SP-12, SP-14.
"""

import threading
from collections import Counter

import pytest
from fhir_visits import MRN, bundle, observation, patient, put
from merging import decided, kept, look_at, memory, told
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.joining import join, part
from service.sandbox import erasing
from service.store import promises
from service.store.database import Database
from worker.advance import advance

THREADS = 16
BASE = "http://localhost/fhir/"


@pytest.fixture(scope="module")
def busy(database_url):
    database = Database(database_url, pool_size=THREADS + 8, overflow=0, pool_timeout_s=30)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def _empty(database):
    with database.transaction() as tx:
        erasing.erase(tx)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def at_once(*works):
    """Do all of it at the same moment, and return what each returned, or for what it was refused."""
    barrier = threading.Barrier(len(works))
    results = [None] * len(works)

    def run(number):
        barrier.wait()
        try:
            results[number] = works[number]()
        except Refusal as refusal:
            results[number] = refusal
        except Exception as error:  # noqa: BLE001 - whatever else it is fails the test
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not [each for each in results if isinstance(each, Exception) and not isinstance(each, Refusal)]
    return results


def joining(database, source, target):
    def work(tx):
        join.announce(tx)
        return join.join(tx, source, target, tenant=0, who="test")

    return lambda: database.run(work)


def parting(database, source, target):
    def work(tx):
        join.announce(tx)
        return part.part(tx, source, target, tenant=0, who="test", rest_stays=True)

    return lambda: database.run(work)


def sending(database, *resources):
    return lambda: transaction.accept(database, bundle(*map(put, resources)), sender="test")


def evaluating(database, who):
    def work():
        with database.transaction() as tx:
            promises.want(tx, who, tenant=0, due_at=clock.now(tx), forced=True)
        return advance(database, 0, who)

    return work


def standing(database):
    with database.transaction() as tx:
        rows = tx.execute(text("SELECT source, target FROM joining WHERE parted_at IS NULL"))
        return {(row.source, row.target) for row in rows}


def subjects(database):
    """Return of each Observation whose it is, by its column and by what it says."""
    with database.transaction() as tx:
        rows = tx.execute(
            text("SELECT id, patient, body::json #>> '{subject,reference}' AS said FROM resource "
                 "WHERE type = 'Observation' AND NOT deleted")
        )  # fmt: skip
        return {row.id: (row.patient, row.said) for row in rows}


@pytest.mark.parametrize("round_", range(3))
def test_what_is_sent_at_the_same_moment_is_the_target_s_or_refused(busy, round_):
    source, target = told(busy, "s", "V40", 2).patient, "t"
    was = memory(busy, source)
    sending(busy, patient(target, mrn="T"))()
    before = set(subjects(busy))
    works = []
    for number in range(THREADS):
        # By the id of the one, by an identifier of it, and by the id of the other.
        of = (f"Patient/{source}", "Patient?identifier=" + MRN + "|T", f"Patient/{target}")[number % 3]
        works.append(sending(busy, observation(f"o{number}", of, valueInteger=number)))
    works[5:5] = [joining(busy, source, target), evaluating(busy, source), evaluating(busy, target)]
    works[9:9] = [joining(busy, source, target), evaluating(busy, source), evaluating(busy, target)]

    results = at_once(*works)

    accepted = {head.id for each in results if isinstance(each, transaction.Accepted) for head in each.stored}
    refused = [each for each in results if isinstance(each, Refusal)]
    now = subjects(busy)
    assert set(now) - before == accepted
    assert len(accepted) + len(refused) == THREADS
    assert set(now.values()) == {(target, f"Patient/{target}")}
    assert Counter(each.changed for each in results if isinstance(each, join.Outcome)) == {True: 1, False: 1}
    assert standing(busy) == {(source, target)}
    look_at(busy, target, source)
    then = memory(busy, target)
    assert then.stage == was.stage
    assert {(o.kind, o.order) for o in then.orders} == {(o.kind, o.order) for o in was.orders}
    assert set(kept(busy, source)) == {f"Patient/{source}"}
    count = decided(busy, target)
    look_at(busy, target)
    assert decided(busy, target) == count


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("Patient/b", id="relative"),
        pytest.param(f"{BASE}Patient/b", id="absolute"),
        pytest.param(f"Patient?identifier={MRN}|b", id="by an identifier"),
    ],
)
def test_a_link_waits_for_a_visit_that_is_not_committed(busy, other):
    sending(busy, patient("a", mrn="a"))()
    sending(busy, patient("b", mrn="b"))()
    link = [{"other": {"reference": other}, "type": "replaced-by"}]
    linked = put(patient("a", mrn="a", active=False, link=link))
    answers = []
    linking = threading.Thread(
        target=lambda: answers.append(transaction.accept(busy, bundle(linked), sender="test", base=BASE))
    )

    with busy.transaction() as tx:
        visit = transaction.read(bundle(put(observation("late", "Patient/a"))))
        transaction.store(tx, visit, tenant=0, sender="test", base="", repeatable=True)
        linking.start()
        linking.join(timeout=1)
        waited = linking.is_alive()
    linking.join()

    assert waited
    assert [answer.patient for answer in answers] == ["b"]
    assert subjects(busy) == {"late": ("b", "Patient/b")}


def test_of_those_who_cross_one_wins(busy):
    for id_ in ("a", "b"):
        sending(
            busy, patient(id_, mrn=id_), observation(f"{id_}-o", f"Patient/{id_}", valueInteger=ord(id_))
        )()

    results = at_once(*(joining(busy, *(("a", "b") if n % 2 else ("b", "a"))) for n in range(THREADS)))

    outcomes = [each for each in results if isinstance(each, join.Outcome)]
    assert sum(each.changed for each in outcomes) == 1
    ((source, target),) = standing(busy)
    assert {(each.source, each.target) for each in outcomes} == {(source, target)}
    assert len(results) - len(outcomes) == THREADS // 2
    assert set(subjects(busy).values()) == {(target, f"Patient/{target}")}


def test_of_many_targets_one_gets_it(busy):
    sending(busy, patient("a", mrn="a"), observation("a-o", "Patient/a", valueInteger=50))()
    for number in range(THREADS):
        sending(busy, patient(f"t{number}"))()

    results = at_once(*(joining(busy, "a", f"t{number}") for number in range(THREADS)))

    assert sum(isinstance(each, join.Outcome) for each in results) == 1
    ((_, target),) = standing(busy)
    assert subjects(busy) == {"a-o": (target, f"Patient/{target}")}


def test_a_chain_that_is_joined_at_once_ends_with_one(busy):
    for id_ in ("a", "b", "c"):
        sending(
            busy, patient(id_, mrn=id_), observation(f"{id_}-o", f"Patient/{id_}", valueInteger=ord(id_))
        )()

    at_once(*(joining(busy, *pair) for pair in (("a", "b"), ("b", "c")) for _ in range(THREADS // 2)))

    where = {who for who, _ in subjects(busy).values()}
    # Whichever came first: what was joined is at the end of its chain, and in one place.
    ends = {("a", "b"), ("b", "c")} & standing(busy)
    assert ("b", "c") in ends
    assert where == ({"c"} if ("a", "b") in ends else {"a", "c"})
    for who, said in subjects(busy).values():
        assert said == f"Patient/{who}"


def test_joined_and_parted_while_others_send_nothing_is_lost(busy):
    sending(busy, patient("a", mrn="a"), observation("a-o", "Patient/a", valueInteger=50))()
    sending(busy, patient("b", mrn="b"), observation("b-o", "Patient/b", valueInteger=60))()
    works = [
        work
        for number in range(THREADS // 4)
        for work in (
            joining(busy, "a", "b"),
            parting(busy, "a", "b"),
            sending(busy, observation(f"a{number}", "Patient/a", valueInteger=number)),
            sending(busy, observation(f"b{number}", "Patient/b", valueInteger=100 + number)),
        )
    ]

    results = at_once(*works)

    accepted = {head.id for r in results if isinstance(r, transaction.Accepted) for head in r.stored}
    now = subjects(busy)
    assert set(now) == accepted | {"a-o", "b-o"}
    joined = standing(busy) == {("a", "b")}
    assert now["b-o"][0] == "b"
    assert now["a-o"][0] == ("b" if joined else "a")
    for who, said in now.values():
        assert said == f"Patient/{who}"
        assert who == "b" or not joined
