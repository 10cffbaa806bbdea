"""The hospital's server calls when something is new: Subscriptions are made, watched and renewed.

http://hl7.org/fhir/R4/subscription.html
"""

from collections.abc import Iterator

import hospital_server
import pytest
from fhir_visits import concept_map, observation, patient
from hospital_server import answering, half
from reading_from import BASE_URL, Fed
from source_server import SourceServer

from service.app import create_app
from service.fhir import transaction
from service.hospital.settings import HOOK, SECRET_HEADER, Hospital
from service.settings import Settings
from service.store.database import Database

#: with results their reports are asked for
LOOKED_AT = ["Observation", "DiagnosticReport"]
TYPES = ("DiagnosticReport", "Observation", "Patient", "Procedure", "Task")


@pytest.fixture
def fed(empty: Database, source: SourceServer) -> Iterator[Fed]:
    made = Fed(empty, source, read="subscription")
    yield made
    made.connection.close()


@pytest.fixture
def client(fed: Fed):
    """A client of the web process of the same installation."""
    return create_app(Settings(hospital=fed.hospital), fed.database).test_client()


def subscriptions(source: SourceServer) -> dict[str, dict]:
    found = source.of_type("Subscription")
    return {s["criteria"].partition("?")[0]: s for s in found if s["status"] != "off"}


def of_observations(source: SourceServer) -> list[dict]:
    """Return every version of the Subscription to Observations."""
    (id_,) = [s["id"] for s in source.of_type("Subscription") if s["criteria"].startswith("Observation?")]
    return source.record[f"Subscription/{id_}"]


def states(fed: Fed) -> dict[str, str]:
    return dict(fed.rows("SELECT type, status FROM hospital_subscription"))


def watched_long_ago(fed: Fed) -> None:
    fed.do("UPDATE source SET watched_at = watched_at - interval '1 day'")
    fed.do("UPDATE hospital_subscription SET renewed_at = renewed_at - interval '1 day'")


def secret(fed: Fed) -> str:
    return fed.rows("SELECT hook_secret FROM source")[0][0]


def test_there_is_one_subscription_for_each_type_that_is_read(fed, source):
    assert fed.soon().taken
    watched_long_ago(fed)
    assert fed.soon().taken

    assert sorted(subscriptions(source)) == list(TYPES)
    assert len(source.of_type("Subscription")) == len(TYPES)
    assert states(fed) == dict.fromkeys(TYPES, "active")
    made = subscriptions(source)["Observation"]
    assert made["criteria"].startswith("Observation?code=http://loinc.org|")
    assert "status=" not in made["criteria"]
    assert made["channel"] == {
        "type": "rest-hook",
        "endpoint": f"{BASE_URL}{HOOK}/Observation",
        "header": [f"{SECRET_HEADER}: {secret(fed)}"],
    }
    assert len(secret(fed)) > 40


def test_a_subscription_whose_answer_was_lost_is_not_made_twice(fed, source):
    def lost(asked):
        if asked.command == "POST" and asked.path == "/fhir/Subscription":
            return hospital_server.doing_and_hanging_up(asked)
        return hospital_server.WELL

    source.mood = lost
    fed.soon()
    source.mood = None
    for _ in range(3):
        watched_long_ago(fed)
        fed.whole()

    assert len(source.of_type("Subscription")) == len(TYPES)
    assert states(fed) == dict.fromkeys(TYPES, "active")


def test_one_that_no_search_shows_is_looked_for_by_its_id_and_not_made_again(fed, source):
    nothing = answering(200, {"resourceType": "Bundle", "type": "searchset", "entry": []})
    source.mood = lambda asked: (
        nothing(asked) if asked.path.endswith("Subscription/_search") else hospital_server.WELL
    )
    for _ in range(3):
        fed.soon()
        watched_long_ago(fed)
    made = [name for name in source.record if name.startswith("Subscription/")]
    assert len(made) == len(TYPES)
    assert states(fed) == dict.fromkeys(TYPES, "active")

    source.remove(made[0])
    fed.do("UPDATE hospital_subscription SET renewed_at = clock_timestamp(), renewals = 5")
    fed.soon()
    assert len(source.record) == len(TYPES)
    for _ in range(2):
        watched_long_ago(fed)
        fed.soon()

    assert len(source.record) == len(TYPES) + 1


