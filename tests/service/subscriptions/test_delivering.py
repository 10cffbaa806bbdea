"""At least once, in the order of the numbers, and nobody waits for another's subscriber.

http://hl7.org/fhir/uv/subscriptions-backport/errors.html
http://hl7.org/fhir/uv/subscriptions-backport/payloads.html
"""

import json
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import hospital_server
import pytest
import signing_in
from hospital_server import answering
from sqlalchemy import text
from subscribing import sent, status, subscription

from service.fhir import subscribing
from service.store import raised_events, senders, subscriptions
from service.subscriptions import addresses, delivering, sending, terms
from service.subscriptions.delivering import ATTEMPTS, LEASE_S
from service.subscriptions.terms import Rules

LOOPBACK = (ip_network("127.0.0.0/8"),)


def abouts(told):
    """Return the id of what each event is about, in the order in which they came."""
    return [e["focus"].rpartition("/")[2] for b in sent(told.server) for e in status(b)["events"]]


def test_a_handshake_makes_a_subscription_active(told):
    id_ = told.subscribe()

    assert told.go() == 1

    (bundle,) = sent(told.server)
    assert bundle["type"] == "history"
    assert status(bundle) == {
        "subscription": f"http://127.0.0.1:8000/fhir/Subscription/{id_}",
        "topic": "https://w3id.org/hipway/SubscriptionTopic/stage-entered",
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
        "events": [],
    }
    assert bundle["entry"][0]["request"]["url"].endswith(f"Subscription/{id_}/$status")
    assert (told.row().status, told.row().version, told.row().answer) == ("active", 2, "taken")
    assert told.go() == 0


@pytest.mark.parametrize("mood", [answering(500), answering(403), answering(302), hospital_server.hanging_up])
def test_a_handshake_that_fails_ends_in_error_and_is_tried_again_when_its_owner_asks(told, mood):
    told.subscribe()
    told.server.mood = mood

    assert told.go() == 1
    assert told.row().status == "error"
    assert told.at_once() == 0
    told.server.mood = answering(200)
    told.change()
    assert told.go() == 1

    assert told.types() == ["handshake"] * 2
    assert told.row().status == "active"


def test_what_happened_before_it_was_active_is_not_told(told):
    told.subscribe()
    told.happen("early")
    assert told.go() == 1

    told.happen("late")
    told.go()

    (event,) = told.last()["events"]
    assert (event["event-number"], event["focus"]) == ("1", "http://127.0.0.1:8000/fhir/CarePlan/late")


def test_events_come_in_order_with_numbers_and_as_many_together_as_may(told):
    told.active(most=2)
    told.happen("a", "b", "c", "d", "e")

    assert told.go() == 3

    assert told.types() == ["event-notification"] * 3
    assert [len(status(bundle)["events"]) for bundle in sent(told.server)] == [2, 2, 1]
    assert told.numbers() == [1, 2, 3, 4, 5]
    assert [status(b)["events-since-subscription-start"] for b in sent(told.server)] == ["2", "4", "5"]
    assert abouts(told) == ["a", "b", "c", "d", "e"]
    assert told.row().delivered == 5


def test_each_subscription_has_its_own_numbers_and_only_what_it_asked_for(told):
    told.active()
    told.active(filters=["CarePlan?stage=imaging"])
    told.active(topic="order-signed")
    told.happen("a", labels=("stage=therapy",))
    told.happen("b", labels=("stage=imaging",))
    told.happen("c", topic="order-signed")
    told.go()

    found = {}
    for bundle in sent(told.server):
        for event in status(bundle)["events"]:
            which = status(bundle)["subscription"].rpartition("/")[2]
            found.setdefault(which, []).append((event["event-number"], event["focus"][-1]))
    assert found == {"s-0": [("1", "a"), ("2", "b")], "s-1": [("1", "b")], "s-2": [("1", "c")]}


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
def test_a_payload_holds_as_much_as_was_asked_for_and_is_on_record(told, content, database):
    told.active(content=content)
    told.happen("a")
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM resource"))
        tx.execute(
            text("""
            INSERT INTO resource
                (tenant, type, id, version, seq, owned, deleted, received, sender, digest, body)
            VALUES (0, 'CarePlan', 'a', 1, nextval('receipt_seq'), true, false, now(), 'engine', '',
                '{"resourceType":"CarePlan","id":"a","status":"active","intent":"plan",
                  "subject":{"reference":"Patient/p-a"}}')
        """)
        )

    assert told.go() == 1

    (bundle,) = sent(told.server)
    found = status(bundle)
    told_of = [entry.get("resource", {}).get("id") for entry in bundle["entry"][1:]]
    assert told_of == {"empty": [], "id-only": [None], "full-resource": ["a"]}[content]
    assert ("topic" in found, "focus" in found["events"][0]) == (content != "empty",) * 2
    assert [entry["fullUrl"] for entry in bundle["entry"][1:]] == (
        [] if content == "empty" else ["http://127.0.0.1:8000/fhir/CarePlan/a"]
    )
    with database.transaction() as tx:
        seen = [tuple(row) for row in tx.execute(text("SELECT who, patients, reference, status FROM access"))]
    assert seen == ([] if content == "empty" else [("registry", ["p-a"], "Subscription/s-0", 0)])


