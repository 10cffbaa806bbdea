"""What the engine wrote reaches the hospital: whole, in order, once in effect, and nothing is forgotten.

Promises 1 to 3 of the design; safety SP-02, SP-12.
"""

import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import hospital_server
import pytest
from hospital_server import answering, outcome

from service.fhir import transaction
from service.hospital import outgoing, pauses
from service.hospital.answers import Kind
from service.hospital.connection import Connection
from service.hospital.delivery import Delivery
from service.hospital.settings import Hospital
from service.store import deliveries, resources
from service.store.resources import Write

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
KILLED = -9
SERVER = "https://fhir.hospital.example.org/r4"


def test_everything_the_engine_wrote_arrives_in_one_transaction_in_order(deliverer):
    assert deliverer.go()

    (bundle,) = deliverer.server.transactions()
    sent = [entry["request"]["url"] for entry in bundle["entry"]]
    assert set(sent) == set(deliverer.owned()) == set(deliverer.server.record)
    places = [outgoing.TYPES.index(reference.partition("/")[0]) for reference in sent]
    assert places == sorted(places)
    assert {"Device", "Condition", "CarePlan", "ServiceRequest", "Task", "Provenance"} <= {
        reference.partition("/")[0] for reference in sent
    }
    assert deliverer.acknowledged() == deliverer.owned()
    assert deliverer.state() == (0, "taken", False, False, "")


def test_what_is_acknowledged_is_not_sent_again(deliverer):
    assert deliverer.go()

    assert not deliverer.go()
    assert not deliverer.go()
    assert len(deliverer.server.transactions()) == 1


def test_a_change_is_sent_over_the_version_that_is_known(deliverer, change):
    deliverer.go()
    task = next(reference for reference in deliverer.owned() if reference.startswith("Task/"))
    change(task, status="cancelled")

    assert deliverer.go()

    (_, bundle) = deliverer.server.transactions()
    (entry,) = bundle["entry"]
    assert (entry["request"], entry["resource"]["status"]) == (
        {"method": "PUT", "url": task, "ifMatch": 'W/"1"'},
        "cancelled",
    )
    assert deliverer.server.current(task)["status"] == "cancelled"
    assert deliverer.acknowledged() == deliverer.owned()


def test_references_name_what_the_hospital_knows(deliverer):
    deliverer.go()

    (bundle,) = deliverer.server.transactions()
    named = {}

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                named[value["reference"]] = value
            for part in value.values():
                walk(part)
        if isinstance(value, list):
            for part in value:
                walk(part)

    for entry in bundle["entry"]:
        walk(entry["resource"])
        assert "versionId" not in entry["resource"].get("meta", {})
    assert not [reference for reference in named if "/_history/" in reference]
    patient = named["Patient/gmt-v03"]
    assert patient["identifier"]["value"] == "GMT-1003"
    own = {reference for reference in named if reference in deliverer.owned()}
    assert own
    assert not [reference for reference in own if "identifier" in named[reference]]


def test_what_has_an_id_of_ours_is_named_by_its_identifier_alone(database, visited):
    made_here = "made-here"
    # Has the form of ours, and is the hospital's: it put it here.
    of_theirs = "01890a5d-ac96-774b-bcce-b302099a8057"
    name = {"system": "urn:mrn", "value": "M-1"}
    bodies = [
        {"resourceType": "Practitioner", "id": made_here, "identifier": [name]},
        {"resourceType": "Practitioner", "id": "dr-1", "identifier": [name]},
        {"resourceType": "Practitioner", "id": of_theirs, "identifier": [name]},
        {"resourceType": "Practitioner", "id": "dr-2"},
    ]
    with database.transaction() as tx:
        for active in (True, False):
            writes = [
                Write(
                    type="Practitioner",
                    id=body["id"],
                    body={**body, "active": active},
                    posted=body["id"] == made_here and active,
                )
                for body in bodies
            ]
            seen = resources.look_up_or_lock(tx, writes, tenant=0)
            resources.save(tx, writes, tenant=0, now=NOW, sender="hospital", seen=seen)
    named = [
        {"reference": f"Practitioner/{made_here}", "display": "Berg"},
        {"reference": "Practitioner/dr-1/_history/4"},
        {"reference": f"Practitioner/{of_theirs}"},
        {"reference": "Practitioner/dr-2/_history/1"},
        {"reference": "Practitioner/nobody"},
        {"reference": "#contained"},
    ]

    with database.transaction() as tx:
        (sent,) = outgoing.prepared(tx, [{"resourceType": "Flag", "author": named}], tenant=0, server=SERVER)

    assert sent["author"] == [
        {"type": "Practitioner", "identifier": name, "display": "Berg"},
        {"reference": "Practitioner/dr-1", "identifier": name},
        {"reference": f"Practitioner/{of_theirs}", "identifier": name},
        {"reference": "Practitioner/dr-2"},
        {"reference": "Practitioner/nobody"},
        {"reference": "#contained"},
    ]


