"""The hospital's server calls when something is new: Subscriptions are made, watched and renewed.

http://hl7.org/fhir/R4/subscription.html
"""

from collections.abc import Iterator

import hospital_server
import pytest
from fhir_visits import concept_map, observation, patient
from hospital_server import answering, half
from reading_from import BASE_URL, TABLES, Fed
from source_server import SourceServer
from sqlalchemy import text

from service.app import create_app
from service.fhir import transaction
from service.hospital.settings import HOOK, SECRET_HEADER, Hospital
from service.settings import Settings
from service.store.database import Database

TYPES = ("DiagnosticReport", "Observation", "Patient", "Procedure", "Task")


@pytest.fixture(scope="module")
def only_server() -> Iterator[SourceServer]:
    with hospital_server.running(make=SourceServer) as started:
        yield started


@pytest.fixture
def server(only_server: SourceServer) -> SourceServer:
    only_server.begin()
    return only_server


@pytest.fixture
def fed(database: Database, owner: Database, server: SourceServer) -> Iterator[Fed]:
    with owner.transaction() as tx:
        for table in TABLES:
            tx.execute(text(f"DELETE FROM {table}"))
    made = Fed(database, server, read="subscription")
    yield made
    made.connection.close()


@pytest.fixture
def client(fed: Fed):
    """A client of the web process of the same installation."""
    return create_app(Settings(hospital=fed.hospital), fed.database).test_client()


def subscriptions(server: SourceServer) -> dict[str, dict]:
    found = server.of_type("Subscription")
    return {s["criteria"].partition("?")[0]: s for s in found if s["status"] != "off"}


def of_observations(server: SourceServer) -> list[dict]:
    """Return every version of the Subscription to Observations."""
    (id_,) = [s["id"] for s in server.of_type("Subscription") if s["criteria"].startswith("Observation?")]
    return server.record[f"Subscription/{id_}"]


def states(fed: Fed) -> dict[str, str]:
    return dict(fed.rows("SELECT type, status FROM hospital_subscription"))


def watched_long_ago(fed: Fed) -> None:
    fed.do("UPDATE source SET watched_at = watched_at - interval '1 day'")
    fed.do("UPDATE hospital_subscription SET renewed_at = renewed_at - interval '1 day'")


def secret(fed: Fed) -> str:
    return fed.rows("SELECT hook_secret FROM source")[0][0]


def test_there_is_one_subscription_for_each_type_that_is_read(fed, server):
    assert fed.soon().taken
    watched_long_ago(fed)
    assert fed.soon().taken

    assert sorted(subscriptions(server)) == list(TYPES)
    assert len(server.of_type("Subscription")) == len(TYPES)
    assert states(fed) == dict.fromkeys(TYPES, "active")
    made = subscriptions(server)["Observation"]
    assert made["criteria"].startswith("Observation?code=http://loinc.org|")
    assert "status=" not in made["criteria"]
    assert made["channel"] == {
        "type": "rest-hook",
        "endpoint": f"{BASE_URL}{HOOK}/Observation",
        "header": [f"{SECRET_HEADER}: {secret(fed)}"],
    }
    assert len(secret(fed)) > 40


def test_a_subscription_whose_answer_was_lost_is_not_made_twice(fed, server):
    def lost(asked):
        if asked.command == "POST" and asked.path == "/fhir/Subscription":
            return hospital_server.doing_and_hanging_up(asked)
        return hospital_server.WELL

    server.mood = lost
    fed.soon()
    server.mood = None
    for _ in range(3):
        watched_long_ago(fed)
        fed.whole()

    assert len(server.of_type("Subscription")) == len(TYPES)
    assert states(fed) == dict.fromkeys(TYPES, "active")


@pytest.mark.parametrize("status", ["error", "off"])
def test_one_that_has_failed_is_renewed_after_a_pause_that_grows(fed, server, status):
    fed.soon()
    server.activates = False
    server.put({**subscriptions(server)["Observation"], "status": status, "error": "unreachable"})
    writes = len(of_observations(server))
    for _ in range(3):
        fed.do("UPDATE source SET watched_at = watched_at - interval '1 day'")
        fed.soon()
    # Made a moment ago, it is left alone at first.
    assert states(fed)["Observation"] == status
    assert len(of_observations(server)) == writes

    watched_long_ago(fed)
    fed.soon()

    renewed = of_observations(server)[-1]
    assert renewed["status"] == "requested"
    assert "error" not in renewed
    assert fed.rows("SELECT renewals FROM hospital_subscription WHERE type = 'Observation'") == [(1,)]
    server.put({**renewed, "status": "active"})
    watched_long_ago(fed)
    fed.soon()
    assert fed.rows("SELECT status, renewals FROM hospital_subscription WHERE type = 'Observation'") == [
        ("active", 0)
    ]


