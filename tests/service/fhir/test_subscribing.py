"""Subscriptions over HTTP: what is taken, what is refused, and who sees what.

http://hl7.org/fhir/R4/subscription.html
http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition-backport-subscription.html
"""

import json
from copy import deepcopy
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
import signing_in
from fhir_visits import bundle, patient, put
from signing_in import BASE as HTTPS
from sqlalchemy import text
from subscribing import SECRET, status, subscription

from fhir_profiles import canonical, gate, profiles, topics
from service.app import create_app
from service.fhir import subscribing as limits
from service.settings import Settings
from service.store import subscriptions
from service.subscriptions import backport

HOOK = "https://93.184.215.14/hook"


@pytest.fixture(autouse=True)
def _none(database):
    with database.transaction() as tx:
        for table in ("subscription", "subscription_event", "idempotency_key"):
            tx.execute(text(f"DELETE FROM {table}"))


def post(client, body, **headers):
    return client.post("/fhir/Subscription", json=body, headers=headers)


def created(client, **more):
    answer = post(client, subscription(HOOK, **more))
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


def update(client, body, **headers):
    return client.put(f"/fhir/Subscription/{body['id']}", json=body, headers=headers)


def issue(answer):
    (found,) = answer.get_json()["issue"]
    return found["expression"][0], found["code"]


def test_a_subscription_is_stored_as_it_was_sent_and_asked_for(client):
    sent = subscription(HOOK, filters=["CarePlan?stage=imaging"], heartbeat=60, timeout=5, most=7)

    answer = post(client, sent)

    body = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://127.0.0.1:8000/fhir/Subscription/{body['id']}"
    assert (answer.headers["ETag"], body["meta"]["versionId"], body["status"]) == ('W/"1"', "1", "requested")
    read = client.get(f"/fhir/Subscription/{body['id']}")
    assert read.get_json() == body
    assert client.get(read.request.path, headers={"If-None-Match": 'W/"1"'}).status_code == 304
    assert gate.check(read.get_json()) == ()
    # All of it but the secret, in the place in which it was.
    for extension in sent["channel"]["extension"]:
        if extension["url"] != canonical.SUBSCRIPTION_SECRET:
            assert extension in body["channel"]["extension"]
    del sent["channel"]["extension"], body["channel"]["extension"], body["id"], body["meta"]
    assert body == sent


def test_a_part_is_read_where_less_is_asked_for(client):
    body = created(client)

    part = client.get(f"/fhir/Subscription/{body['id']}?_elements=status").get_json()

    assert "reason" in part
    assert "end" not in part
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"
    minimal = post(client, subscription(HOOK), Prefer="return=minimal")
    assert (minimal.status_code, minimal.text) == (201, "")


def test_a_read_under_a_condition_holds_to_the_version_as_that_of_any_resource(client):
    url = f"/fhir/Subscription/{created(client)['id']}"

    assert client.get(url, headers={"If-Match": 'W/"1"'}).status_code == 200
    other = client.get(url, headers={"If-Match": 'W/"2"'})
    assert (other.status_code, other.get_json()["issue"][0]["code"]) == (412, "conflict")


def test_the_secret_is_never_returned(client, database):
    body = created(client)
    answers = [
        client.get(f"/fhir/Subscription/{body['id']}"),
        client.get("/fhir/Subscription"),
        client.get(f"/fhir/Subscription/{body['id']}/$status"),
        client.get(f"/fhir/Subscription/{body['id']}/$events"),
        update(client, {**body, "reason": "another"}),
        client.get("/operations"),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)

    assert SECRET not in json.dumps(body)
    assert not any(SECRET in answer.text for answer in answers)
    with database.transaction() as tx:
        kept = tx.execute(text("SELECT secret, body FROM subscription")).one()
    # An update without one keeps it.
    assert kept.secret == SECRET
    assert SECRET not in kept.body