def test_what_a_conditional_update_made_is_named_by_its_identifier_alone(database, visited):
    person = {
        "resourceType": "Practitioner",
        "identifier": [{"system": "urn:mrn", "value": "M-7"}],
        "name": [{"family": "Berg"}],
    }
    request = {"method": "PUT", "url": "Practitioner?identifier=urn:mrn|M-7"}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": person, "request": request}],
    }
    (made,) = transaction.accept(database, bundle, sender="hospital").stored
    reference = f"{made.type}/{made.id}"

    with database.transaction() as tx:
        author = {"author": {"reference": reference}}
        (sent,) = outgoing.prepared(tx, [{"resourceType": "Flag", **author}], tenant=0, server=SERVER)

    assert sent["author"] == {"type": "Practitioner", "identifier": person["identifier"][0]}


def test_no_hospital_and_nothing_is_noted(database, visited):
    from sqlalchemy import text

    with database.transaction() as tx:
        for table in ("delivery", "dispatch", "delivered", "circuit"):
            assert tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


# --------------------------------------------------------------- bad answers

HTML = b"<html>down</html>"


@pytest.mark.parametrize(
    ("mood", "kind"),
    [
        pytest.param(answering(200, HTML), Kind.NOT_FHIR, id="a page of HTML"),
        pytest.param(answering(200, outcome("exception")), Kind.FAILED_INSIDE, id="200 with an outcome"),
        pytest.param(answering(302, Location="/elsewhere"), Kind.MOVED, id="redirect"),
        pytest.param(answering(401), Kind.UNAUTHENTICATED, id="401"),
        pytest.param(answering(403), Kind.FORBIDDEN, id="403"),
        pytest.param(answering(404, HTML), Kind.NOT_FOUND, id="404"),
        pytest.param(answering(410, HTML), Kind.GONE, id="410"),
        pytest.param(answering(400, outcome("invalid")), Kind.REFUSED, id="400"),
        pytest.param(answering(422, outcome("invalid")), Kind.REFUSED, id="422"),
        pytest.param(answering(429, Retry_After="30"), Kind.BUSY, id="429"),
        pytest.param(answering(500, HTML), Kind.SERVER_ERROR, id="500"),
        pytest.param(answering(503, HTML), Kind.SERVER_ERROR, id="503"),
        pytest.param(hospital_server.half, Kind.CUT_OFF, id="half a body"),
        pytest.param(answering(200, b" " * 10_000_000), Kind.TOO_LONG, id="10 MB"),
        pytest.param(hospital_server.doing_and_hanging_up, Kind.CUT_OFF, id="done, and nothing said"),
    ],
)
def test_a_bad_answer_loses_nothing_and_makes_nothing_twice(deliverer, mood, kind):
    deliverer.server.moods = [mood]

    assert deliverer.go()

    attempts, answer, pauses_, parked, _ = deliverer.state()
    assert (attempts, answer, pauses_ or parked) == (1, kind, True)
    assert deliverer.acknowledged() == {}

    if parked:
        with deliverer.database.transaction() as tx:
            assert deliveries.again(tx, "gmt-v03", tenant=0, server=deliverer.server.url)
    assert deliverer.at_once()

    assert deliverer.acknowledged() == deliverer.owned()
    assert {len(versions) for versions in deliverer.server.record.values()} == {1}
    assert deliverer.state() == (0, "taken", False, False, "")