def test_one_that_stays_silent_is_told_and_renewed(fed, server):
    server.put(patient("p1"))
    fed.soon()
    fed.whole()
    for number in range(3):
        server.put(observation(f"o{number}", "Patient/p1"))
    server.pass_(minutes=1)
    fed.whole()
    assert fed.rows("SELECT missed, missed_at IS NOT NULL FROM source") == [(3, True)]
    before = len(of_observations(server))

    watched_long_ago(fed)
    fed.soon()

    assert len(of_observations(server)) == before + 1


def test_one_that_would_end_is_prolonged_by_the_server_s_own_time(fed, server):
    fed.soon()
    server.put({**subscriptions(server)["Task"], "end": "2026-01-05T09:30:00Z"})

    watched_long_ago(fed)
    fed.soon()

    assert subscriptions(server)["Task"]["end"].startswith("2026-02-04T09:00")


def test_another_question_changes_it_and_is_asked_from_the_beginning(fed, server):
    local = {"coding": [{"system": "https://hospital.example.org/codes", "code": "NRS"}]}
    server.put(patient("p1"))
    server.put(observation("o1", "Patient/p1", code=local))
    fed.soon()
    assert fed.stored() == {}
    maps = concept_map(("NRS", "72514-3"))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}
    bundle["entry"] = [{"resource": maps, "request": {"method": "PUT", "url": "ConceptMap/map"}}]
    transaction.accept(fed.database, bundle, sender="hospital")

    watched_long_ago(fed)
    fed.whole()

    assert "https://hospital.example.org/codes|NRS" in subscriptions(server)["Observation"]["criteria"]
    assert set(fed.stored()) == {"ConceptMap/map", "Observation/o1", "Patient/p1"}


def test_two_of_one_type_become_one(fed, server):
    fed.soon()
    server.put({**subscriptions(server)["Task"], "id": "zz"})

    watched_long_ago(fed)
    fed.soon()

    assert [s["id"] for s in server.of_type("Subscription") if s["status"] == "off"] == ["zz"]


def test_they_are_switched_off_where_only_polling_is_left(fed, server, database):
    fed.soon()
    polls = Fed(database, server)
    fed.do("UPDATE source SET watched_at = NULL")

    polls.soon()

    assert subscriptions(server) == {}
    assert states(fed) == {}
    polls.connection.close()


def test_a_server_that_refuses_them_is_still_polled(fed, server):
    server.put(patient("p1"))
    server.put(observation("o1", "Patient/p1"))

    def refusing(asked):
        if asked.command == "POST" and asked.path == "/fhir/Subscription":
            return asked.answer(422, hospital_server.outcome("not-supported"))
        return hospital_server.WELL

    server.mood = refusing
    fed.soon()

    assert len(fed.stored()) == 2
    assert set(fed.rows("SELECT id, status, answer, said FROM hospital_subscription")) == {
        (None, "error", "refused", "not-supported")
    }


@pytest.mark.parametrize("mood", [half, answering(503, b"")], ids=["half a body", "an error"])
def test_a_bad_answer_about_a_subscription_loses_nothing(fed, server, mood):
    fed.soon()
    server.mood = mood
    watched_long_ago(fed)
    fed.soon()
    server.mood = None
    assert states(fed) == dict.fromkeys(TYPES, "active")

    watched_long_ago(fed)
    fed.whole()

    assert len(server.of_type("Subscription")) == len(TYPES)


# ------------------------------------------------------------------------------- the calls


def call(client, fed, type_="Observation", **headers):
    return client.post(f"{HOOK}/{type_}", headers={SECRET_HEADER: secret(fed), **headers})


def test_a_call_leads_to_a_look_at_its_type_alone(fed, server, client):
    server.put(patient("p1"))
    fed.soon()
    server.put(observation("o1", "Patient/p1"))
    asked = len(server.asked)
    assert fed.soon() is None

    assert call(client, fed).status_code == 200
    assert fed.soon().taken

    assert "Observation/o1" in fed.stored()
    assert [a.path.split("/")[-2] for a in server.asked[asked:] if "_search" in a.path] == ["Observation"]
    assert fed.soon() is None