def test_a_subscription_without_a_secret_is_signed_with_one_that_nobody_knows(client, database):
    created(client, secret=None)
    created(client, secret=None)

    with database.transaction() as tx:
        made = tx.execute(text("SELECT DISTINCT secret FROM subscription")).scalars().all()
    assert len(made) == 2
    assert all(len(secret) == 64 for secret in made)


def without(path, *more):
    def change(body):
        *outer, last = path.split(".")
        for name in outer:
            body = body[name]
        del body[last]

    return change


def put_at(path, value):
    def change(body):
        *outer, last = path.split(".")
        for name in outer:
            body = body.setdefault(name, {})
        body[last] = value

    return change


def extension(url, **value):
    return [{"url": url, **value}]


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        (put_at("criteria", "Observation?code=1"), "criteria", "not-supported"),
        (put_at("criteria", "https://example.org/SubscriptionTopic/other"), "criteria", "not-supported"),
        (put_at("criteria", canonical.topic("stage-entered") + "|9"), "criteria", "not-supported"),
        (put_at("_criteria.extension", extension(backport.FILTER, valueString="secret-value=1")),
         "criteria.extension", "not-supported"),
        (put_at("channel.type", "websocket"), "channel.type", "not-supported"),
        (put_at("channel._type.extension", extension(backport.CHANNEL_TYPE, valueCoding={"code": "zulip"})),
         "channel.type", "not-supported"),
        (put_at("channel.payload", "application/fhir+xml"), "channel.payload", "not-supported"),
        (put_at("channel.payload", "application/fhir+json; fhirVersion=4.3"),
         "channel.payload", "not-supported"),
        (without("channel.payload"), "channel.payload", "not-supported"),
        (without("channel._payload"), "channel.payload.extension", "value"),
        (put_at("channel._payload.extension", extension(backport.CONTENT, valueCode="some")),
         "channel.payload.extension", "value"),
        (put_at("channel.extension", extension(backport.TIMEOUT, valueUnsignedInt=31)),
         "channel.extension", "value"),
        (put_at("channel.extension", extension(backport.MAX_COUNT, valuePositiveInt=101)),
         "channel.extension", "value"),
        (put_at("channel.extension", extension(backport.HEARTBEAT, valueUnsignedInt=1)),
         "channel.extension", "value"),
        (put_at("channel.extension",
                extension(canonical.SUBSCRIPTION_SECRET, valueString="short-secret-value")),
         "channel.extension", "value"),
        (put_at("channel.header", ["Host: secret-value.example"]), "channel.header[0]", "value"),
        (put_at("channel.header", ["X-A: 1", "X-Hipway-Signature: secret-value"]),
         "channel.header[1]", "value"),
        (put_at("channel.header", ["no colon"]), "channel.header[0]", "value"),
        (put_at("channel.header", [f"X-{n}: 1" for n in range(21)]), "channel.header", "too-costly"),
        (put_at("status", "error"), "status", "value"),
        (put_at("modifierExtension", extension("urn:x", valueString="a")),
         "modifierExtension", "extension"),
        (without("channel.endpoint"), "channel.endpoint", "value"),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused_by_name_and_without_its_value(client, change, where, code):
    body = subscription(HOOK)
    change(body)

    answer = post(client, body)

    assert answer.status_code == 422
    assert issue(answer) == (f"Subscription.{where}", code)
    assert "secret-value" not in answer.text
    assert client.get("/fhir/Subscription").get_json()["total"] == 0


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://example.org/hook",
        "mailto:a@example.org",
        "https://",
        "https://user:password@example.org/",
        "https://example.org/#part",
        "https://example.org/a b",
        "https://example.org:99999/",
        "https://exämple.org/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "http://169.254.169.254/latest",
        "https://10.0.0.8:8443/hook",
        "https://[fd00::1]/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_an_endpoint_that_nothing_would_be_sent_to_is_refused(client, endpoint):
    answer = post(client, subscription(endpoint))

    assert answer.status_code == 422
    assert issue(answer) == ("Subscription.channel.endpoint", "value")


