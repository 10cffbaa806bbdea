"""The migrations lead to the tables the code writes to, and back."""

from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service import clock
from service.store import as_at, changes, heartbeats, migrate, parameters, resources, schema, tables, writing
from service.store.as_at import Selection
from service.store.database import Database, NotDurable
from service.store.resources import Write

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_the_migrated_schema_is_the_one_of_the_code(tx):
    alembic = MigrationContext.configure(tx)
    assert compare_metadata(alembic, tables.metadata) == []
    assert schema.revision(tx) == alembic.get_current_revision()
    assert schema.revision(tx) == schema.head()


def test_revisions_are_numbered_one_by_one_so_that_the_higher_is_the_newer():
    assert [int(revision) for revision in migrate.revisions()] == list(range(1, len(migrate.revisions()) + 1))
    assert schema.head() == migrate.revisions()[-1]


@pytest.mark.parametrize(
    ("revision", "compatible"),
    [
        pytest.param(None, False, id="no tables"),
        pytest.param(f"{int(schema.head()) - 1:04d}", False, id="older"),
        pytest.param(schema.head(), True, id="ours"),
        pytest.param(f"{int(schema.head()) + 1:04d}", True, id="newer"),
        pytest.param("f00d", False, id="another program's"),
    ],
)
def test_this_version_works_on_its_schema_and_on_newer_ones(revision, compatible):
    assert schema.compatible(revision) is compatible


def test_migrations_lead_back_to_nothing_and_up_again(new_database_url, owner_url):
    url = owner_url(new_database_url())
    migrate.downgrade(url, "base")
    database = Database(url)
    with database.transaction() as tx:
        assert set(inspect(tx).get_table_names()) == {"alembic_version"}
    migrate.upgrade(url)
    migrate.upgrade(url)
    with database.transaction() as tx:
        assert "resource" in inspect(tx).get_table_names()
        assert compare_metadata(MigrationContext.configure(tx), tables.metadata) == []
    database.close()


def test_a_database_that_forgets_is_refused(new_database_url, owner_url):
    url = new_database_url()
    database = Database(url)
    database.assert_durable()
    forgetting = Database(owner_url(url))
    with forgetting.transaction() as tx:
        name = tx.engine.url.database
        tx.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    forgetting.close()
    database.close()

    with pytest.raises(NotDurable, match="synchronous_commit"):
        database.assert_durable()
    database.close()


def test_a_set_clock_stands_still(tx):
    clock.set_(tx, NOW, held=True)

    assert clock.state(tx) == clock.Clock(now=NOW, is_set=True, held=True)
    clock.unset(tx)
    assert abs(clock.now(tx) - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_last_set_of_parameters_holds(tx):
    assert parameters.current(tx) == {}
    parameters.set_(tx, {"profile": "literal"}, "someone", NOW)
    parameters.set_(tx, {"settle.minutes": 0}, "someone", NOW)

    assert parameters.current(tx) == {"settle.minutes": 0}


def test_a_heartbeat_has_an_age(tx):
    heartbeats.beat(tx, "sweep")
    heartbeats.beat(tx, "sweep")

    seen_at, age = heartbeats.ages(tx)["sweep"]
    assert age < 5
    assert seen_at.tzinfo is not None


@pytest.mark.parametrize("statement", [writing.LOOK_UP, writing.LOCK])
def test_a_look_up_by_identity_uses_the_unique_index_before_there_are_statistics(statement, database):
    with database.transaction() as tx:
        writes = [
            Write(type="Basic", id=f"b-{number}", body={"resourceType": "Basic"}, fresh=True)
            for number in range(500)
        ]
        resources.save(tx, writes, tenant=0, now=NOW)
    with database.transaction() as tx:
        parameters_ = writing.look_up_parameters([("Basic", "b-7")], 0)
        rows = writing.raw(tx).execute(f"EXPLAIN {statement}", parameters_).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using resource_identity" in plan
    assert "Index Cond: ((tenant" in plan
    assert "AND (id = n.id)" in plan


def test_the_record_of_a_patient_uses_its_index_before_there_are_statistics(database):
    with database.transaction() as tx:
        writes = [
            Write(type="Basic", id=f"p-{number}", body={"resourceType": "Basic"}, patient=f"p-{number % 50}")
            for number in range(500)
        ]
        resources.save(tx, writes, tenant=0, now=NOW)
    with database.transaction() as tx:
        wanted = {"tenant": 0, "patient": "p-7", "whole": ["Basic", "Task"]}
        rows = writing.raw(tx).execute(f"EXPLAIN {resources.OF_TYPES}", wanted).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using resource_of_patient on resource" in plan
    assert "AND (type = n.type)" in plan


@pytest.mark.parametrize("statistics", [False, True])
def test_what_a_patient_has_of_a_code_is_found_without_going_through_the_rest(database, statistics):
    with database.transaction() as tx:
        others = [
            Write(type="Basic", id=f"q-{number}", body={"resourceType": "Basic"}, patient=f"q-{number % 100}")
            for number in range(5000)
        ]
        findings = [finding(number, codings) for codings in range(6) for number in range(200)]
        resources.save(tx, [*others, *findings], tenant=0, now=NOW)
        if statistics:
            tx.execute(text("ANALYZE resource"))
    # One code and one type, because older servers round the rows of a scan to whole ones per loop.
    wanted = {"tenant": 0, "patient": "many", "codes": ["s|first-7"], "whole": ["Task"]}
    with database.transaction() as tx:
        explained = writing.raw(tx).execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {resources.OF_TYPES_AND_CODES}", wanted
        )
        ((plan,),) = explained.fetchall()

    read = {name: rows for name, rows in scanned(plan[0]["Plan"]) if name and rows}

    # The few with four codings or more are gone through, and enough to see that it is not a short record.
    assert read == {
        "resource_of_patient": resources.FEW + 1,
        "resource_of_patient_code_1": 5,
        "resource_of_patient_more_codes": 400,
    }


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_short_record_is_read_once_and_not_for_each_code(database, beyond):
    who = f"short-{beyond}"
    with database.transaction() as tx:
        findings = [finding(number, 5, who) for number in range(resources.FEW + beyond)]
        others = [Write(type="Task", id=who, body={"resourceType": "Task", "status": "ready"}, patient=who)]
        resources.save(tx, [*findings, *others], tenant=0, now=NOW)
        tx.execute(text("ANALYZE resource"))
    codes = [("s", f"other-{place}") for place in (1, 4)] + [("s", "first-7"), ("s", "no one's")]
    with database.transaction() as tx:
        found = resources.of_patient(tx, who, tenant=0, types=["Observation", "Task"], codes=codes)
        wanted = {"tenant": 0, "patient": who, "codes": ["s|first-7"], "whole": ["Task"]}
        explained = writing.raw(tx).execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {resources.OF_TYPES_AND_CODES}", wanted
        )
        ((plan,),) = explained.fetchall()

    assert [each.reference for each in found] == [*(f"Observation/{w.id}" for w in findings), f"Task/{who}"]
    searched = {name for name, rows in scanned(plan[0]["Plan"]) if name and rows and "code" in name}
    each_code = {"resource_of_patient_code_1", "resource_of_patient_more_codes"}
    assert searched == (each_code if beyond else set())


