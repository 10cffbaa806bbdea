"""The service's own role: it does everything the service does, and nothing else."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from service.sandbox import erasing
from service.store import accounts, migrate, privileges, tables
from service.store.database import Database
from service.store.privileges import Missing, NoSuchRole
from worker.sweep import KEPT


@pytest.fixture(scope="module")
def urls(new_database_url, owner_url, unprivileged):
    """The same database as its owner, and as the role of the service."""
    url = new_database_url()
    return owner_url(url), unprivileged(url)


@pytest.fixture
def service(urls):
    database = Database(urls[1])
    yield database
    database.close()


def grant(urls, *, sandbox=False):
    owner, service = urls
    return migrate.locked(owner, lambda tx: privileges.grant(tx, make_url(service).username, sandbox=sandbox))


def test_every_table_that_is_named_is_one_of_ours():
    assert set(privileges.NEEDED) <= {*tables.metadata.tables, "alembic_version"}
    assert set(privileges.SANDBOX) <= set(privileges.NEEDED)


def test_what_is_kept_for_a_time_can_be_removed_with_what_is_granted(urls, service):
    grant(urls)

    assert [service.run(kept.purge) for kept in KEPT] == [0] * len(KEPT)


@pytest.mark.parametrize("sandbox", [False, True])
def test_after_the_grant_nothing_is_missing_and_nothing_is_too_much(urls, service, sandbox):
    with psycopg.connect(urls[0], autocommit=True) as owner:
        owner.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{make_url(urls[1]).username}"')

    granted = grant(urls, sandbox=sandbox)
    again = grant(urls, sandbox=sandbox)

    assert granted == again == tuple(sorted({*tables.metadata.tables, "alembic_version"}))
    with service.transaction() as tx:
        assert privileges.missing(tx, sandbox=sandbox) == ()
        assert privileges.beyond(tx, sandbox=sandbox) == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decision SET rule = 'x'",
        "DELETE FROM decision",
        "TRUNCATE decision",
        "UPDATE history SET body = ''",
        "DELETE FROM history",
        "UPDATE site_parameter SET who = 'x'",
        "DELETE FROM resource",
        "UPDATE clock SET held = true",
        "UPDATE account SET practitioner = 'x'",
        "UPDATE account SET disabled_at = NULL",
        "INSERT INTO account (tenant, name, practitioner) VALUES (0, 'x', 'x')",
        "UPDATE alembic_version SET version_num = '0'",
        "CREATE TABLE public.mine (key BIGINT)",
        "ALTER TABLE decision DISABLE TRIGGER ALL",
        "CREATE ROLE someone",
        "CREATE DATABASE another",
    ],
)
def test_in_production_the_service_may_not(urls, statement):
    grant(urls)

    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(urls[1], autocommit=True) as connection, refused:
        connection.execute(statement)


def test_a_sandbox_may_erase(urls, service):
    grant(urls, sandbox=True)

    with service.transaction() as tx:
        erasing.erase(tx)
        assert not erasing.any_patient(tx)


def test_what_is_missing_is_named_by_table(urls, service):
    grant(urls)
    with psycopg.connect(urls[0], autocommit=True) as owner:
        role = make_url(urls[1]).username
        owner.execute(f'REVOKE INSERT, UPDATE ON promise FROM "{role}"')
        owner.execute(f'REVOKE ALL ON SEQUENCE receipt_seq FROM "{role}"')

    with service.transaction() as tx:
        assert privileges.missing(tx, sandbox=False) == (
            Missing(table="promise", privilege="INSERT"),
            Missing(table="promise", privilege="UPDATE"),
            Missing(table="receipt_seq", privilege="USAGE"),
        )


def test_a_password_may_be_changed_and_where_not_that_is_named(urls, service):
    grant(urls)
    with service.transaction() as tx:
        assert accounts.set_password(tx, "nobody", "x", tenant=0) is False
    with psycopg.connect(urls[0], autocommit=True) as owner:
        owner.execute(f'REVOKE UPDATE (password) ON account FROM "{make_url(urls[1]).username}"')

    with service.transaction() as tx:
        missing = privileges.missing(tx, sandbox=False)

    assert missing == (Missing(table="account", privilege="UPDATE (password)"),)


def test_a_table_that_comes_later_may_be_used_at_once(urls):
    grant(urls)
    with psycopg.connect(urls[0], autocommit=True) as owner:
        owner.execute("CREATE TABLE later (key BIGINT GENERATED ALWAYS AS IDENTITY, note TEXT)")

    with psycopg.connect(urls[1], autocommit=True) as service:
        service.execute("INSERT INTO later (note) VALUES ('a')")
        service.execute("DELETE FROM later")


def test_a_role_that_cannot_be_granted_to_is_named(urls):
    owner = make_url(urls[0]).username
    with pytest.raises(NoSuchRole, match="no role nobody-here"):
        migrate.locked(urls[0], lambda tx: privileges.grant(tx, "nobody-here", sandbox=False))
    with pytest.raises(NoSuchRole, match="owns the tables"):
        migrate.locked(urls[0], lambda tx: privileges.grant(tx, owner, sandbox=False))


def test_too_much_is_said_in_words(urls):
    database = Database(urls[0])
    with database.transaction() as tx:
        words = privileges.beyond(tx, sandbox=False)
        is_superuser = tx.execute(
            text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        ).scalar_one()
    database.close()

    assert words == ("is a superuser",) if is_superuser else "may create tables" in words


def test_a_column_that_may_be_written_and_need_not_be_is_named(urls, service):
    grant(urls)
    with psycopg.connect(urls[0], autocommit=True) as owner:
        role = make_url(urls[1]).username
        owner.execute(f'GRANT UPDATE (disabled_at), INSERT (name) ON account TO "{role}"')

    with service.transaction() as tx:
        assert privileges.beyond(tx, sandbox=False) == (
            "holds INSERT (name) on account",
            "holds UPDATE (disabled_at) on account",
        )

    grant(urls)
    with service.transaction() as tx:
        assert privileges.beyond(tx, sandbox=False) == ()