def test_a_call_between_two_looks_is_not_lost(fed, server, client):
    server.put(patient("p1"))
    fed.soon()
    call(client, fed)

    def meanwhile(asked):
        # Stored and announced after the search was answered.
        page = server.do(asked.command, asked.path, asked.content)
        server.put(observation("o1", "Patient/p1"))
        call(client, fed)
        return asked.answer(*page)

    server.moods = [meanwhile]
    fed.soon()
    assert "Observation/o1" not in fed.stored()

    fed.soon()

    assert "Observation/o1" in fed.stored()


def test_a_call_whose_look_failed_is_still_to_be_answered(fed, server, client):
    server.put(patient("p1"))
    fed.soon()
    server.put(observation("o1", "Patient/p1"))
    call(client, fed)
    for _ in range(4):
        server.moods = [half]
        fed.soon()
    assert fed.rows("SELECT open_until IS NOT NULL FROM circuit") == [(True,)]

    # It is left alone after bad answers, but who calls can be asked.
    fed.soon()

    assert "Observation/o1" in fed.stored()


def test_what_was_announced_while_nobody_could_ask_is_not_called_silent(fed, server, client):
    server.put(patient("p1"))
    fed.whole()
    for number in range(3):
        server.put(observation(f"o{number}", "Patient/p1"))
    call(client, fed)
    server.pass_(minutes=1)

    fed.whole()

    assert fed.rows("SELECT missed FROM source") == [(0,)]


def test_many_calls_at_once_are_written_down_once(fed, client):
    fed.soon()
    for _ in range(3):
        call(client, fed)
    first = fed.rows("SELECT hooked_at FROM hospital_subscription WHERE type = 'Observation'")
    call(client, fed)

    assert fed.rows("SELECT hooked_at FROM hospital_subscription WHERE type = 'Observation'") == first


@pytest.mark.parametrize(
    "shown",
    [{}, {SECRET_HEADER: ""}, {SECRET_HEADER: "x" * 43}, {"Authorization": "Bearer x"}],
    ids=["nothing", "empty", "wrong", "elsewhere"],
)
def test_whoever_does_not_know_the_secret_is_not_heard(fed, client, shown):
    fed.soon()

    assert client.post(f"{HOOK}/Observation", headers=shown).status_code == 401

    assert fed.rows("SELECT count(*) FROM hospital_subscription WHERE hooked_at IS NOT NULL") == [(0,)]


def test_before_there_is_a_secret_nobody_knows_it(fed, client):
    assert client.post(f"{HOOK}/Observation", headers={SECRET_HEADER: SECRET_HEADER}).status_code == 401


def test_a_secret_of_the_settings_is_the_one_that_counts(fed, server, database):
    given = Fed(database, server, read="subscription", hook_secret="s" * 30)
    given.soon()
    client = create_app(Settings(hospital=given.hospital), database).test_client()

    assert call(client, given).status_code == 401
    assert client.post(f"{HOOK}/Task", headers={SECRET_HEADER: "s" * 30}).status_code == 200
    assert subscriptions(server)["Task"]["channel"]["header"] == [f"{SECRET_HEADER}: {'s' * 30}"]
    given.connection.close()


def test_what_a_call_carries_is_not_read(fed, client):
    fed.soon()
    shown = {SECRET_HEADER: secret(fed)}
    body = observation("o1", "Patient/canary")

    assert client.put(f"{HOOK}/Observation/o1", json=body, headers=shown).status_code == 200
    assert client.delete(f"{HOOK}/Observation/o1", headers=shown).status_code == 200

    assert fed.rows("SELECT count(*) FROM resource") == [(0,)]
    assert fed.rows("SELECT count(*) FROM hospital_subscription WHERE hooked_at IS NOT NULL") == [(1,)]


@pytest.mark.parametrize("read", ["off", "poll"])
def test_where_nobody_is_to_call_there_is_nothing(fed, database, read):
    hospital = Hospital(url=fed.server.url, read=read)
    client = create_app(Settings(hospital=hospital), database).test_client()

    assert client.post(f"{HOOK}/Observation").status_code == 404
