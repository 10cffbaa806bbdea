"""`hipway doctor` against real servers: what is well, and what to do about what is not.

What needs TLS is in `tests/servers`.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import forgetful_server
import next_release
import psycopg
import pytest
from installations import free_port
from redis import Redis
from sqlalchemy.engine import make_url

from service.commands import doctor, main
from service.doctor import database as postgres
from service.doctor import machine, subscribers
from service.doctor.finding import Finding
from service.settings import Settings
from service.store import migrate, privileges, schema
from service.supervisor.valkey import Valkey

SECRET = "s3cret-of-nobody"


@pytest.fixture(scope="module")
def valkey(scratch: Path) -> Iterator[str]:
    """A broker of this module's own: what its tests change must not reach others."""
    server = Valkey(scratch / "doctor-valkey")
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def bad_server(scratch: Path) -> Iterator[str]:
    with forgetful_server.running(scratch / "doctor-pg") as url:
        yield url


@pytest.fixture
def redis(valkey: str) -> Iterator[Redis]:
    """Its settings, as they were before, at the end."""
    with Redis.from_url(valkey.replace("redis+socket", "unix")) as client:
        before = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "appendonly", "save")}
        yield client
        client.config_set("requirepass", "")
        client.replicaof("NO", "ONE")
        for name, value in before.items():
            client.config_set(name, value)


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, database_url: str, valkey: str, tmp_path: Path
) -> pytest.MonkeyPatch:
    """A set-up in order, to be put into disorder."""
    for name in [name for name in os.environ if name.startswith("HIPWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HIPWAY_DATABASE_URL", database_url)
    monkeypatch.setenv("HIPWAY_BROKER_URL", valkey)
    monkeypatch.setenv("HIPWAY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HIPWAY_PORT", str(free_port()))
    return monkeypatch


def fixes() -> list[tuple[str, str]]:
    """Return what has to be fixed: the part, and what is seen and to do in one text."""
    return [(found.what, f"{found.seen}; {found.fix}") for found in doctor.examine() if found.fix]


def finding(what: str) -> Finding:
    (found,) = (one for one in doctor.examine() if one.what == what)
    return found


def changed(url: str, **parts: str | int) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


def with_host(url: str, host: str) -> str:
    """The same over TCP; a socket is named in the query."""
    return make_url(url).set(host=host, query={}).render_as_string(hide_password=False)


def test_a_set_up_in_order_needs_no_fix(environment, capsys):
    assert fixes() == []
    assert {found.what for found in doctor.examine()} >= {
        *("python", "settings", "data folder", "port", "base URL"),
        *("database", "connection", "durability", "schema", "privileges", "indexes", "connections", "clocks"),
        *("broker", "broker's memory", "broker's disk"),
    }
    assert main(["doctor"]) == 0
    assert "fix " not in capsys.readouterr().out


def test_nothing_set_is_checked_for_the_servers_of_the_sandbox(environment):
    environment.delenv("HIPWAY_DATABASE_URL")
    environment.delenv("HIPWAY_BROKER_URL")

    assert fixes() == []
    assert finding("database").seen.startswith("embedded PostgreSQL")
    assert finding("broker").seen == "embedded Valkey"


@pytest.mark.parametrize(
    ("broken", "seen", "fix"),
    [
        pytest.param(
            lambda url: changed(url, password=SECRET), "does not take this role", "%40", id="password"
        ),
        pytest.param(lambda url: with_host(url, "nobody.invalid"), "host is not known", "host", id="host"),
        pytest.param(
            lambda url: with_host(changed(url, port=1), "127.0.0.1"), "no server answers", "start", id="port"
        ),
        pytest.param(
            lambda url: changed(url, database="no-such"), "no database of this name", "CREATE", id="name"
        ),
        pytest.param(
            lambda url: f"{url}{'&' if '?' in url else '?'}nonsense={SECRET}",
            "URL cannot",
            "correct",
            id="word",
        ),
        pytest.param(
            lambda _: f"postgresql://role:{SECRET}@host:{SECRET}/name", "URL cannot", "correct", id="no URL"
        ),
    ],
)
def test_a_database_that_cannot_be_reached_says_why(environment, database_url, capsys, broken, seen, fix):
    environment.setenv("HIPWAY_DATABASE_URL", broken(database_url))

    ((what, text),) = fixes()

    assert what == "database"
    assert seen in text
    assert fix in text
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert str(make_url(database_url).password) not in said.out + said.err


def test_tls_asked_of_a_server_that_has_none_is_named(environment, bad_server):
    environment.setenv("HIPWAY_DATABASE_URL", f"{bad_server}?sslmode=require")

    assert "the server offers none" in dict(fixes())["database"]


def test_a_server_that_forgets_or_is_too_small_is_named(environment, bad_server):
    environment.setenv("HIPWAY_DATABASE_URL", bad_server)

    found = dict(fixes())

    assert "turn on fsync and synchronous_commit" in found["durability"]
    assert "raise max_connections of the server by" in found["connections"]
    assert "hipway migrate" in found["schema"]


@pytest.mark.parametrize(("number", "is_well"), [(140012, False), (150000, True), (180001, True)])
def test_postgresql_has_an_oldest_version(number, is_well):
    assert (postgres.version(number).fix == "") is is_well


def test_a_database_behind_needs_a_migration_and_one_ahead_is_only_said(
    environment, new_database_url, owner_url, tmp_path
):
    url = new_database_url()
    environment.setenv("HIPWAY_DATABASE_URL", url)

    migrate.upgrade(owner_url(url), folder=next_release.migrations(tmp_path / "next"))
    assert fixes() == []
    assert "ahead" in finding("schema").seen
    assert finding("schema").advice

    migrate.downgrade(owner_url(url), schema.head(), folder=tmp_path / "next")
    migrate.downgrade(owner_url(url), migrate.revisions()[-2])
    assert [what for what, _ in fixes()] == ["schema"]
    assert "behind" in finding("schema").seen


def test_an_index_that_was_never_finished_is_named(environment, new_database_url, owner_url):
    url = new_database_url()
    environment.setenv("HIPWAY_DATABASE_URL", url)
    with psycopg.connect(owner_url(url), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO arrival (tenant, kind, patient, received, due_at, settles, forced) "
            "SELECT 0, 'advance', patient, now(), now(), false, false FROM unnest(ARRAY['a', 'b']) AS patient"
        )
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY half_built ON arrival (tenant)")

    assert "half_built" in dict(fixes())["indexes"]


def test_a_role_that_lacks_something_is_told_which_table_and_what(
    environment, new_database_url, owner_url, unprivileged
):
    owner = owner_url(new_database_url())
    url = unprivileged(owner)
    role = make_url(url).username
    migrate.locked(owner, lambda tx: privileges.grant(tx, role, sandbox=True))
    environment.setenv("HIPWAY_DATABASE_URL", url)
    assert fixes() == []
    assert not [found for found in doctor.examine() if found.what == "role"]

    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f'REVOKE INSERT ON history FROM "{role}"')

    ((what, text),) = fixes()
    assert what == "privileges"
    assert "INSERT on history" in text
    assert f"hipway migrate --grant-to {role}" in text