def test_whose_data_are_sent_is_on_record_before_they_leave(told, database):
    told.active()
    told.happen("a")
    seen = []

    def looking(asked):
        with database.transaction() as tx:
            seen.append(tx.execute(text("SELECT patients FROM access")).scalars().all())
        return asked.answer(200, {})

    told.server.moods = [looking]

    assert told.go() == 1

    assert seen == [[["p-a"]]]


def test_where_it_cannot_be_written_down_nothing_is_sent(told):
    told.active()
    told.happen("a")
    told.do("ALTER TABLE access ADD CONSTRAINT full_up CHECK (false) NOT VALID")
    try:
        assert told.go() == 1
    finally:
        told.do("ALTER TABLE access DROP CONSTRAINT full_up")

    assert told.server.asked == []
    assert (told.row().answer, told.row().delivered) == ("failed-here", 0)
    assert told.at_once() == 1
    assert told.numbers() == [1]


def test_what_was_erased_is_told_as_no_longer_there(told):
    told.active(content="full-resource")
    told.happen("erased")

    told.go()

    entry = sent(told.server)[0]["entry"][1]
    assert "resource" not in entry
    assert entry["response"]["status"] == "404"


@pytest.mark.parametrize("mood", [answering(500), answering(429), answering(404), hospital_server.hanging_up])
def test_what_was_not_taken_is_sent_again_with_the_same_numbers_and_nothing_overtakes_it(told, mood):
    told.active(most=1)
    told.happen("a", "b")
    told.server.moods = [mood, mood]

    assert told.go() == 1
    assert (told.row().attempts, told.row().delivered, told.row().status) == (1, 0, "active")
    assert told.row().retry_at is not None
    assert told.at_once() == 1
    assert told.row().attempts == 2
    assert told.at_once() == 2

    assert told.numbers() == [1, 1, 1, 2]
    assert (told.row().attempts, told.row().delivered) == (0, 2)


def test_pauses_grow_and_a_subscriber_may_ask_for_a_longer_one(told, database):
    told.active()
    told.happen("a")

    def pause():
        with database.transaction() as tx:
            statement = "SELECT extract(epoch FROM retry_at - clock_timestamp())::float FROM subscription"
            return round(tx.execute(text(statement)).scalar_one())

    told.server.mood = answering(500)
    told.go()
    pauses = [pause()]
    for _ in range(3):
        told.at_once()
        pauses.append(pause())
    told.server.mood = answering(429, Retry_After="900")
    told.at_once()

    # Half of 5, 10, 20 and 40 s is certain, the other half chance, which is none here.
    assert pauses == [pytest.approx(each, abs=1) for each in (2.5, 5, 10, 20)]
    assert pause() == pytest.approx(900, abs=2)


def test_after_too_many_failures_it_is_in_error_counts_on_and_misses_nothing_when_it_is_taken_up_again(told):
    told.active()
    told.happen("a")
    told.server.mood = answering(500)
    assert told.go() == 1
    for _ in range(ATTEMPTS - 2):
        assert told.at_once() == 1
        assert told.row().status == "active"
    assert told.at_once() == 1

    assert (told.row().status, told.row().retry_at) == ("error", None)
    told.happen("b")
    assert told.at_once() == 0
    assert (told.row().numbered, told.row().delivered) == (2, 0)

    told.server.begin()
    told.server.mood = answering(200)
    told.change()
    told.go()
    assert told.types() == ["handshake", "event-notification"]
    assert told.numbers() == [1, 2]


