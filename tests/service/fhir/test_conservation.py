"""Everything that was accepted ends in exactly one place, with a reason; posting again changes nothing.

Safety SP-01 and SP-13. Random visits, valid and invalid, are posted in random Bundles, each of them several
times with its entries in another order; workers are lost on the way. The test knows what it made, and so
what has to become of it, without asking the rules.
"""

import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fhir_visits import bundle, decision, encounter, observation, patient, post, practitioner, put
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, or_, text

from pathways import catalogue
from pathways.disposition import Disposition, Kind, Past, Reason, dispositions
from pathways.memory import Memory
from pathways.record import Entry, Record
from service import clock
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.store import content, decisions, promises, standings, tables
from service.store.database import Database
from worker.advance import advance

NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
PATHWAY = next(iter(catalogue.pathways()))

OURS = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
RIGHT = {"coding": [{"system": "http://snomed.info/sct", "code": "287579007"}]}

Json = dict[str, Any]
Ends = frozenset[tuple[Kind, Reason]]

#: what a finding that counts may lead to, depending on what else is known
COUNTS: Ends = frozenset(
    {(Kind.USED, Reason.STEP), (Kind.NO_EFFECT, Reason.NO_STEP), (Kind.NO_EFFECT, Reason.NO_PLAN)}
)
ASKED: Ends = frozenset({(Kind.HELD, Reason.SET_ASIDE)})


@dataclass(frozen=True)
class Made:
    """What the test makes, and where it has to end. `more`: what makes it so."""

    name: str
    ends: Ends
    more: Json


def finding(name: str, ends: Ends, **more: Any) -> Made:
    return Made(name, ends, {"bodySite": RIGHT, **more})


def coded(code: str, system: str = OURS) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def ends(kind: Kind, reason: Reason) -> Ends:
    return frozenset({(kind, reason)})


FINDINGS = (
    finding("pain", COUNTS),
    finding("strong pain", COUNTS, valueInteger=9),
    finding("tender", COUNTS, code=coded("greater-trochanter-tenderness"), valueBoolean=True),
    finding("weak", COUNTS, code=coded("trendelenburg-gait"), valueBoolean=True),
    finding("a rating", COUNTS, code=coded("groc"), valueInteger=-1),
    Made("of no side", ASKED, {}),
    finding("out of range", ASKED, valueInteger=11),
    finding("a unit that is none", ASKED, valueQuantity={"value": 3, "unit": "kg"}),
    finding("tomorrow", ASKED, effectiveDateTime="2026-01-06T08:00:00Z"),
    finding("foreign", ends(Kind.NO_EFFECT, Reason.NOT_READ), code=coded("8867-4", "http://loinc.org")),
    finding("withdrawn", ends(Kind.NO_EFFECT, Reason.WITHDRAWN), status="entered-in-error"),
    finding("not final", ends(Kind.NO_EFFECT, Reason.NOT_FINAL), status="preliminary"),
    finding(
        "absent",
        ends(Kind.NO_EFFECT, Reason.NO_VALUE),
        valueInteger=None,
        dataAbsentReason={"text": "not asked"},
    ),
    finding(
        "red flag not final",
        ends(Kind.HELD, Reason.EARLY),
        code=coded("red-flag-infection"),
        status="preliminary",
        valueBoolean=True,
    ),
)

#: what makes a Bundle be refused as a whole
FAULTS: tuple[Json, ...] = (
    {"status": "maybe"},
    {"effectiveDateTime": "yesterday"},
    {"subject": {"reference": "Patient/somebody-else"}},
    {"valueInteger": "six"},
)

number = itertools.count()


@dataclass(frozen=True)
class Visit:
    """One Bundle of a hospital."""

    #: by the place in the record: the same place again is a correction
    findings: Mapping[int, Made]
    #: what is wrong with one more finding; None: nothing
    fault: Json | None
    #: how often it is posted
    times: int
    #: a worker claims the patient and is never heard of again
    worker_lost: bool