def test_a_role_that_may_not_even_read_the_revision_is_told_so(environment, new_database_url, unprivileged):
    environment.setenv("HIPWAY_DATABASE_URL", unprivileged(new_database_url()))

    ((what, text),) = fixes()

    assert what == "privileges"
    assert "hipway migrate --grant-to" in text


def test_a_role_that_may_too_much_is_only_advised(environment, database_url, owner_url):
    environment.setenv("HIPWAY_DATABASE_URL", owner_url(database_url))

    assert fixes() == []
    assert "another role" in finding("role").advice


def test_pools_larger_than_the_server_allows_are_named(environment, new_database_url, owner_url):
    url = new_database_url()
    environment.setenv("HIPWAY_DATABASE_URL", url)
    with psycopg.connect(owner_url(url), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{make_url(url).database}" CONNECTION LIMIT 30')
    assert fixes() == []

    environment.setenv("HIPWAY_WEB_PROCESSES", "2")

    ((what, text),) = fixes()
    assert what == "connections"
    assert "raise CONNECTION LIMIT of the database by 14" in text


@pytest.mark.parametrize(("apart_s", "is_well"), [(-3, False), (0, True), (3, False)])
def test_clocks_that_differ_are_named(environment, apart_s, is_well):
    found = doctor.examine(lambda: datetime.now(UTC) + timedelta(seconds=apart_s))

    assert ([one.what for one in found if one.fix] == []) is is_well


def test_a_broker_with_another_password_is_named(environment, redis, valkey, capsys):
    redis.config_set("requirepass", SECRET)
    for url in (valkey, valkey.replace("redis+socket://", "redis+socket://:another@")):
        environment.setenv("HIPWAY_BROKER_URL", url)
        assert [what for what, _ in fixes()] == ["broker"]
        assert "user and password" in dict(fixes())["broker"]

    environment.setenv("HIPWAY_BROKER_URL", valkey.replace("redis+socket://", f"redis+socket://:{SECRET}@"))
    assert main(["doctor"]) == 0
    assert SECRET not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        pytest.param("redis://:{secret}@127.0.0.1:1/0", "no server answers", id="port"),
        pytest.param("redis://:{secret}@nobody.invalid/0", "host is not known", id="host"),
        pytest.param("redis://:{secret}@host:{secret}/0", "URL cannot be read", id="no URL"),
        pytest.param("redis+socket:///nowhere/valkey.sock", "no server answers", id="socket"),
    ],
)
def test_a_broker_that_cannot_be_reached_says_why(environment, url, seen, capsys):
    environment.setenv("HIPWAY_BROKER_URL", url.format(secret=SECRET))

    ((what, text),) = fixes()

    assert what == "broker"
    assert seen in text
    assert main(["doctor"]) == 1
    assert SECRET not in capsys.readouterr().out