@pytest.mark.parametrize("mood", [answering(410), answering(301)])
def test_a_subscriber_that_is_gone_or_has_moved_is_not_tried_again_by_itself(told, mood):
    told.active()
    told.happen("a")
    told.server.mood = mood

    told.go()

    assert told.row().status == "error"


def test_an_address_that_is_no_longer_allowed_ends_in_error_and_nothing_is_sent(told):
    told.active()
    told.happen("a")

    told.go(told.another(networks=()))

    assert (told.row().status, told.row().answer) == ("error", "not-allowed")
    assert told.server.asked == []


def test_what_was_taken_in_a_sandbox_is_not_sent_without_tls_in_production(told):
    told.active()
    told.happen("a")

    told.go(told.another(tls_only=True))

    assert (told.row().status, told.row().answer) == ("error", "not-allowed")
    assert told.server.asked == []


def test_a_heartbeat_comes_when_nothing_was_told_for_a_while(told):
    told.active(heartbeat=60)
    assert told.go() == 0
    told.do("UPDATE subscription SET succeeded_at = clock_timestamp() - interval '61 seconds'")

    assert told.go() == 1
    assert told.go() == 0

    assert told.types() == ["heartbeat"]
    assert told.last()["events-since-subscription-start"] == "0"


def test_a_heartbeat_that_fails_ends_in_error_in_the_end(told):
    told.active(heartbeat=60)
    told.do("UPDATE subscription SET succeeded_at = clock_timestamp() - interval '61 seconds'")
    told.server.mood = answering(500)

    told.go()
    for _ in range(ATTEMPTS - 1):
        told.at_once()

    assert told.row().status == "error"


def test_at_its_end_it_is_off_and_counts_no_more(told, database):
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    told.active(end=ends)
    told.do("UPDATE subscription SET ends_at = clock_timestamp()")
    with database.transaction() as tx:
        assert subscriptions.end(tx, tenant=0) == 1
        assert subscriptions.end(tx, tenant=0) == 0
        assert not subscriptions.any_live(tx, tenant=0)

    told.happen("a")

    assert told.go() == 0
    assert (told.row().status, told.row().numbered) == ("off", 0)


def test_what_was_off_is_taken_up_without_what_happened_meanwhile(told):
    told.active()
    told.happen("a")
    told.go()
    told.change(status="off")
    told.happen("b")
    assert told.go() == 0
    told.change(status="requested")
    told.go()
    told.happen("c")
    told.go()

    # The numbers go on: the same number never means another event.
    assert told.numbers() == [1, 2]
    assert told.last()["events"][0]["focus"].endswith("CarePlan/c")


def test_whoever_loses_the_right_to_read_is_told_nothing_more(told, database, owner):
    token = signing_in.sender(owner, "registry", "read")
    assert token
    production = told.another(rights=True)
    told.subscribe()
    assert told.go(production) == 1
    told.happen("a")
    told.go(production)
    with owner.transaction() as tx:
        senders.end(tx, "registry", tenant=0)
    told.happen("b")

    told.go(production)

    assert told.numbers() == [1]
    assert (told.row().status, told.row().answer) == ("off", "no-right")


def test_whoever_loses_the_right_to_read_leaves_nothing_that_grows(told, database, owner):
    signing_in.sender(owner, "registry", "read")
    production = told.another(rights=True)
    told.subscribe()
    told.go(production)
    with owner.transaction() as tx:
        senders.end(tx, "registry", tenant=0)
    told.happen("a")
    told.go(production)

    told.happen("b")
    told.go(production)

    assert told.row().numbered == 1
    with database.transaction() as tx:
        assert not subscriptions.any_live(tx, tenant=0)


def test_what_is_in_error_for_too_long_is_off_and_says_why(told, database):
    told.active()
    told.server.mood = answering(410)
    told.happen("a")
    told.go()
    days = f"{subscriptions.KEPT_DAYS} days"
    told.do(f"UPDATE subscription SET changed_at = clock_timestamp() - interval '{days}' + interval '1 hour'")
    with database.transaction() as tx:
        assert subscriptions.end(tx, tenant=0) == 0
    told.do(f"UPDATE subscription SET changed_at = clock_timestamp() - interval '{days} 1 hour'")
    with database.transaction() as tx:
        assert subscriptions.end(tx, tenant=0) == 1

    told.happen("b")
    told.go()

    assert (told.row().status, told.row().answer, told.row().http_status) == ("off", "given-up", None)
    assert told.row().numbered == 1
    assert days in subscribing.rendered(told.row())