BUNDLE = st.builds(
    Visit,
    findings=st.dictionaries(st.integers(0, 7), st.sampled_from(FINDINGS), max_size=5),
    fault=st.none() | st.none() | st.sampled_from(FAULTS),
    times=st.integers(2, 10),
    worker_lost=st.booleans(),
)


@pytest.fixture(scope="module", autouse=True)
def _at_nine(database: Database):
    with database.transaction() as tx:
        clock.set_(tx, NOW, held=False)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def whole(who: str, made: Mapping[str, Made], fault: Json | None) -> list[Json]:
    """Return the entries of one visit: the findings, the people, and a decision about nothing of ours."""
    of = f"Patient/{who}"
    ghost = {"reference": "Practitioner/ghost"}
    task = decision(of, "CarePlan/nothing", lastModified="2026-01-05T09:00:00Z", owner=ghost)
    entries = [
        put(patient(who)),
        put(practitioner(f"{who}-dr")),
        post(encounter(of)),
        put({**task, "id": f"{who}-decision"}),
        *(put(observation(id_, of, **one.more)) for id_, one in made.items()),
    ]
    return [*entries, put(observation(f"{who}-wrong", of, **fault))] if fault is not None else entries


def state(database: Database, who: str) -> list[tuple[Any, ...]]:
    """Return every version about the patient and by the patient's people, and what waits to be read."""
    statement = (
        "SELECT type, id, version, owned::text FROM resource WHERE id LIKE :like OR patient = :who "
        "UNION ALL SELECT type, id, version, 'old' FROM history WHERE id LIKE :like OR patient = :who "
        "UNION ALL SELECT 'arrival', kind, count(*), '' FROM arrival WHERE patient = :who GROUP BY kind "
        "ORDER BY 1, 2, 3"
    )
    with database.transaction() as tx:
        return [tuple(row) for row in tx.execute(text(statement), {"who": who, "like": f"{who}-%"})]


def lose_a_worker(database: Database, who: str) -> None:
    """Let a worker claim the patient and never be heard of again."""
    with database.transaction() as tx:
        promises.claim(tx, tenant=0, patient=who)
        tx.execute(
            text("UPDATE promise SET lease_until = clock_timestamp() WHERE patient = :who"), {"who": who}
        )


def drain(database: Database, who: str) -> None:
    while advance(database, 0, who):
        pass
    with database.transaction() as tx:
        standing = standings.of_patient(tx, who, tenant=0)
    assert standing is None or (standing.arrivals, standing.failed_reason) == (0, None)


def versions(tx: Connection, table: Table, who: str, *, owned: bool) -> list[Entry]:
    """Return what is in the table about the patient and of the patient's people."""
    of = or_(table.c.patient == who, table.c.id.like(f"{who}-%"))
    rows = tx.execute(table.select().where(of, table.c.owned == owned).order_by(table.c.seq))
    return [
        Entry(
            type=row.type,
            id=row.id,
            version=row.version,
            seq=row.seq,
            received=row.received,
            body=content.read(row.body),
        )
        for row in rows
    ]


def became(database: Database, who: str) -> dict[str, Disposition]:
    """Return what became of every version that was received, by the store and the log; none twice."""
    with database.transaction() as tx:
        received = versions(tx, tables.resource, who, owned=False)
        own = versions(tx, tables.resource, who, owned=True)
        superseded = versions(tx, tables.history, who, owned=False)
        latest = decisions.latest(tx, who, tenant=0)
        log = [row.basis for name in latest for row in decisions.of_instance(tx, who, *name, tenant=0)]
        standing = standings.of_patient(tx, who, tenant=0)
    record = Record(
        patient=next(e for e in received if e.type == "Patient"),
        received=tuple(received),
        own={e.reference: e for e in own},
        people={},
    )
    past = Past(
        memories={instance: Memory.from_json(row.after) for (_, instance), row in latest.items()},
        bases=log,
        superseded=superseded,
        unread_since=NOW if standing and standing.arrivals else None,
    )
    found = dispositions(PATHWAY, record, past, zone=ZONE)
    assert len({one.reference for one in found}) == len(found)
    return {one.reference: one for one in found}


