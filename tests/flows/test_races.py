"""Sixty-four senders at once, round after round: one of each exists, and no deadlock reaches a client.

Safety SP-12 and SP-13. A whole service with four web processes, so that sixty-four transactions are
open at the same time; it shares its database with the test, which counts what is really there.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import racing
from fhir_visits import MRN, URN, bundle, observation, patient, post, practitioner, put, put_by
from racing import SENDERS, Request, settle
from sqlalchemy import text

from fhir_profiles import reading
from service import evaluation
from service.settings import Settings
from service.store.database import Database

ROUNDS = 50

Json = dict[str, Any]
#: what one sender sends in one round: round and sender to a Bundle
Sent = Callable[[int, int], Json]


@pytest.fixture(scope="module")
def url(database: Database, database_url: str, broker_url: str) -> Iterator[str]:
    """A service with four web processes that evaluates at once."""
    with racing.service(database, database_url, broker_url) as found:
        yield found


@pytest.fixture
def drained(database: Database, database_url: str, broker_url: str) -> Callable[[], None]:
    """Wait until everything that arrived is evaluated."""

    def drain() -> None:
        settings = Settings(database_url=database_url, broker_url=broker_url)
        assert evaluation.drain(database, settings, timeout_s=300)

    return drain


def race(url: str, sent: Sent) -> list[list[Json]]:
    """Let every sender post its Bundle of each round at the same moment; return the answers of each round."""
    answers = racing.race(
        url,
        lambda number, sender: Request("POST", "/fhir", reading.write(sent(number, sender))),
        rounds=ROUNDS,
    )
    refused = [answer for round_ in answers for answer in round_ if answer.status != 200]
    assert refused == []
    return [[answer.content for answer in round_] for round_ in answers]


def stored(database: Database, prefix: str) -> Counter[tuple[str, int]]:
    """Count the resources whose patient's id or own id begins so, by type and version."""
    statement = (
        "SELECT type, version, count(*) FROM resource WHERE NOT owned "
        "AND (id LIKE :like OR patient LIKE :like) GROUP BY type, version"
    )
    with database.transaction() as tx:
        rows = tx.execute(text(statement), {"like": f"{prefix}%"})
        return Counter({(type_, version): count for type_, version, count in rows})


def carrying(database: Database, value: str) -> list[str]:
    """Return the ids of the patients that carry the identifier."""
    statement = (
        "SELECT r.id FROM search_value v JOIN resource r USING (key) "
        "WHERE v.type = 'Patient' AND v.name = 'identifier' AND v.system = :system AND v.value = :value"
    )
    with database.transaction() as tx:
        return list(tx.execute(text(statement), {"system": MRN, "value": value}).scalars())


def plans(database: Database, prefix: str) -> Counter[int]:
    """Return how many CarePlans of the engine each patient has whose id begins so, counted."""
    statement = (
        "SELECT patient, count(*) FROM resource WHERE type = 'CarePlan' AND patient LIKE :like GROUP BY 1"
    )
    with database.transaction() as tx:
        rows = tx.execute(text(statement), {"like": f"{prefix}%"})
        return Counter(count for _, count in rows)


def arrivals(database: Database, prefix: str) -> Counter[int]:
    """Return how many arrivals are unread of each patient whose id begins so, counted."""
    statement = "SELECT patient, count(*) FROM arrival WHERE patient LIKE :like GROUP BY 1"
    with database.transaction() as tx:
        rows = tx.execute(text(statement), {"like": f"{prefix}%"})
        return Counter(count for _, count in rows)


def evaluated(database: Database, prefix: str) -> int:
    """Return how many patients have been evaluated whose id begins so."""
    statement = "SELECT count(*) FROM promise WHERE done_at IS NOT NULL AND patient LIKE :like"
    with database.transaction() as tx:
        return int(tx.execute(text(statement), {"like": f"{prefix}%"}).scalar_one())


def places(answer: Json) -> tuple[str, ...]:
    return tuple(entry["response"]["location"] for entry in answer["entry"])


def created(answer: Json) -> int:
    return sum(entry["response"]["status"].startswith("201") for entry in answer["entry"])


def pain(id_: str | None, of: str, value: int = 6, **more: Any) -> Json:
    """A finding that opens the right hip."""
    right = {"system": "http://snomed.info/sct", "code": "287579007"}
    return observation(id_, of, valueInteger=value, bodySite={"coding": [right]}, **more)


# What is sent, by the name of the race and the round.


def new_patient(race: str, number: int) -> Json:
    return bundle(put(patient(f"{race}-{number}")))


def conditional(race: str, number: int) -> Json:
    mrn = f"{race}-{number}"
    return bundle(post(patient(mrn=mrn), unless=f"{MRN}|{mrn}"))