def test_a_page_of_what_changed_is_found_without_going_through_what_did_not(database):
    moments = [NOW + timedelta(minutes=number) for number in range(20)]
    with database.transaction() as tx:
        for moment in moments:
            body = {"resourceType": "Basic", "language": moment.isoformat()}
            writes = [Write(type="Basic", id=f"c-{number}", body=body) for number in range(100)]
            resources.save(tx, writes, tenant=0, now=moment)
        tx.execute(text("ANALYZE resource"))
        tx.execute(text("ANALYZE history"))
    last = moments[-1] + timedelta(minutes=1)
    wanted = {"tenant": 0, "types": ["Basic"], "until": last, "since": moments[-2], "seq": 0, "rows": 11}
    with database.transaction() as tx:
        asked = {**wanted, "before": last}
        explained = writing.raw(tx).execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {changes.PAGE}", asked)
        ((plan,),) = explained.fetchall()

    read = {name: rows for name, rows in scanned(plan[0]["Plan"]) if name and rows}

    assert read == {"resource_of_time": 11, "history_of_time": 11}


def test_a_page_of_the_versions_at_a_moment_is_found_without_going_through_all(database, owner):
    moments = [NOW + timedelta(minutes=number) for number in range(20)]
    with database.transaction() as tx:
        for moment in moments:
            body = {"resourceType": "Flag", "language": moment.isoformat()}
            writes = [
                Write(type="Flag", id=f"v-{moment.minute}-{number}", body=body, fresh=True)
                for number in range(200)
            ]
            resources.save(tx, writes, tenant=0, now=moment)
    with owner.transaction() as tx:
        tx.execute(text("ANALYZE resource"))
    wanted = Selection(tenant=0, until=moments[-1])
    with database.transaction() as tx:
        values = {"tenant": 0, "until": wanted.until, "type": "Flag", "received": None, "seq": 0, "rows": 11}
        explained = writing.raw(tx).execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {as_at._names(wanted)}", values, prepare=False
        )
        ((plan,),) = explained.fetchall()

    read = sorted((name, rows) for name, rows in scanned(plan[0]["Plan"]) if name and rows)

    # The first by their index, and what was received since the moment, of which there is an end.
    assert read == [("resource_of_time", 11), ("resource_of_time", 200)]


def test_many_resources_are_estimated(database, owner, monkeypatch):
    with database.transaction() as tx:
        body = {"resourceType": "Slot"}
        writes = [Write(type="Slot", id=f"s-{number}", body=body, fresh=True) for number in range(500)]
        resources.save(tx, writes, tenant=0, now=NOW)
    with owner.transaction() as tx:
        tx.execute(text("ANALYZE resource"))
    wanted = Selection(tenant=0, until=NOW + timedelta(days=1))

    with database.transaction() as tx:
        exact = as_at.counts(tx, ["Slot", "Patient"], wanted)
        monkeypatch.setattr(as_at, "COUNTED", 100)
        about = as_at.counts(tx, ["Slot", "Patient"], wanted)

    assert exact == {"Slot": 500}
    assert about == {"Slot": pytest.approx(500, rel=0.2)}


FILTERED = "Rows Removed by Filter"


def finding(number, codings, patient="many"):
    """Return an observation with so many codings; the first is one of two hundred."""
    codes = [f"first-{number}", *(f"other-{place}" for place in range(1, codings))][:codings]
    body = {"resourceType": "Observation", "code": {"coding": [{"system": "s", "code": c} for c in codes]}}
    return Write(type="Observation", id=f"f-{patient}-{number}-{codings}", body=body, patient=patient)


def scanned(plan):
    """Yield for each scan in a plan its index, or the table without one, and the rows it went through."""
    if plan["Node Type"].endswith("Scan") and "Plans" not in plan:
        rows = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get(FILTERED, 0))
        yield plan.get("Index Name", plan.get("Relation Name")), rows
    for part in plan.get("Plans", ()):
        yield from scanned(part)