def post_again_and_again(
    database: Database, entries: list[Json], times: int, order: random.Random
) -> set[str]:
    """Post the entries and return what the answer names; every further post must change nothing."""
    who = next(e["resource"]["id"] for e in entries if e["resource"]["resourceType"] == "Patient")
    places: set[str] = set()
    before: list[tuple[Any, ...]] = []
    for time in range(times):
        order.shuffle(entries)
        accepted = transaction.accept(database, bundle(*entries), sender="hospital")
        named = {line["response"]["location"] for line in accepted.response["entry"]}
        if time:
            assert (named, state(database, who)) == (places, before)
        places, before = named, state(database, who)
    return places


@seed(20260105)
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    # Without making a failure smaller: it is small, and each try costs evaluations.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(bundles=st.lists(BUNDLE, min_size=1, max_size=3), shuffled=st.integers(0, 2**32))
def test_every_accepted_entry_ends_in_one_place_with_a_reason(database, bundles, shuffled):
    who = f"c{next(number)}"
    order = random.Random(shuffled)
    accepted: set[str] = set()
    newest: dict[str, Made] = {}

    for visit in bundles:
        made = {f"{who}-{place}": finding for place, finding in visit.findings.items()}
        entries = whole(who, made, visit.fault)
        if visit.fault is not None:
            # Refused as a whole and with an outcome: nothing of it is anywhere.
            before = state(database, who)
            with pytest.raises(Refusal) as refused:
                transaction.accept(database, bundle(*entries), sender="hospital")
            assert refused.value.issues
            assert state(database, who) == before
            continue
        newest |= made
        accepted |= post_again_and_again(database, entries, visit.times, order)
        if visit.worker_lost:
            lose_a_worker(database, who)
        drain(database, who)
        # What has been evaluated does not change by being sent once more.
        assert post_again_and_again(database, entries, 2, order) <= accepted
        assert not advance(database, 0, who)

    if not accepted:
        return
    found = became(database, who)
    assert set(found) == accepted
    kinds = Counter(one.kind for one in found.values())
    assert kinds[Kind.WAITING] == 0
    assert sum(kinds.values()) == len(accepted)
    for id_, made_ in newest.items():
        current = max((r for r in found if r.startswith(f"Observation/{id_}/")), key=version_of)
        one = found[current]
        assert (one.kind, one.reason) in made_.ends, (made_.name, one)
    (rejected,) = [one for one in found.values() if one.kind is Kind.REJECTED]
    assert rejected.reference.startswith("Task/")
    assert rejected.detail


def version_of(reference: str) -> int:
    return int(reference.rpartition("/")[2])


def test_what_no_worker_has_read_is_waiting(database):
    who = f"c{next(number)}"
    made = {f"{who}-{place}": finding for place, finding in enumerate(FINDINGS)}

    transaction.accept(database, bundle(*whole(who, made, None)), sender="hospital")

    kinds = {reference: one.kind for reference, one in became(database, who).items()}
    waiting = [one for one, kind in kinds.items() if kind is Kind.WAITING]
    # All but what nobody reads, whenever that is.
    inert = {Reason.NOT_READ, Reason.WITHDRAWN, Reason.NOT_FINAL, Reason.NO_VALUE}
    assert len(waiting) == 1 + sum(not any(r in inert for _, r in each.ends) for each in FINDINGS)


def test_what_was_evaluated_and_left_no_trace_is_never_called_without_effect(database, monkeypatch):
    """Break the check on receipt: what nobody was asked about stays in sight."""
    monkeypatch.setattr("pathways.receipt.check", lambda _turn: None)
    who = f"c{next(number)}"
    made = {f"{who}-1": next(each for each in FINDINGS if each.ends == ASKED)}
    transaction.accept(database, bundle(*whole(who, made, None)), sender="hospital")
    drain(database, who)

    one = became(database, who)[f"Observation/{who}-1/_history/1"]

    assert (one.kind, one.reason) == (Kind.WAITING, Reason.NO_TRACE)