def test_what_its_owner_has_turned_off_names_no_error(told):
    told.active()
    told.server.mood = answering(410)
    told.happen("a")
    told.go()
    assert '"error":"' in subscribing.rendered(told.row())

    told.change(status="off")

    assert '"error":"' not in subscribing.rendered(told.row())


@pytest.mark.parametrize(
    ("before", "after", "numbers"),
    [
        pytest.param({}, {"topic": "order-signed"}, [3], id="another topic"),
        pytest.param({}, {"filters": ["CarePlan?stage=imaging"]}, [3], id="another filter"),
        pytest.param({}, {"reason": "another"}, [1, 2, 3], id="another reason"),
        pytest.param(
            {"filters": ["CarePlan?stage=imaging,therapy"]},
            {"filters": ["CarePlan?stage=therapy,imaging"]},
            [1, 2, 3],
            id="the same filter",
        ),
    ],
)
def test_what_waits_is_told_only_while_it_is_asked_for(told, before, after, numbers):
    told.active(**before)
    told.happen("a", "b", labels=("stage=imaging",))
    told.server.moods = [answering(410)]
    told.go()
    told.server.begin()
    told.server.mood = answering(200)

    told.change(**after)
    told.go()
    told.happen("c", topic=after.get("topic", "stage-entered"), labels=("stage=imaging",))
    told.go()

    assert told.numbers() == numbers
    assert told.row().waiting == 0


def test_nothing_is_numbered_by_terms_that_are_being_changed(told, database):
    told.active()
    told.happen("a")
    other = subscription(f"{told.server.url}/hook", topic="order-signed", id="s-0")
    asked = subscribing.read(other, Rules(tls_only=False, networks=LOOPBACK))

    def number():
        database.run(lambda tx: delivering.number(tx, tenant=0))

    numbering = threading.Thread(target=number)
    with database.transaction() as tx:
        subscribing.update(tx, "s-0", "registry", asked, if_version=None, tenant=0)
        numbering.start()
        # It reads what was committed, or waits.
        numbering.join(0.5)
    numbering.join()

    assert told.row().numbered == 0


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_what_is_changed_or_removed_while_it_is_sent_is_not_noted_over(told, what):
    told.active()
    told.happen("a")
    before = told.row().version

    def meanwhile(asked):
        if what == "changed":
            told.change(reason="another")
        else:
            told.do("DELETE FROM subscription")
        return asked.answer(200, {})

    told.server.moods = [meanwhile]
    with told.database.transaction() as tx:
        delivering.number(tx, tenant=0)
    claim = told.sender.claim(slow=False)
    assert claim

    told.sender.send(claim)

    if what == "removed":
        assert told.count() == 0
        return
    # The owner's change stands; the event is sent again under the new terms.
    assert (told.row().status, told.row().delivered, told.row().version) == ("requested", 0, before + 1)
    told.go()
    assert told.types()[1:] == ["handshake", "event-notification"]
    assert told.numbers() == [1, 1]


def test_who_dies_while_sending_leaves_it_to_the_next_after_a_while(told):
    told.active()
    told.happen("a")
    with told.database.transaction() as tx:
        delivering.number(tx, tenant=0)
    lost = told.sender.claim(slow=False)
    assert lost

    # Nobody else sends while the lease lasts.
    assert told.go(told.another()) == 0
    told.do("UPDATE subscription SET lease_until = clock_timestamp()")
    assert told.go(told.another()) == 1
    # Whoever was thought to be dead notes nothing.
    told.sender.send(lost)

    assert told.numbers() == [1, 1]
    assert told.row().delivered == 1


def test_what_ends_every_process_that_sends_it_is_in_error_in_the_end(told):
    told.active()
    told.happen("a")
    with told.database.transaction() as tx:
        delivering.number(tx, tenant=0)
    for _ in range(ATTEMPTS):
        assert told.sender.claim(slow=False)
        told.do("UPDATE subscription SET lease_until = clock_timestamp()")

    assert told.go() == 1

    assert told.server.asked == []
    assert (told.row().status, told.row().answer) == ("error", "lost")