def test_what_was_done_without_a_word_is_found_by_a_read_and_not_sent_again(deliverer):
    deliverer.server.moods = [hospital_server.doing_and_hanging_up]
    deliverer.go()
    sent = len(deliverer.server.transactions())

    assert deliverer.at_once()

    assert len(deliverer.server.transactions()) == sent == 1
    assert deliverer.acknowledged() == deliverer.owned()
    (first,) = deliverer.rows("dispatch", "answer, settled")
    assert tuple(first) == ("cut-off", True)


def test_what_changed_while_nobody_knew_is_sent_over_what_arrived(deliverer, change):
    deliverer.server.moods = [hospital_server.doing_and_hanging_up]
    deliverer.go()
    plan = next(reference for reference in deliverer.owned() if reference.startswith("CarePlan/"))
    change(plan, status="on-hold")

    assert deliverer.at_once()

    (_, bundle) = deliverer.server.transactions()
    assert [entry["request"]["url"] for entry in bundle["entry"]] == [plan]
    assert bundle["entry"][0]["request"]["ifMatch"] == 'W/"1"'
    assert [version["status"] for version in deliverer.server.record[plan]] == ["active", "on-hold"]


def test_the_process_may_be_killed_between_sending_and_recording(deliverer, database_url):
    program = textwrap.dedent(f"""
        import os, signal
        from service.hospital.connection import Connection
        from service.hospital.delivery import Delivery
        from service.hospital.settings import Hospital
        from service.store import ledger
        from service.store.database import Database
        ledger.answered = lambda *_, **more: os.kill(os.getpid(), signal.SIGKILL)
        connection = Connection(Hospital(url={deliverer.server.url!r}, rate=1000))
        delivery = Delivery(Database({database_url!r}), connection, chance=lambda: 0.0)
        delivery.find(0)
        delivery.one()
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert ended.returncode == KILLED
    # It arrived, and nobody here knows.
    assert set(deliverer.server.record) == set(deliverer.owned())
    assert deliverer.acknowledged() == {}
    assert not deliverer.go()
    (unconfirmed,) = deliverer.rows("dispatch", "answer, answered_at, settled")
    assert tuple(unconfirmed) == (None, None, False)

    assert deliverer.at_once()

    assert {len(versions) for versions in deliverer.server.record.values()} == {1}
    assert len(deliverer.server.transactions()) == 1
    assert deliverer.acknowledged() == deliverer.owned()
    assert [row.settled for row in deliverer.rows("dispatch", "settled")] == [True]


def test_what_has_no_answer_is_not_looked_for_while_the_server_may_be_at_work_on_it(deliverer):
    slow = Connection(Hospital(url=deliverer.server.url, rate=1000, settle_s=120))
    waiting = Delivery(deliverer.database, slow, chance=lambda: 0.0)
    deliverer.server.moods = [hospital_server.hanging_up]
    assert deliverer.go()
    deliverer.do("UPDATE delivery SET retry_at = NULL")
    asked = len(deliverer.server.asked)

    assert not waiting.one()

    assert len(deliverer.server.asked) == asked
    # It counts as no attempt, and when the time is over it is looked for and sent again.
    assert deliverer.state()[0] == 1
    deliverer.do("UPDATE dispatch SET sent_at = sent_at - interval '2 minutes'")
    assert waiting.one()
    assert deliverer.acknowledged() == deliverer.owned()
    slow.close()


def test_a_pause_is_no_shorter_than_the_server_may_be_at_work(deliverer):
    with Connection(Hospital(url=deliverer.server.url, rate=1000, settle_s=120)) as connection:
        delivery = Delivery(deliverer.database, connection, chance=lambda: 0.0)
        deliverer.server.moods = [hospital_server.hanging_up]
        delivery.find(0)
        assert delivery.one()

    (left,) = deliverer.rows("delivery", "extract(epoch FROM retry_at - clock_timestamp())::int AS s")
    assert 100 <= left.s <= 120


def test_what_a_fhir_server_says_it_failed_at_is_tried_again_soon(deliverer):
    with Connection(Hospital(url=deliverer.server.url, rate=1000, settle_s=120)) as connection:
        delivery = Delivery(deliverer.database, connection, chance=lambda: 0.0)
        deliverer.server.moods = [answering(500, outcome("exception"))]
        delivery.find(0)
        assert delivery.one()

    (left,) = deliverer.rows("delivery", "extract(epoch FROM retry_at - clock_timestamp())::int AS s")
    assert left.s < 10


@pytest.mark.parametrize("how", ["poll", "send"])
def test_a_bundle_that_arrives_after_it_was_looked_for_is_ours_and_is_written_over(deliverer, change, how):
    """It was taken for lost, a newer version was sent, and then the server stores the older one over it."""
    kept = []

    def later(asked):
        kept.append(asked.content)
        return hospital_server.hanging_up(asked)

    deliverer.server.moods = [later]
    assert deliverer.go()
    task = next(reference for reference in deliverer.owned() if reference.startswith("Task/"))
    change(task, status="on-hold")
    assert deliverer.at_once()
    assert deliverer.server.current(task)["status"] == "on-hold"

    deliverer.server.do("POST", "/fhir", kept[0])
    assert deliverer.server.current(task)["status"] == "requested"
    if how == "send":
        change(task, priority="urgent")
    else:
        assert deliverer.ask().taken
    assert deliverer.at_once()

    assert deliverer.server.current(task)["status"] == "on-hold"
    assert deliverer.acknowledged()[task] == deliverer.owned()[task]
    # Whoever sets it back by hand from now on is not taken for that Bundle.
    deliverer.server.put({**deliverer.server.current(task), "status": "requested"})
    change(task, description="anew")
    assert deliverer.at_once()
    assert deliverer.server.current(task)["status"] == "requested"


def test_a_process_that_dies_again_and_again_at_one_patient_ends(deliverer):
    deliverer.delivery.find(0)
    for _ in range(deliveries.MAX_LOST):
        with deliverer.database.transaction() as tx:
            assert deliveries.claim(tx, tenant=0, server=deliverer.server.url, lease_s=0)

    assert not deliverer.go()

    assert deliverer.state() == (5, "lost", False, True, "")


def test_only_one_process_at_a_time_sends_for_a_patient(deliverer):
    deliverer.delivery.find(0)
    with deliverer.database.transaction() as tx:
        first = deliveries.claim(tx, tenant=0, server=deliverer.server.url, lease_s=60)
        assert deliveries.claim(tx, tenant=0, server=deliverer.server.url, lease_s=60) is None
    assert first
    deliverer.do("UPDATE delivery SET lease_until = clock_timestamp()")
    with deliverer.database.transaction() as tx:
        assert deliveries.claim(tx, tenant=0, server=deliverer.server.url, lease_s=60)

    with pytest.raises(deliveries.LeaseLost), deliverer.database.transaction() as tx:
        deliveries.done(tx, first, types=outgoing.TYPES)


def test_what_is_written_while_something_is_sent_stays_pending(deliverer, change):
    plan = next(reference for reference in deliverer.owned() if reference.startswith("CarePlan/"))

    def changing(asked):
        change(plan, status="on-hold")
        deliverer.delivery.find(0)
        return hospital_server.WELL

    deliverer.server.moods = [changing]
    assert deliverer.go()
    assert [row.pending for row in deliverer.rows("delivery", "pending")] == [True]

    assert deliverer.delivery.one()
    assert deliverer.server.current(plan)["status"] == "on-hold"
    assert [row.pending for row in deliverer.rows("delivery", "pending")] == [False]


# --------------------------------------------------------------- pauses, the circuit, parking


def test_pauses_grow_have_an_end_and_are_spread():
    assert [pauses.again(n, lambda: 1.0) for n in (1, 2, 3)] == [5, 10, 20]
    assert [pauses.again(n, lambda: 0.0) for n in (1, 2, 3)] == [2.5, 5, 10]
    assert pauses.again(1000, lambda: 1.0) == pauses.LONGEST_S
    assert [pauses.server(n, lambda: 1.0) for n in (1, 2, 3, 4)] == [0, 0, 5, 10]
    assert pauses.server(1000, lambda: 1.0) == pauses.SERVER_LONGEST_S


def test_a_server_that_answers_badly_again_and_again_is_left_alone(deliverer):
    deliverer.server.mood = answering(500)
    for _ in range(pauses.ENOUGH):
        deliverer.do("UPDATE delivery SET retry_at = NULL")
        assert deliverer.go()
    asked = len(deliverer.server.asked)
    deliverer.do("UPDATE delivery SET retry_at = NULL")

    assert not deliverer.go()
    assert len(deliverer.server.asked) == asked
    (state,) = deliverer.rows("circuit", "purpose, failures, answer, open_until > clock_timestamp()")
    assert tuple(state) == ("deliver", 3, "server-error", True)

    deliverer.server.mood = None
    assert deliverer.at_once()
    (state,) = deliverer.rows("circuit", "failures, answer, open_until")
    assert tuple(state) == (0, "taken", None)


def test_a_server_that_asks_for_it_is_left_alone_at_once_for_as_long_as_it_says(deliverer):
    deliverer.server.moods = [answering(429, Retry_After="120")]
    deliverer.go()
    deliverer.do("UPDATE delivery SET retry_at = NULL")

    assert not deliverer.go()
    (left,) = deliverer.rows("circuit", "extract(epoch FROM open_until - clock_timestamp())::int AS s")
    assert 110 <= left.s <= 120


def test_an_outage_of_any_length_parks_nobody(deliverer):
    deliverer.server.mood = answering(503, HTML)
    for _ in range(pauses.ATTEMPTS + 3):
        assert deliverer.at_once()

    attempts, answer, pauses_, parked, _ = deliverer.state()
    assert (attempts, answer, pauses_, parked) == (pauses.ATTEMPTS + 3, "server-error", True, False)


def test_one_patient_whose_bundle_brings_the_server_down_is_parked_while_others_are_taken(deliverer):
    deliverer.server.mood = answering(500)
    assert deliverer.at_once()
    for _ in range(pauses.ATTEMPTS - 1):
        deliverer.do("UPDATE circuit SET succeeded_at = clock_timestamp()")
        assert deliverer.at_once()

    assert deliverer.state()[3] is True


def test_what_a_server_refuses_is_parked_and_something_new_is_tried(deliverer, change):
    said = outcome("processing", "HAPI-1094: Resource Patient/gmt-v03 not found, specified in path")
    deliverer.server.mood = answering(400, said)
    for _ in range(pauses.ATTEMPTS):
        assert deliverer.at_once()
    assert deliverer.state() == (8, "refused", False, True, "processing, HAPI-1094, Patient/gmt-v03")
    assert not deliverer.at_once()

    deliverer.server.mood = None
    change(next(r for r in deliverer.owned() if r.startswith("CarePlan/")), status="on-hold")

    assert deliverer.at_once()
    assert deliverer.state() == (0, "taken", False, False, "")
    assert deliverer.acknowledged() == deliverer.owned()


def test_whoever_has_failed_least_comes_first(deliverer):
    deliverer.delivery.find(0)
    deliverer.do(
        "INSERT INTO delivery (tenant, server, patient, pending, wanted, attempts) "
        "VALUES (0, :server, 'other', true, 1, 3)",
        server=deliverer.server.url,
    )

    with deliverer.database.transaction() as tx:
        claimed = [deliveries.claim(tx, tenant=0, server=deliverer.server.url, lease_s=9) for _ in range(2)]

    assert [claim.patient for claim in claimed] == ["gmt-v03", "other"]
