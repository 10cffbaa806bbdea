"""A web process that is killed in the middle of a merge leaves two records or one, and nothing in between.

SP-16, SP-02: each line that changes what a crash leaves is tried.
"""

import http.client
from typing import Any

import deadly_web
import pytest
from dying_web import Web
from fhir_visits import bundle, observation, patient, put
from merging import parameters
from sqlalchemy import text

from service.store.database import Database

#: before it the transaction is committed, and the answer is on its way
COMMITTED = "service.fhir.routes.merge _wake before"

CASES = [*(f"{module} {name} after" for module, name in deadly_web.MERGE_LINES[:-1]), COMMITTED]

WHOSE = "SELECT id, patient FROM resource WHERE patient IN (:source, :target) AND type = 'Observation'"
COUNTED = {
    "joined": "SELECT count(*) FROM joining WHERE source = :source",
    "moved": "SELECT count(*) FROM joined_version JOIN joining ON key = joining WHERE source = :source",
    "promised": "SELECT count(*) FROM arrival WHERE patient = :target",
}


def left(database: Database, source: str, target: str) -> dict[str, Any]:
    """Return what is stored of the two: whose each resource is, whether they are joined, and the promises."""
    names = {"source": source, "target": target}
    with database.transaction() as tx:
        whose = {row.id: row.patient for row in tx.execute(text(WHOSE), names)}
        return {
            "whose": whose,
            **{what: tx.execute(text(sql), names).scalar_one() for what, sql in COUNTED.items()},
        }


def visit(who: str) -> dict[str, Any]:
    """Return a visit with a finding that only this patient has."""
    return bundle(put(patient(who)), put(observation(f"{who}-o", f"Patient/{who}", valueInteger=ord(who[0]))))


@pytest.mark.parametrize("line", CASES)
def test_a_killed_merge_leaves_two_records_or_one_and_the_next_attempt_joins_them(
    web: Web, database: Database, line: str
) -> None:
    number = CASES.index(line)
    source, target = f"s{number}", f"t{number}"
    for who in (source, target):
        web.post(visit(who), who)
    two = left(database, source, target)
    one = {
        "whose": {f"{source}-o": target, f"{target}-o": target},
        "joined": 1,
        "moved": 3,
        "promised": two["promised"] + 1,
    }
    asked = parameters(source_patient=f"Patient/{source}", target_patient=f"Patient/{target}")
    web.die_at(line)

    with pytest.raises((OSError, http.client.HTTPException)):
        web.post(asked, f"merge-{number}", "/fhir/Patient/$merge")

    assert web.has_died
    assert left(database, source, target) == (one if line == COMMITTED else two)

    web.until_back()
    status, _, _ = web.post(asked, f"merge-{number}", "/fhir/Patient/$merge")

    assert status == 200
    assert left(database, source, target) == one