def whole(race: str, number: int) -> Json:
    """A Bundle with an entry of every kind that can be sent again."""
    key, who = f"{race}-{number}", URN.format(1)
    doctor = practitioner(None, identifier=[{"system": MRN, "value": f"{key}-dr"}])
    return bundle(
        post(patient(mrn=key), unless=f"{MRN}|{key}", full_url=who),
        post(doctor, unless=f"{MRN}|{key}-dr"),
        post(pain(None, who)),
        put_by(pain(None, who, identifier=[{"system": MRN, "value": f"{key}-o"}]), f"{MRN}|{key}-o"),
    )


def one_of_two(race: str, number: int, sender: int) -> Json:
    """One of two Bundles about one patient, with the same findings in opposite order and other values."""
    key, value = f"{race}-{number}", 3 + sender % 2
    of = f"Patient/{key}"
    entries = [put(pain(f"{key}-{name}", of, value)) for name in ("a", "b")]
    return bundle(put(patient(key)), *(entries if sender % 2 else entries[::-1]))


def with_practitioner(race: str, number: int, sender: int) -> Json:
    """A patient of the sender's own, with a Practitioner who is in all of them."""
    doctor = practitioner(f"{race}-{number}-dr")
    theirs = [{"reference": f"Practitioner/{doctor['id']}"}]
    return bundle(put(doctor), put(patient(f"{race}-{number}-{sender}", generalPractitioner=theirs)))


def test_one_new_patient_is_created_once(url, database):
    answers = race(url, lambda number, _: new_patient("new", number))

    assert [sum(map(created, round_)) for round_ in answers] == [1] * ROUNDS
    assert stored(database, "new-") == {("Patient", 1): ROUNDS}


def test_one_conditional_create_creates_once(url, database):
    answers = race(url, lambda number, _: conditional("cond", number))

    assert [len(set(map(places, round_))) for round_ in answers] == [1] * ROUNDS
    assert [sum(map(created, round_)) for round_ in answers] == [1] * ROUNDS
    assert [len(carrying(database, f"cond-{number}")) for number in range(ROUNDS)] == [1] * ROUNDS


def test_one_bundle_is_stored_once(url, database, drained):
    answers = race(url, lambda number, _: whole("same", number))

    assert [len(set(map(places, round_))) for round_ in answers] == [1] * ROUNDS
    assert [sum(map(created, round_)) for round_ in answers] == [4] * ROUNDS
    assert {place.rpartition("/")[2] for round_ in answers for place in places(round_[0])} == {"1"}
    drained()
    who = [carrying(database, f"same-{number}") for number in range(ROUNDS)]
    assert [len(ids) for ids in who] == [1] * ROUNDS
    # Each patient's one hip is open once.
    assert Counter(count for (id_,) in who for count in plans(database, id_).elements()) == {1: ROUNDS}


def test_two_bundles_about_one_patient_make_versions_without_a_gap(url, database, drained):
    answers = race(url, lambda number, sender: one_of_two("two", number, sender))

    for number, round_ in enumerate(answers):
        versions = {int(places(answer)[1].rpartition("/")[2]) for answer in round_}
        assert versions == set(range(1, max(versions) + 1))
        # Whoever changed one finding changed the other: both are one transaction.
        assert stored(database, f"two-{number}-")[("Observation", max(versions))] == 2
    assert (
        sum(count for (type_, _), count in stored(database, "two-").items() if type_ == "Patient") == ROUNDS
    )
    drained()
    assert plans(database, "two-") == {1: ROUNDS}


def test_one_practitioner_in_every_bundle_is_created_once(url, database):
    # Thousands of evaluations would say nothing more about the Practitioner: let them wait.
    settle(database, 60)

    answers = race(url, lambda number, sender: with_practitioner("dr", number, sender))

    # The patient of each Bundle is the sender's own; of the Practitioner there is one in a round.
    assert [sum(map(created, round_)) for round_ in answers] == [SENDERS + 1] * ROUNDS
    assert stored(database, "dr-") == {("Practitioner", 1): ROUNDS, ("Patient", 1): ROUNDS * SENDERS}
    assert arrivals(database, "dr-") == {1: ROUNDS * SENDERS}
    settle(database, 0)


def test_all_of_them_at_once(url, database, drained):
    kinds: list[Sent] = [
        lambda number, _: new_patient("mixed-new", number),
        lambda number, _: conditional("mixed-cond", number),
        lambda number, _: whole("mixed-same", number),
        lambda number, sender: one_of_two("mixed-two", number, sender // len(kinds)),
        lambda number, sender: with_practitioner("mixed-dr", number, sender),
    ]

    answers = race(url, lambda number, sender: kinds[sender % len(kinds)](number, sender))

    for kind, name in enumerate(("new", "cond", "same")):
        made = [sum(map(created, round_[kind :: len(kinds)])) for round_ in answers]
        assert made == [4 if name == "same" else 1] * ROUNDS, name
    assert stored(database, "mixed-new-") == {("Patient", 1): ROUNDS}
    assert stored(database, "mixed-dr-")[("Practitioner", 1)] == ROUNDS
    drained()
    assert plans(database, "mixed-two-") == {1: ROUNDS}
    assert evaluated(database, "mixed-") == 2 * ROUNDS + ROUNDS * len(range(4, SENDERS, len(kinds)))