@pytest.mark.parametrize("status", ["error", "off"])
def test_one_that_has_failed_is_renewed_after_a_pause_that_grows(fed, source, status):
    fed.soon()
    source.activates = False
    source.put({**subscriptions(source)["Observation"], "status": status, "error": "unreachable"})
    writes = len(of_observations(source))
    # Renewed in vain five times, it is left alone for more than a minute.
    fed.do("UPDATE hospital_subscription SET renewed_at = clock_timestamp(), renewals = 5")
    for _ in range(3):
        fed.do("UPDATE source SET watched_at = watched_at - interval '1 day'")
        fed.soon()
    assert states(fed)["Observation"] == status
    assert len(of_observations(source)) == writes

    watched_long_ago(fed)
    fed.soon()

    renewed = of_observations(source)[-1]
    assert renewed["status"] == "requested"
    assert "error" not in renewed
    assert fed.rows("SELECT renewals FROM hospital_subscription WHERE type = 'Observation'") == [(6,)]
    source.put({**renewed, "status": "active"})
    watched_long_ago(fed)
    fed.soon()
    assert fed.rows("SELECT status, renewals FROM hospital_subscription WHERE type = 'Observation'") == [
        ("active", 0)
    ]


def test_one_that_stays_silent_is_told_and_renewed(fed, source):
    source.put(patient("p1"))
    fed.soon()
    fed.whole()
    for number in range(3):
        source.put(observation(f"o{number}", "Patient/p1"))
    source.pass_(minutes=1)
    fed.whole()
    assert fed.rows("SELECT missed, missed_at IS NOT NULL FROM source") == [(3, True)]
    before = len(of_observations(source))

    watched_long_ago(fed)
    fed.soon()

    assert len(of_observations(source)) == before + 1


def test_one_that_would_end_is_prolonged_by_the_server_s_own_time(fed, source):
    fed.soon()
    source.put({**subscriptions(source)["Task"], "end": "2026-01-05T09:30:00Z"})

    watched_long_ago(fed)
    fed.soon()

    assert subscriptions(source)["Task"]["end"].startswith("2026-02-04T09:00")


def test_another_question_changes_it_and_is_asked_from_the_beginning(fed, source):
    local = {"coding": [{"system": "https://hospital.example.org/codes", "code": "NRS"}]}
    source.put(patient("p1"))
    source.put(observation("o1", "Patient/p1", code=local))
    fed.soon()
    assert fed.stored() == {}
    maps = concept_map(("NRS", "72514-3"))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}
    bundle["entry"] = [{"resource": maps, "request": {"method": "PUT", "url": "ConceptMap/map"}}]
    transaction.accept(fed.database, bundle, sender="hospital")

    watched_long_ago(fed)
    fed.whole()

    assert "https://hospital.example.org/codes|NRS" in subscriptions(source)["Observation"]["criteria"]
    assert set(fed.stored()) == {"ConceptMap/map", "Observation/o1", "Patient/p1"}


def test_two_of_one_type_become_one(fed, source):
    fed.soon()
    source.put({**subscriptions(source)["Task"], "id": "zz"})

    watched_long_ago(fed)
    fed.soon()

    assert [s["id"] for s in source.of_type("Subscription") if s["status"] == "off"] == ["zz"]


def test_they_are_switched_off_where_only_polling_is_left(fed, source, database):
    fed.soon()
    polls = Fed(database, source)
    fed.do("UPDATE source SET watched_at = NULL")

    polls.soon()

    assert subscriptions(source) == {}
    assert states(fed) == {}
    polls.connection.close()


