"""A web process that is killed on a line of the intake leaves all of a Bundle or nothing of it.

SP-02: what is acknowledged is stored, and a Bundle that is sent again after a broken connection
is there once. Each line that changes what a crash leaves is tried, before and after.
"""

import http.client
from typing import Any

import deadly_web
import pytest
from dying_web import Web
from fhir_visits import bundle, encounter, observation, patient, post, put
from sqlalchemy import text

from service.store.database import Database

#: after these the transaction is committed, and the answer is on its way
COMMITTED = {
    "service.fhir.intake _wake before",
    "service.fhir.intake _wake after",
    "service.broker wake before",
    "service.broker wake after",
}

CASES = [f"{module} {name} {when}" for module, name in deadly_web.LINES for when in ("before", "after")]


def left(database: Database, name: str) -> dict[str, int]:
    """Count what is stored of the Bundle: resources, versions, index values, promises and kept answers."""
    statements = {
        "resources": "SELECT count(*) FROM resource WHERE patient = :id",
        "versions": "SELECT coalesce(sum(version), 0) FROM resource WHERE patient = :id",
        "indexed": "SELECT count(*) FROM search_value JOIN resource USING (key) WHERE patient = :id",
        "arrivals": "SELECT count(*) FROM arrival WHERE patient = :id",
        "answers": "SELECT count(*) FROM idempotency_key WHERE key = :id",
    }
    with database.transaction() as tx:
        return {what: tx.execute(text(sql), {"id": name}).scalar_one() for what, sql in statements.items()}


def visit(name: str) -> dict[str, Any]:
    """Return a Bundle with a visit that has ended: it is evaluated at once, so a wake-up is sent, too."""
    return bundle(
        put(patient(name)),
        put(observation(f"{name}-o", f"Patient/{name}")),
        post(observation(None, f"Patient/{name}")),
        put(encounter(f"Patient/{name}", id_=f"{name}-e")),
    )


@pytest.fixture(scope="module")
def whole(web: Web, database: Database) -> dict[str, int]:
    """What a Bundle leaves that nothing disturbs."""
    web.post(visit("undisturbed"), "undisturbed")
    found = left(database, "undisturbed")
    assert found["resources"] == found["versions"] == 4
    assert found["arrivals"] == found["answers"] == 1
    return found


@pytest.mark.parametrize("line", CASES)
def test_a_killed_intake_leaves_all_or_nothing_and_the_next_attempt_stores_it_once(
    web, database, whole, line
):
    name = f"killed-{CASES.index(line)}"
    nothing = dict.fromkeys(whole, 0)
    web.die_at(line)

    with pytest.raises((OSError, http.client.HTTPException)):
        web.post(visit(name), name)

    assert web.has_died
    assert left(database, name) == (whole if line in COMMITTED else nothing)

    web.until_back()
    status, headers, _ = web.post(visit(name), name)

    assert status == 200
    assert left(database, name) == whole
    assert ("idempotent-replayed" in headers) == (line in COMMITTED)


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_left_by_an_intake_that_is_killed_as_it_is_about_to_commit(web, database, whole, when):
    """Without a key the commit goes with the last rows, so nothing has left before it."""
    name = f"killed-{when}-the-commit"
    web.die_at(f"{' '.join(deadly_web.LAST_LINE)} {when}")

    with pytest.raises((OSError, http.client.HTTPException)):
        web.post(visit(name), None)

    assert web.has_died
    assert left(database, name) == dict.fromkeys(whole, 0)

    web.until_back()
    status, _, _ = web.post(visit(name), None)

    assert status == 200
    assert left(database, name) == {**whole, "answers": 0}