def test_a_broker_that_drops_messages_when_it_is_full_is_named(environment, redis):
    redis.config_set("maxmemory-policy", "allkeys-lru")

    assert [what for what, _ in fixes()] == ["broker's memory"]


def test_a_broker_without_a_disk_is_advised(environment, redis):
    redis.config_set("save", "")
    redis.config_set("appendonly", "no")

    assert fixes() == []
    assert "appendonly" in finding("broker's disk").advice


def test_a_replica_is_no_broker(environment, redis):
    redis.replicaof("127.0.0.1", 1)

    assert "primary" in dict(fixes())["broker's role"]


def test_a_folder_below_a_file_cannot_be_written(environment, tmp_path):
    (tmp_path / "file").write_text("")
    environment.setenv("HIPWAY_DATA", str(tmp_path / "file" / "data"))
    assert fixes() == []
    assert "HIPWAY_DATA" in finding("data folder").advice

    environment.delenv("HIPWAY_DATABASE_URL")

    assert [what for what, _ in fixes()] == ["data folder"]
    assert not (tmp_path / "data").exists()


def test_a_disk_that_is_nearly_full_is_named(tmp_path):
    settings = Settings(data=tmp_path / "data")

    assert machine.folder(settings, least_free=1).fix == ""
    assert "free some space" in machine.folder(settings, least_free=2**62).fix


def test_a_port_in_use_is_named(environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment.setenv("HIPWAY_PORT", str(taken.getsockname()[1]))

        assert [what for what, _ in fixes()] == ["port"]


@pytest.mark.parametrize(
    ("base_url", "is_well"),
    [
        pytest.param("http://127.0.0.1:{port}", True, id="itself"),
        pytest.param("https://hipway.example.org", True, id="behind a proxy"),
        pytest.param("http://127.0.0.1:1", False, id="another port"),
        pytest.param("127.0.0.1:{port}", False, id="no scheme"),
        pytest.param("http://127.0.0.1:port", False, id="no number"),
    ],
)
def test_the_base_url_leads_to_the_service(environment, base_url, is_well):
    environment.setenv("HIPWAY_BASE_URL", base_url.format(port=os.environ["HIPWAY_PORT"]))

    assert [what for what, _ in fixes()] == ([] if is_well else ["base URL"])


def test_a_setting_that_cannot_be_used_ends_the_look(environment):
    environment.setenv("HIPWAY_PORT", "eighty")

    assert [what for what, _ in fixes()] == ["settings"]


def test_where_subscribers_are_told_is_said_and_a_file_without_certificates_is_to_be_fixed(
    environment, tmp_path
):
    assert finding("subscribers").seen == "told at public addresses alone"
    environment.setenv("HIPWAY_SUBSCRIBERS_NETWORKS", "10.0.0.0/8")
    assert finding("subscribers").seen == "told at public addresses and in 10.0.0.0/8"
    environment.setenv("HIPWAY_SUBSCRIBERS_CA_FILE", str(tmp_path / "missing.pem"))

    assert "HIPWAY_SUBSCRIBERS_CA_FILE" in finding("subscribers").seen
    assert "PEM" in finding("subscribers").fix


def test_in_production_loopback_is_advised_against():
    settings = Settings(mode="production", subscribers_networks=(ip_network("127.0.0.0/8"),))

    assert "loopback" in subscribers.examine(settings).advice
    assert not subscribers.examine(replace(settings, mode="sandbox")).advice