def test_a_network_that_is_allowed_may_be_named(database, broker_url):
    settings = Settings(broker_url=broker_url, subscribers_networks=(ip_network("10.0.0.0/8"),))
    client = create_app(settings, database).test_client()

    assert post(client, subscription("http://10.0.0.8/hook")).status_code == 201
    assert post(client, subscription("http://127.0.0.1/hook")).status_code == 422


def test_what_is_not_valid_r4_is_refused_as_everywhere(client):
    answer = post(client, {**subscription(HOOK), "colour": 1})

    assert (answer.status_code, issue(answer)[0]) == (422, "Subscription.colour")
    assert post(client, {"resourceType": "Patient"}).status_code == 400


def test_an_update_asks_for_it_anew_and_one_that_changes_nothing_does_not(client):
    body = created(client)

    same = update(client, body)
    changed = update(client, {**body, "reason": "another"}, **{"If-Match": 'W/"1"'})
    stale = update(client, {**body, "reason": "a third"}, **{"If-Match": 'W/"1"'})

    assert (same.status_code, same.headers["ETag"]) == (200, 'W/"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert changed.get_json()["reason"] == "another"
    assert stale.status_code == 412
    assert update(client, {**body, "id": "other"}).status_code == 404
    assert client.put(f"/fhir/Subscription/{body['id']}", json={**body, "id": "other"}).status_code == 422
    assert update(client, {**body, "status": "error"}).status_code == 422


def test_the_same_with_its_secret_changes_nothing_however_often_it_is_sent(client):
    body = {**subscription(HOOK), "id": created(client)["id"]}

    assert [update(client, body).headers["ETag"] for _ in range(2)] == ['W/"1"'] * 2


def test_a_subscription_is_turned_off_and_taken_up_again(client):
    body = created(client)

    off = update(client, {**body, "status": "off"}).get_json()
    again = update(client, {**off, "status": "requested"}).get_json()

    assert (off["status"], again["status"], again["meta"]["versionId"]) == ("off", "requested", "3")


def test_whoever_writes_active_has_it_asked_for(client, database):
    """The guide lets a subscriber write requested or active when it takes up what was in error."""
    body = created(client, status="active")
    with database.transaction() as tx:
        tx.execute(text("UPDATE subscription SET status = 'error', answer = 'refused'"))

    again = update(client, {**body, "status": "active"})

    assert (body["status"], again.status_code, again.get_json()["status"]) == ("requested", 200, "requested")


def test_an_update_may_bring_another_secret(client, database):
    body = created(client)
    body["channel"]["extension"] = extension(canonical.SUBSCRIPTION_SECRET, valueString="b" * 40)

    assert update(client, body).headers["ETag"] == 'W/"2"'

    with database.transaction() as tx:
        assert tx.execute(text("SELECT secret FROM subscription")).scalar_one() == "b" * 40


def test_what_is_removed_is_gone_with_its_events_and_removing_it_again_is_as_well(client, database):
    body = created(client)
    url = f"/fhir/Subscription/{body['id']}"
    with database.transaction() as tx:
        tx.execute(
            text("""INSERT INTO subscription_event (subscription, number, topic, type, id, version, at)
            SELECT key, 1, 'stage-entered', 'CarePlan', 'a', 1, now() FROM subscription""")
        )

    assert client.delete(url, headers={"If-Match": 'W/"9"'}).status_code == 412
    assert [client.delete(url).status_code for _ in range(2)] == [204, 204]

    assert [client.get(f"{url}{more}").status_code for more in ("", "/$status", "/$events")] == [404] * 3
    with database.transaction() as tx:
        assert tx.execute(text("SELECT count(*) FROM subscription_event")).scalar_one() == 0


def test_a_key_creates_once(client):
    headers = {"Idempotency-Key": '"once"'}

    first, second = (post(client, subscription(HOOK), **headers) for _ in range(2))
    other = post(client, subscription(HOOK, "order-signed"), **headers)

    assert [first.status_code, second.status_code, other.status_code] == [201, 201, 422]
    assert first.get_json() == second.get_json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert client.get("/fhir/Subscription").get_json()["total"] == 1


def test_a_condition_is_refused_rather_than_passed_over(client):
    answer = post(client, subscription(HOOK), **{"If-None-Exist": "url=a"})

    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["code"] == "not-supported"


def test_one_that_is_longer_than_need_be_is_refused(client):
    answer = post(client, subscription(HOOK, reason="a" * limits.LONGEST))

    assert (answer.status_code, issue(answer)) == (422, ("Subscription", "too-long"))


def test_a_sender_has_no_more_than_it_can_look_after(client, monkeypatch):
    monkeypatch.setattr(limits, "MOST", 2)
    for _ in range(2):
        created(client)

    assert issue(post(client, subscription(HOOK))) == ("Subscription", "too-costly")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a", "b", "c"]),
        ("_id={b}", ["b"]),
        ("status=off", ["c"]),
        ("status=requested,off", ["a", "b", "c"]),
        ("status=http://hl7.org/fhir/subscription-status|off", ["c"]),
        (f"criteria={canonical.topic('order-signed')}", ["b"]),
        ("url=https://93.184.215.14/c", ["c"]),
        ("type=rest-hook", ["a", "b", "c"]),
        ("type=email", []),
        ("payload=application/fhir%2Bjson", ["a", "b", "c"]),
        ("status=requested&url=https://93.184.215.14/c", []),
        ("_count=2", ["a", "b"]),
        ("_count=2&_page=2", ["c"]),
    ],
)
def test_subscriptions_are_found_by_what_is_claimed(client, query, found):
    ids = {}
    for name, topic, state in (
        ("a", "stage-entered", "requested"), ("b", "order-signed", "requested"), ("c", "stage-entered", "off")
    ):  # fmt: skip
        body = subscription(f"https://93.184.215.14/{name}", topic, status=state)
        ids[name] = post(client, body).get_json()["id"]

    answer = client.get("/fhir/Subscription?" + query.format(**ids)).get_json()

    assert [entry["resource"]["id"] for entry in answer.get("entry", [])] == [ids[name] for name in found]
    assert gate.check(answer) == ()
    if query == "_count=2":
        following = next(link["url"] for link in answer["link"] if link["relation"] == "next")
        rest = client.get(following.removeprefix("http://127.0.0.1:8000")).get_json()
        assert [entry["resource"]["id"] for entry in rest["entry"]] == [ids["c"]]


