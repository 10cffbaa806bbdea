"""The application: who may reach it, whether it is well, and what it counts."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fhir_visits import visit

from fhir_profiles import reading
from service.app import create_app
from service.hospital.settings import Hospital
from service.settings import Settings
from service.store import heartbeats, migrate, resources
from service.store.database import Database
from service.store.resources import Write

PATIENT = "Zaphod-Beeblebrox"


@pytest.fixture(scope="module")
def settings(database_url, broker_url):
    return Settings(database_url=database_url, broker_url=broker_url)


@pytest.fixture
def client(settings, database):
    with database.transaction() as tx:
        for part in (heartbeats.SWEEP, heartbeats.BROKER, heartbeats.WORKER):
            heartbeats.beat(tx, part)
    return create_app(settings, database).test_client()


def post(client, **headers):
    body = reading.write(visit("a"))
    return client.post("/fhir", data=body, content_type="application/fhir+json", headers=headers)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_a_sandbox_is_reached_by_the_names_of_its_machine(host, client):
    assert post(client, Host=host).status_code == 200


@pytest.mark.parametrize("path", ["/fhir/metadata", "/", "/health/live"])
def test_a_name_made_up_for_our_address_reaches_nothing(path, client):
    assert client.get(path, headers={"Host": "evil.example.org"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "https://evil.example.org"}, id="another site"),
        pytest.param({"Origin": "null"}, id="a sandboxed frame"),
        pytest.param({"Origin": "http://localhost:9999"}, id="another port"),
        pytest.param({"Origin": "http://["}, id="no address"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="no origin told"),
    ],
)
def test_a_page_of_another_origin_changes_nothing(headers, client):
    response = post(client, Host="localhost:8000", **headers)

    assert response.status_code == 403
    assert response.get_json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("host", ["[", "localhost:8000:1", "[::1", "\xff"])
def test_a_host_that_is_none_reaches_nothing(host, client):
    assert post(client, Host=host).status_code in (400, 403)


def test_our_own_pages_may_write(client):
    assert post(client, Host="localhost:8000", Origin="http://localhost:8000").status_code == 200


def test_in_production_there_is_no_sandbox(database, settings):
    production = Settings(
        mode="production", database_url=settings.database_url, broker_url=settings.broker_url
    )
    client = create_app(production, database).test_client()

    assert client.get("/sandbox/clock").status_code == 404
    assert client.get("/fhir/metadata", headers={"Host": "hipway.hospital.example.org"}).status_code == 200


def test_a_service_with_all_its_parts_is_ready(client):
    response = client.get("/health/ready")

    assert response.status_code == 200, response.get_json()
    assert set(response.get_json()["parts"]) == {
        *("database", "schema", "broker", "sweep", "worker", "evaluations")
    }


def test_without_a_sweep_it_says_so_and_since_when(database, settings):
    with database.transaction() as tx:
        tx.exec_driver_sql("UPDATE heartbeat SET seen_at = clock_timestamp() - interval '1 minute'")
    client = create_app(settings, database).test_client()

    response = client.get("/health/ready")

    sweep = response.get_json()["parts"]["sweep"]
    assert response.status_code == 503
    assert sweep["status"] == "not ready"
    assert sweep["since"].endswith("Z")
    assert "was last seen at" in sweep["why"]


@pytest.mark.parametrize(
    ("silent", "parts"),
    [
        pytest.param("worker", {"worker"}, id="a worker"),
        # Without the sweep nobody asks a worker, so nothing can be said of it.
        pytest.param("sweep", {"sweep", "worker"}, id="the sweep"),
    ],
)
def test_what_is_silent_is_named_while_bundles_are_still_taken(database, settings, client, silent, parts):
    with database.transaction() as tx:
        tx.exec_driver_sql(
            "UPDATE heartbeat SET seen_at = clock_timestamp() - interval '1 minute' WHERE process = %s",
            (silent,),
        )

    all_parts = client.get("/health/ready")
    intake = client.get("/health/ready?only=database,schema")

    told = all_parts.get_json()["parts"]
    assert {name for name, part in told.items() if part["status"] != "ready"} == parts
    assert (all_parts.status_code, intake.status_code) == (503, 200)
    assert post(client).status_code == 200


def test_a_heartbeat_from_the_future_is_no_sign_of_life(database, settings, client):
    """The database's clock was set back, and nothing was seen since."""
    with database.transaction() as tx:
        tx.exec_driver_sql("UPDATE heartbeat SET seen_at = clock_timestamp() + interval '1 hour'")

    assert client.get("/health/ready").get_json()["parts"]["sweep"]["status"] == "not ready"


