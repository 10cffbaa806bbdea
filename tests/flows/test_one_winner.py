"""Sixty-four senders want the same at the same moment, a hundred times: exactly one of them gets it.

Safety SP-13 and SP-38. HIPWAY_RACE_ROUNDS chooses another number of rounds.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import racing
from fhir_visits import MRN, patient
from racing import SENDERS, Request
from sqlalchemy import text

from fhir_profiles import reading
from service.store.database import Database

ROUNDS = int(os.environ.get("HIPWAY_RACE_ROUNDS", "100"))


@pytest.fixture(scope="module")
def url(database: Database, database_url: str, broker_url: str) -> Iterator[str]:
    with racing.service(database, database_url, broker_url) as found:
        yield found


def versions(database: Database, id_: str) -> int:
    """Count the versions of a Patient that are stored."""
    statement = (
        "SELECT (SELECT count(*) FROM history WHERE type = 'Patient' AND id = :id) "
        "+ (SELECT count(*) FROM resource WHERE type = 'Patient' AND id = :id)"
    )
    with database.transaction() as tx:
        return int(tx.execute(text(statement), {"id": id_}).scalar_one())


def test_of_many_conditional_creates_of_one_identity_one_creates(url: str, database: Database) -> None:
    def create(number: int, _sender: int) -> Request:
        mrn = f"winner-{number}"
        condition = {"If-None-Exist": f"identifier={MRN}|{mrn}"}
        return Request("POST", "/fhir/Patient", reading.write(patient(mrn=mrn)), condition)

    rounds = racing.race(url, create, rounds=ROUNDS)

    one = Counter({201: 1, 200: SENDERS - 1})
    assert [Counter(answer.status for answer in answers) for answers in rounds] == [one] * ROUNDS
    ids = [{answer.content["id"] for answer in answers} for answers in rounds]
    assert [len(each) for each in ids] == [1] * ROUNDS
    assert {versions(database, id_) for each in ids for id_ in each} == {1}


def test_of_many_updates_of_one_version_one_is_stored(url: str, database: Database) -> None:
    first = reading.write(patient("updated"))
    racing.race(url, lambda *_: Request("PUT", "/fhir/Patient/updated", first), rounds=1)

    def update(number: int, sender: int) -> Request:
        # In each round everybody has read the version that the winner of the round before has made.
        changed = patient("updated", name=[{"family": f"Round {number}", "given": [f"Sender {sender}"]}])
        read = {"If-Match": f'W/"{number + 1}"'}
        return Request("PUT", "/fhir/Patient/updated", reading.write(changed), read)

    rounds = racing.race(url, update, rounds=ROUNDS)

    one = Counter({200: 1, 412: SENDERS - 1})
    assert [Counter(answer.status for answer in answers) for answers in rounds] == [one] * ROUNDS
    assert versions(database, "updated") == ROUNDS + 1
    winners = [next(i for i, a in enumerate(answers) if a.status == 200) for answers in rounds]
    for number, (answers, sender) in enumerate(zip(rounds, winners, strict=True)):
        kept = answers[sender].content
        assert (kept["name"][0]["given"], kept["meta"]["versionId"]) == (
            [f"Sender {sender}"],
            f"{number + 2}",
        )
        refused = {a.content["issue"][0]["code"] for i, a in enumerate(answers) if i != sender}
        assert refused == {"conflict"}
