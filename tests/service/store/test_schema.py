"""The migrations lead to the tables the code writes to, and back."""

from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service import clock
from service.store import heartbeats, migrate, parameters, resources, tables, writing
from service.store.database import Database, NotDurable
from service.store.resources import Write
from service.store.versions import as_json

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_the_migrated_schema_is_the_one_of_the_code(tx):
    assert compare_metadata(MigrationContext.configure(tx), tables.metadata) == []
    assert migrate.revision(tx) == migrate.head()


def test_revisions_are_numbered_one_by_one_so_that_the_higher_is_the_newer():
    assert [int(revision) for revision in migrate.revisions()] == list(range(1, len(migrate.revisions()) + 1))
    assert migrate.head() == migrate.revisions()[-1]


@pytest.mark.parametrize(
    ("revision", "compatible"),
    [
        pytest.param(None, False, id="no tables"),
        pytest.param(f"{int(migrate.head()) - 1:04d}", False, id="older"),
        pytest.param(migrate.head(), True, id="ours"),
        pytest.param(f"{int(migrate.head()) + 1:04d}", True, id="newer"),
        pytest.param("f00d", False, id="another program's"),
    ],
)
def test_this_version_works_on_its_schema_and_on_newer_ones(revision, compatible):
    assert migrate.compatible(revision) is compatible


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
        statement = f"EXPLAIN {resources.OF_PATIENT} WHERE type = ANY(%s) AND NOT deleted ORDER BY seq"
        rows = writing.raw(tx).execute(statement, [0, "p-7", ["Basic", "Task"]]).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using resource_of_patient" in plan


def test_a_look_up_by_value_uses_its_index_before_there_are_statistics(database):
    with database.transaction() as tx:
        body = {"resourceType": "Basic", "identifier": [{"system": "s", "value": "v"}]}
        writes = [Write(type="Basic", id=f"v-{number}", body=body, fresh=True) for number in range(500)]
        resources.save(tx, writes, tenant=0, now=NOW)
    with database.transaction() as tx:
        wanted = as_json(("type", "name", "system", "value"), [("Basic", "identifier", "s", "v")])
        rows = writing.raw(tx).execute(f"EXPLAIN {resources.FIND}", [wanted, 0]).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert "Index Only Scan using search_value_lookup" in plan
    assert "AND (name = n.name) AND (value = n.value) AND (system = n.system)" in plan
    assert "Index Scan using resource_pkey" in plan