def test_a_method_that_a_client_makes_up_is_counted_as_another(client):
    """Each word of its own would be a series of its own, and might be any text."""
    client.open("/fhir/Patient/a", method="BEEBLEBROX")

    told = client.get("/metrics").text
    assert "BEEBLEBROX" not in told
    assert 'method="other"' in told


def test_an_evaluation_that_is_late_is_told_with_its_delay(database, settings, client):
    post(client)
    with database.transaction() as tx:
        tx.exec_driver_sql("UPDATE arrival SET due_at = clock_timestamp() - interval '2 minutes'")

    late = client.get("/health/ready").get_json()["parts"]["evaluations"]
    metrics = client.get("/metrics").text

    assert late["why"].startswith("the oldest has waited 12")
    assert float(metrics.split("\nhipway_promises_oldest_seconds ")[1].split()[0]) >= 120


def test_a_courier_that_has_stopped_is_told_where_there_is_a_hospital(database, owner, settings, client):
    hospital = Hospital(url="https://fhir.hospital.example.org/r4")
    watched = create_app(replace(settings, hospital=hospital), database).test_client()
    with owner.transaction() as tx:
        tx.exec_driver_sql("DELETE FROM heartbeat WHERE process = 'courier'")

    never = watched.get("/health/ready")

    assert never.status_code == 503
    assert never.get_json()["parts"]["courier"]["why"] == "has not been seen"
    assert "courier" not in client.get("/health/ready").get_json()["parts"]
    with database.transaction() as tx:
        heartbeats.beat(tx, heartbeats.COURIER)
    again = create_app(replace(settings, hospital=hospital), database).test_client()
    assert again.get("/health/ready").get_json()["parts"]["courier"] == {"status": "ready"}


def test_metrics_count_what_the_hospital_lacks_also_while_no_courier_notes_it(
    database, owner, settings, client
):
    watched = create_app(
        replace(settings, hospital=Hospital(url="https://fhir.hospital.example.org/r4")), database
    ).test_client()
    with owner.transaction() as tx:
        tx.exec_driver_sql("TRUNCATE delivery, delivered")
    with database.transaction() as tx:
        body = {"resourceType": "CarePlan", "id": "undelivered"}
        write = Write(type="CarePlan", id="undelivered", body=body, patient="undelivered", owned=True)
        seen = resources.look_up_or_lock(tx, [write], tenant=0)
        resources.save(tx, [write], tenant=0, now=datetime.now(UTC), sender="hipway-engine", seen=seen)

    def lacking(asked):
        return float(asked.get("/metrics").text.split("\nhipway_undelivered_patients ")[1].split()[0])

    assert lacking(watched) >= 1
    assert lacking(client) == 0
    assert 'hipway_heartbeat_age_seconds{part="courier"}' in watched.get("/metrics").text


def test_without_a_database_it_lives_but_is_not_ready(settings):
    gone = Database("postgresql://nobody:x@127.0.0.1:1/none")
    client = create_app(settings, gone).test_client()

    ready = client.get("/health/ready")

    assert client.get("/health/live").status_code == 200
    assert client.get("/metrics").status_code == 200
    assert ready.status_code == 503
    assert ready.get_json()["parts"]["database"]["status"] == "not ready"


def test_a_schema_of_another_version_is_named(new_database_url, owner_url, settings):
    url = new_database_url()
    migrate.downgrade(owner_url(url), "base")
    database = Database(url)
    client = create_app(settings, database).test_client()

    parts = client.get("/health/ready").get_json()["parts"]

    assert "this version needs" in parts["schema"]["why"]
    database.close()


def test_metrics_count_routes_and_know_no_patient(client):
    client.get(f"/fhir/Patient/{PATIENT}")
    client.get(f"/fhir/Observation?patient={PATIENT}")

    text = client.get("/metrics").text

    assert 'route="/fhir/<type_>/<id_>",status="404"' in text
    assert "hipway_promises_due" in text
    assert 'hipway_heartbeat_age_seconds{part="sweep"}' in text
    assert PATIENT not in text