def test_a_server_that_refuses_them_is_still_polled(fed, source):
    source.put(patient("p1"))
    source.put(observation("o1", "Patient/p1"))

    def refusing(asked):
        if asked.command == "POST" and asked.path == "/fhir/Subscription":
            return asked.answer(422, hospital_server.outcome("not-supported"))
        return hospital_server.WELL

    source.mood = refusing
    fed.soon()

    assert len(fed.stored()) == 2
    assert set(fed.rows("SELECT id, status, answer, said FROM hospital_subscription")) == {
        (None, "error", "refused", "not-supported")
    }


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_that_shows_no_subscriptions_is_still_polled(fed, source, status):
    source.put(patient("p1"))
    source.put(observation("o1", "Patient/p1"))
    mood = answering(status, hospital_server.outcome("forbidden"))
    source.mood = lambda asked: mood(asked) if "Subscription" in asked.path else hospital_server.WELL

    assert fed.soon().taken

    assert len(fed.stored()) == 2
    assert len(fed.rows("SELECT answer FROM hospital_subscription")) == len(TYPES)
    assert fed.rows("SELECT watched_at IS NOT NULL FROM source") == [(True,)]


@pytest.mark.parametrize("mood", [half, answering(503, b"")], ids=["half a body", "an error"])
def test_a_bad_answer_about_a_subscription_loses_nothing(fed, source, mood):
    fed.soon()
    source.mood = mood
    watched_long_ago(fed)
    fed.soon()
    source.mood = None
    assert states(fed) == dict.fromkeys(TYPES, "active")

    watched_long_ago(fed)
    fed.whole()

    assert len(source.of_type("Subscription")) == len(TYPES)


# ------------------------------------------------------------------------------- the calls


def call(client, fed, type_="Observation", **headers):
    return client.post(f"{HOOK}/{type_}", headers={SECRET_HEADER: secret(fed), **headers})


def test_a_call_leads_to_a_look_at_its_type_alone(fed, source, client):
    source.put(patient("p1"))
    fed.soon()
    source.put(observation("o1", "Patient/p1"))
    asked = len(source.asked)
    assert fed.soon() is None

    assert call(client, fed).status_code == 200
    assert fed.soon().taken

    assert "Observation/o1" in fed.stored()
    assert [a.path.split("/")[-2] for a in source.asked[asked:] if "_search" in a.path] == LOOKED_AT
    assert fed.soon() is None


def test_a_call_between_two_looks_is_not_lost(fed, source, client):
    source.put(patient("p1"))
    fed.soon()
    call(client, fed)

    def meanwhile(asked):
        # Stored and announced after the search was answered.
        page = source.do(asked.command, asked.path, asked.content)
        source.put(observation("o1", "Patient/p1"))
        call(client, fed)
        return asked.answer(*page)

    source.moods = [meanwhile]
    fed.soon()
    assert "Observation/o1" not in fed.stored()

    fed.soon()

    assert "Observation/o1" in fed.stored()


def test_a_call_whose_look_failed_is_still_to_be_answered(fed, source, client):
    source.put(patient("p1"))
    fed.soon()
    source.put(observation("o1", "Patient/p1"))
    call(client, fed)
    for _ in range(4):
        source.moods = [half]
        fed.soon()
    assert fed.rows("SELECT open_until IS NOT NULL FROM circuit") == [(True,)]

    # It is left alone after bad answers, but who calls can be asked.
    fed.soon()

    assert "Observation/o1" in fed.stored()


def test_what_was_announced_while_nobody_could_ask_is_not_called_silent(fed, source, client):
    source.put(patient("p1"))
    fed.whole()
    for number in range(3):
        source.put(observation(f"o{number}", "Patient/p1"))
    call(client, fed)
    source.pass_(minutes=1)

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


def test_a_secret_of_the_settings_is_the_one_that_counts(fed, source, database):
    given = Fed(database, source, read="subscription", hook_secret="s" * 30)
    given.soon()
    client = create_app(Settings(hospital=given.hospital), database).test_client()

    assert call(client, given).status_code == 401
    assert client.post(f"{HOOK}/Task", headers={SECRET_HEADER: "s" * 30}).status_code == 200
    assert subscriptions(source)["Task"]["channel"]["header"] == [f"{SECRET_HEADER}: {'s' * 30}"]
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