def test_by_a_form_the_same_is_found(client):
    body = created(client)

    found = client.post("/fhir/Subscription/_search", data={"_id": body["id"]}).get_json()

    assert [entry["resource"]["id"] for entry in found["entry"]] == [body["id"]]


def test_no_bundle_and_no_history_holds_a_subscription(client, send):
    body = created(client)
    entry = {"request": {"method": "GET", "url": f"Subscription/{body['id']}"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}

    written = send(bundle(put({**subscription(HOOK), "id": "mine"})))
    read = send(batch).get_json()["entry"][0]["response"]
    history = client.get("/fhir/_history").text

    assert written.status_code == 400
    assert "by itself" in written.get_json()["issue"][0]["diagnostics"]
    assert read["status"].startswith("404")
    assert body["id"] not in history
    for method, path in (("GET", "_history"), ("GET", "_history/1"), ("PATCH", "")):
        answer = client.open(f"/fhir/Subscription/{body['id']}/{path}".rstrip("/"), method=method, json=[])
        assert answer.status_code in (404, 405), (method, path)


def test_the_status_tells_how_it_stands(client, database):
    body = created(client)
    off = created(client, status="off")
    with database.transaction() as tx:
        tx.execute(
            text("UPDATE subscription SET status = 'error', answer = 'refused', numbered = 7 WHERE id = :id"),
            {"id": body["id"]},
        )

    one = client.get(f"/fhir/Subscription/{body['id']}/$status").get_json()
    every = client.get("/fhir/Subscription/$status").get_json()
    asked = {"resourceType": "Parameters", "parameter": [{"name": "status", "valueCode": "off"}]}
    some = client.post("/fhir/Subscription/$status", json=asked).get_json()
    named = client.get(f"/fhir/Subscription/$status?id={body['id']}&id={off['id']}&status=off").get_json()

    assert status(one) == {
        "subscription": f"http://127.0.0.1:8000/fhir/Subscription/{body['id']}",
        "topic": canonical.topic("stage-entered"),
        "status": "error",
        "type": "query-status",
        "events-since-subscription-start": "7",
        "error": {"text": "the endpoint refused the notification"},
        "events": [],
    }
    assert (one["type"], every["total"], some["total"], named["total"]) == ("searchset", 2, 1, 1)
    assert status(some)["status"] == "off"
    assert gate.check(every) == ()
    assert client.get("/fhir/Subscription/$status?colour=1").status_code == 400
    # What is in error says so in itself as well.
    read = client.get(f"/fhir/Subscription/{body['id']}").get_json()
    assert (read["status"], read["error"]) == ("error", "the endpoint refused the notification")


@pytest.fixture
def told(client, database, send):
    """A Subscription with five events, each about a version of one Patient."""
    send(bundle(put(patient("told", birthDate="1970-01-01"))))
    body = created(client)
    with database.transaction() as tx:
        tx.execute(
            text("""
                INSERT INTO subscription_event (subscription, number, topic, patient, type, id, version, at)
                SELECT key, n, 'stage-entered', 'told', 'Patient', 'told', 1, :at
                FROM subscription, generate_series(1, 5) AS n
            """),
            {"at": datetime(2026, 1, 5, tzinfo=UTC)},
        )
        tx.execute(text("UPDATE subscription SET numbered = 5"))
    return f"/fhir/Subscription/{body['id']}/$events"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("?eventsSinceNumber=4", [4, 5]),
        ("?eventsUntilNumber=2", [1, 2]),
        ("?eventsSinceNumber=2&eventsUntilNumber=3", [2, 3]),
        ("?eventsSinceNumber=6", []),
        ("?eventsSinceNumber=0", [1, 2, 3, 4, 5]),
    ],
)
def test_events_are_told_again_by_their_numbers(client, told, query, numbers):
    found = client.get(told + query).get_json()

    assert [int(event["event-number"]) for event in status(found)["events"]] == numbers
    assert (status(found)["type"], status(found)["events-since-subscription-start"]) == ("query-event", "5")
    assert gate.check(found) == ()