def test_a_subscriber_that_hangs_does_not_keep_others_waiting(told):
    told.active(timeout=1)
    told.active()
    told.happen("a")
    until = threading.Event()
    told.server.moods = [hospital_server.hanging(until)]
    with told.database.transaction() as tx:
        delivering.number(tx, tenant=0)
    first = told.sender.claim(slow=False)
    assert first.id == "s-0"
    told.sender.send(first)
    until.set()
    told.do("UPDATE subscription SET retry_at = NULL")

    # The one that hung has threads of its own from now on.
    assert told.sender.claim(slow=False).id == "s-1"
    assert told.sender.claim(slow=False) is None
    assert told.sender.claim(slow=True).id == "s-0"


def test_an_error_of_our_own_holds_one_subscription_and_no_other(told, monkeypatch):
    told.active()
    told.happen("a")
    monkeypatch.setattr(delivering.notification, "bundle", lambda *_, **__: 1 / 0)

    told.go()

    assert (told.row().answer, told.row().attempts, told.row().status) == ("failed-here", 1, "active")
    assert told.row().retry_at is not None


def test_numbers_have_no_gap_whoever_gives_them_and_whoever_does_not_commit(told, database):
    """What is rolled back took no number; two that number at once give each event one."""
    told.active()
    for turn in range(10):
        try:
            with database.transaction() as tx:
                raised_events.append(tx, [_event(f"rolled-{turn}")], tenant=0)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
        told.happen(f"kept-{turn}")

    def number():
        for _ in range(20):
            database.run(lambda tx: delivering.number(tx, tenant=0))

    threads = [threading.Thread(target=number) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.go()

    assert told.numbers() == list(range(1, 11))
    told.do("DELETE FROM subscription_event WHERE false")
    assert told.row().numbered == 10


def test_what_was_committed_late_is_told_as_well(told, database):
    told.active()
    with database.transaction() as late:
        raised_events.append(late, [_event("late")], tenant=0)
        told.happen("early")
        told.go()
    told.go()

    assert told.numbers() == [1, 2]
    assert abouts(told) == ["early", "late"]


@pytest.mark.parametrize(
    ("seconds", "known"), [pytest.param(0, ["late"], id="in time"), pytest.param(61, [], id="too late")]
)
def test_what_was_under_way_while_the_handshake_was_taken_is_told(told, database, seconds, known):
    told.subscribe()
    with database.transaction() as late:
        raised_events.append(late, [_event("late")], tenant=0)
        late.execute(text(f"UPDATE raised_event SET raised_at = raised_at - interval '{seconds} s'"))
        assert told.go() == 1
        assert told.row().status == "active"

    told.go()

    assert abouts(told) == known


def test_what_nobody_subscribes_to_does_not_pile_up(told, database):
    told.happen("a", "b")

    with database.transaction() as tx:
        assert raised_events.drop(tx, tenant=0) == 2
    told.subscribe()
    told.happen("c")
    with database.transaction() as tx:
        assert raised_events.drop(tx, tenant=0) == 0


def test_a_person_has_it_tried_again(told, database):
    told.active()
    told.happen("a")
    told.server.moods = [answering(410)]
    told.go()
    assert told.row().status == "error"

    with database.transaction() as tx:
        assert subscriptions.again(tx, "s-0", tenant=0)
        assert not subscriptions.again(tx, "nobody", tenant=0)
    told.go()

    assert told.numbers() == [1, 1]
    assert told.row().status == "active"
    with database.transaction() as tx:
        assert not subscriptions.again(tx, "s-0", tenant=0)


def test_a_lease_lasts_longer_than_a_subscriber_and_those_before_it_may():
    assert LEASE_S > addresses.RESOLVE_S + sending.CONNECTING_S + terms.LONGEST_TIMEOUT_S


def test_neither_secret_nor_address_is_in_what_is_logged(told, capsys):
    told.active(header=["Authorization: Bearer top-secret-token"])
    told.happen("a")
    told.server.moods = [answering(500)]
    told.go()
    told.at_once()

    said = "".join(capsys.readouterr())
    assert json.dumps("s-0") in said or "s-0" in said
    for hidden in ("top-secret-token", "a secret that both", told.server.url, "p-a"):
        assert hidden not in said


def _event(id_):
    return raised_events.Event(
        topic="stage-entered",
        patient="p",
        type="CarePlan",
        id=id_,
        version=1,
        labels=(),
        at=datetime(2026, 1, 5, tzinfo=UTC),
    )