@pytest.mark.parametrize(("content", "entries"), [("empty", 1), ("id-only", 2), ("full-resource", 2)])
def test_events_are_told_as_much_of_as_is_asked_for(client, told, database, content, entries):
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE access"))

    found = client.get(f"{told}?content={content}").get_json()

    assert len(found["entry"]) == entries
    (event, *_) = status(found)["events"]
    assert ("focus" in event, "topic" in status(found)) == (content != "empty",) * 2
    resource = found["entry"][-1].get("resource", {})
    assert (resource.get("birthDate") == "1970-01-01") is (content == "full-resource")
    with database.transaction() as tx:
        # Whose data were told is on record.
        seen = tx.execute(text("SELECT patients FROM access")).scalars().all()
    assert seen == ([] if content == "empty" else [["told"]])


@pytest.mark.parametrize("query", ["content=all", "eventsSinceNumber=-1", "eventsSinceNumber=x", "colour=1"])
def test_what_is_not_understood_of_events_is_refused(client, told, query):
    assert client.get(f"{told}?{query}").status_code == 400


@pytest.fixture(scope="module")
def senders(database, owner):
    """Two systems that may read, and one that may only write, of a service in production."""
    app = create_app(signing_in.production(), database)
    scopes = {"registry": ("read",), "ward": ("read", "write"), "scanner": ("write",)}
    tokens = {name: signing_in.sender(owner, name, *theirs) for name, theirs in scopes.items()}

    def ask(name, method, path, body=None):
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        return app.test_client().open(
            f"/fhir/{path}", method=method, json=body, headers=headers, base_url=HTTPS
        )

    return ask


def test_a_sender_sees_and_changes_its_own_alone(senders):
    mine = senders("registry", "POST", "Subscription", subscription(HOOK)).get_json()
    own = f"Subscription/{mine['id']}"
    nowhere = "Subscription/nobody"

    for method, path, body in (
        ("GET", "", None), ("PUT", "", mine), ("GET", "/$status", None), ("GET", "/$events", None)
    ):  # fmt: skip
        changed = {**mine, "reason": "another"} if body else None
        theirs = senders("ward", method, own + path, changed)
        unknown = senders("ward", method, nowhere + path, {**changed, "id": "nobody"} if changed else None)
        # Nothing tells one that is another's from one that is not there.
        assert (theirs.status_code, theirs.text) == (unknown.status_code, unknown.text)
        assert theirs.status_code == 404
    assert senders("ward", "DELETE", own).status_code == 204
    assert senders("ward", "GET", "Subscription").get_json()["total"] == 0
    assert senders("ward", "GET", "Subscription/$status").get_json()["total"] == 0
    assert senders("registry", "GET", own).get_json() == mine
    assert senders("registry", "DELETE", own).status_code == 204


def test_who_may_not_read_may_not_subscribe_and_in_production_nobody_without_tls(senders):
    assert senders("scanner", "POST", "Subscription", subscription(HOOK)).status_code == 403
    refused = senders("ward", "POST", "Subscription", subscription(HOOK.replace("https", "http")))
    assert (refused.status_code, issue(refused)[0]) == (422, "Subscription.channel.endpoint")


def test_the_capabilities_name_the_guide_and_the_topics(client):
    statement = client.get("/fhir/metadata").get_json()
    (offered,) = (each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription")

    assert backport.SERVER in statement["instantiates"]
    assert offered["supportedProfile"] == [backport.SUBSCRIPTION]
    assert {each["valueCanonical"] for each in offered["extension"]} == {t.url for t in topics.topics()}
    assert {each["code"] for each in offered["interaction"]} == {
        "create",
        "read",
        "update",
        "delete",
        "search-type",
    }


def test_the_extension_of_the_secret_is_held_against_its_definition():
    wrong = subscription(HOOK)
    wrong["channel"]["extension"] = extension(canonical.SUBSCRIPTION_SECRET, valueInteger=1)

    assert profiles.extensions(deepcopy(subscription(HOOK))) == ()
    assert [fault.code for fault in profiles.extensions(wrong)]


def test_events_that_nobody_will_ask_for_are_removed_and_what_waits_is_kept(client, database):
    created(client)
    with database.transaction() as tx:
        tx.execute(text("UPDATE subscription SET numbered = 4, delivered = 2, status = 'error'"))
        tx.execute(
            text("""
            INSERT INTO subscription_event (subscription, number, topic, type, id, version, at, numbered_at)
            SELECT key, n, 'stage-entered', 'CarePlan', 'a', 1, now(),
                now() - make_interval(days => CASE WHEN n = 2 THEN 29 ELSE 31 END)
            FROM subscription, generate_series(1, 4) AS n
        """)
        )

    def left():
        with database.transaction() as tx:
            return tx.execute(text("SELECT number FROM subscription_event ORDER BY 1")).scalars().all()

    with database.transaction() as tx:
        assert subscriptions.purge(tx) == 1
    assert left() == [2, 3, 4]
    with database.transaction() as tx:
        tx.execute(text("UPDATE subscription SET status = 'off'"))
        assert subscriptions.purge(tx) == 2
    assert left() == [2]
