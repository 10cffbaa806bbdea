"""The operations page: what stands still since when, and who was given up is tried again (ui.md, 8)."""

import re
import threading
from datetime import datetime, timedelta
from pathlib import Path

import playing
import pytest
from fhir_visits import bundle, observation, patient, put, unusable, visit

from fhir_profiles import reading
from pathways import catalogue
from service import broker, clock
from service.app import create_app
from service.settings import Settings
from service.store import heartbeats, promises, schema, sendings, standings
from service.version import VERSION
from service.web.operations import ROWS
from worker.advance import advance

PATIENT = "gmt-1066"
STORIES = Path(__file__).parents[2] / "stories"
REASON = "EvaluationFailed: Pain Persists: a division by <zero>"


@pytest.fixture
def operator(record, broker_url, act):
    """A client of a service whose broker answers, with a person who acts."""
    client = create_app(Settings(broker_url=broker_url), record).test_client()
    act(client, "arslan")
    return client


def park(database, patient):
    with database.transaction() as tx:
        promises.want(tx, patient, tenant=0, due_at=clock.now(tx))
        claim = promises.claim(tx, tenant=0, patient=patient)
        assert promises.fail(tx, claim, REASON, max_attempts=1)


def standing(database, patient):
    with database.transaction() as tx:
        return standings.of_patient(tx, patient, tenant=0)


def last_seen(database, part, ago):
    with database.transaction() as tx:
        heartbeats.beat(tx, part)
        tx.exec_driver_sql(
            "UPDATE heartbeat SET seen_at = clock_timestamp() - %(ago)s WHERE process = %(part)s",
            {"ago": ago, "part": part},
        )


def figure(html, code):
    """Return the row of a figure: its value, its limit and its state, as words."""
    (row,) = re.findall(rf'<tr id="figure-{code}">(.*?)</tr>', html, re.DOTALL)
    cells = re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)
    return [re.sub(r"<svg.*?</svg>|<.*?>", " ", cell, flags=re.DOTALL).split() for cell in cells]


def states(html):
    return {
        code: re.search(r't-(\w+)">', row)[1]
        for code, row in re.findall(r'<tr id="figure-(\w+)">(.*?)</tr>', html, re.DOTALL)
    }


def test_where_everything_flows_each_part_is_in_order_and_nobody_is_given_up(operator, broker_url):
    page = operator.get("/operations").text

    parts = ("oldest", "undelivered", "messages", "sweep", "senders", "parked", "broker", "worker")
    assert list(states(page)) == list(parts)
    assert states(page) == dict.fromkeys(parts, "good")
    assert figure(page, "oldest")[:2] == [["nothing", "waits"], ["at", "most", "60", "s"]]
    # The broker is shared with other tests, which leave wake-ups that nobody takes.
    assert figure(page, "messages")[0] == [str(broker.backlog(Settings(broker_url=broker_url)))]
    assert "Nobody is given up." in page
    assert "Nothing is due now." in page
    assert "<form" not in page.split('id="main"')[1]


@pytest.mark.parametrize(
    ("part", "ago", "expected"),
    [
        pytest.param("sweep", 14, {}, id="a sweep within its limit"),
        pytest.param("sweep", 16, {"sweep": "danger"}, id="a silent sweep, seen by itself"),
        pytest.param("broker", 130, {"broker": "danger"}, id="a silent broker"),
        pytest.param("worker", 31, {"worker": "danger"}, id="a silent worker"),
    ],
)
def test_a_part_that_is_silent_beyond_its_limit_is_shown(operator, record, part, ago, expected):
    last_seen(record, part, timedelta(seconds=ago))

    page = operator.get("/operations").text

    assert {code: state for code, state in states(page).items() if state != "good"} == expected
    if expected:
        assert "since" in figure(page, part)[2]


def test_behind_a_silent_part_the_silence_of_the_next_says_nothing(operator, record):
    for part in ("sweep", "broker", "worker"):
        last_seen(record, part, timedelta(minutes=5))

    page = operator.get("/operations").text

    found = states(page)
    assert (found["sweep"], found["broker"], found["worker"]) == ("danger", "wait", "wait")
    assert figure(page, "worker")[0] == ["5", "min", "ago"]


def test_a_part_that_was_never_seen_is_not_said_to_be_well(operator, record):
    with record.transaction() as tx:
        tx.exec_driver_sql("DELETE FROM heartbeat")

    page = operator.get("/operations").text

    assert figure(page, "sweep")[0] == ["never", "seen"]
    assert states(page)["sweep"] == "danger"


def test_a_broker_that_cannot_be_reached_is_told(client, record):
    page = client.get("/operations").text

    assert figure(page, "messages")[0] == ["the", "broker", "cannot", "be", "reached"]
    assert states(page)["messages"] == "danger"


def test_who_is_due_stands_in_the_queue_with_how_far_it_is(operator, record):
    with record.transaction() as tx:
        now = clock.now(tx)
        promises.want(tx, "waits", tenant=0, due_at=now - timedelta(minutes=3))
        promises.want(tx, "later", tenant=0, due_at=now + timedelta(minutes=3))
        for patient in ("worked-on", "again"):
            promises.want(tx, patient, tenant=0, due_at=now)
            claim = promises.claim(tx, tenant=0, patient=patient)
        promises.fail(tx, claim, REASON)

    page = operator.get("/operations").text

    rows = dict(re.findall(r'<tr id="queued-([\w-]+)">(.*?)</tr>', page, re.DOTALL))
    assert list(rows) == ["waits", "again", "worked-on"]
    assert "waits for a worker" in rows["waits"]
    assert "being evaluated, attempt 1" in rows["worked-on"]
    assert "failed at attempt 1, tried again by itself" in rows["again"]
    assert "division by &lt;zero&gt;" in rows["again"]


def test_of_a_long_queue_those_are_shown_that_have_waited_longest(operator, record):
    with record.transaction() as tx:
        now = clock.now(tx)
        for number in range(ROWS + 2):
            promises.want(tx, f"p-{number}", tenant=0, due_at=now - timedelta(minutes=100 - number))

    page = operator.get("/operations").text

    assert re.findall(r'<tr id="queued-(p-\d+)">', page) == [f"p-{number}" for number in range(ROWS)]
    assert "how many wait is said above" in page
    assert f"{ROWS + 2} patients wait" in page


def test_who_is_given_up_is_listed_by_id_with_the_reason_and_the_plan(operator, record, story):
    """SP-05: a poison input is visible, with the patient it is about, and can be tried again."""
    plan = story(patient=PATIENT, family="Okoye").person().care_plan()
    plan.save(record)
    park(record, PATIENT)

    page = operator.get("/operations").text

    (row,) = re.findall(rf'<tr id="parked-{PATIENT}">.*?</tr>', page, re.DOTALL)
    assert f"/careplans/{plan.plan}" in row
    assert "division by &lt;zero&gt;" in row
    assert figure(page, "parked")[0] == ["1", "patient"]
    assert "OKOYE" not in page


def test_only_somebody_who_acts_has_a_patient_tried_again(client, record, form):
    park(record, PATIENT)

    page = client.get("/operations").text
    answer = client.post("/operations/retry", data={"patient": PATIENT})

    assert "<form" not in page.split('id="main"')[1]
    assert answer.status_code == 422
    assert standing(record, PATIENT).parked_at is not None


def test_a_form_that_is_not_ours_has_nobody_tried_again(operator, record):
    park(record, PATIENT)

    answer = operator.post("/operations/retry", data={"patient": PATIENT, "token": "made-up"})

    assert answer.status_code == 422
    assert standing(record, PATIENT).parked_at is not None


@pytest.mark.parametrize("patient", ["\0", "../x", "9" * 200])
def test_what_no_id_can_be_is_not_tried_again(operator, record, patient):
    park(record, PATIENT)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', operator.get("/operations").text))

    assert operator.post("/operations/retry", data={**fields, "patient": patient}).status_code == 404


def test_a_patient_that_is_tried_again_and_evaluated_is_said_to_be(operator, record, form):
    body = reading.write(visit("a"))
    assert operator.post("/fhir", data=body, content_type="application/fhir+json").status_code == 200
    with record.transaction() as tx:
        (patient,) = tx.exec_driver_sql("SELECT patient FROM arrival").scalars()
    park(record, patient)
    fields = form(operator.get("/operations").text.split('id="queue"')[0].split("<tbody")[-1], "retry")
    stop = threading.Event()

    def work():
        while not stop.is_set() and not advance(record, 0, patient):
            stop.wait(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        answer = operator.post(fields.action, data=fields.values)
    finally:
        stop.set()
        worker.join()

    page = operator.get(answer.headers["Location"]).text
    assert fields.values["patient"] == patient
    assert f"Patient {patient} is evaluated." in page
    assert "Nobody is given up." in page
    assert standing(record, patient).done_at is not None


def test_a_patient_that_fails_again_is_listed_again_and_asking_twice_asks_once(operator, record):
    park(record, PATIENT)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', operator.get("/operations").text))

    first = operator.post("/operations/retry", data={**fields, "patient": PATIENT})
    second = operator.post("/operations/retry", data={**fields, "patient": PATIENT})

    assert first.headers["Location"] == second.headers["Location"] == f"/operations?retried={PATIENT}"
    assert standing(record, PATIENT).arrivals == 2
    assert "is being tried again. Not confirmed yet" in operator.get(first.headers["Location"]).text
    with record.transaction() as tx:
        claim = promises.claim(tx, tenant=0, patient=PATIENT)
        promises.fail(tx, claim, REASON, max_attempts=1)
    page = operator.get(first.headers["Location"]).text
    assert f'Patient {PATIENT} still cannot be evaluated:</b> <span lang="en">EvaluationFailed' in page
    assert f'id="parked-{PATIENT}"' in page


def test_all_that_are_given_up_can_be_asked_for_at_once(operator, record, form):
    for number in range(3):
        park(record, f"gmt-{number}")
    fields = form(operator.get("/operations").text, "retry")

    answer = operator.post(fields.action, data=fields.values)

    page = operator.get(answer.headers["Location"]).text
    assert "3 patients were asked for again." in page
    assert "Nobody is given up." in page
    assert len(re.findall(r'<tr id="queued-gmt-\d"', page)) == 3


@pytest.mark.parametrize(
    "query",
    ["retried=nobody", "retried=%00", f"retried={'9' * 200}", "again=-1", "again=1e3", f"again={'9' * 50}"],
)
def test_an_outcome_that_is_asked_for_with_a_made_up_address_is_not_said(operator, query):
    page = operator.get(f"/operations?{query}")

    assert page.status_code == 200
    assert 'id="said"' not in page.text


def test_the_bar_about_patients_that_are_not_evaluated_leads_here(operator, record):
    park(record, PATIENT)

    assert "/operations#given-up" in operator.get("/").text
    assert "/operations#given-up" not in operator.get("/operations").text


def sent(database, sender, ago=timedelta(), **more):
    """Write down that somebody sent something a while ago; only the owner of the table can say so."""
    with database.transaction() as tx:
        row = {"interaction": "transaction", "status": 200, "entries": 1, **more}
        sendings.add(tx, tenant=0, sender=sender, **row)
        tx.exec_driver_sql(
            "UPDATE sending SET at = clock_timestamp() - %(ago)s WHERE key = (SELECT max(key) FROM sending)",
            {"ago": ago},
        )


@pytest.mark.parametrize(("hours", "silent"), [(71, False), (73, True)], ids=["within", "beyond"])
def test_a_sender_that_is_silent_beyond_its_limit_is_shown_with_since_when(
    operator, owner, record, hours, silent
):
    sent(owner, "urn:lab", timedelta(hours=hours))
    sent(owner, "urn:ris")

    page = operator.get("/operations").text

    assert figure(page, "senders")[0] == [str(int(silent)), "silent,", "2", "in", "all"]
    assert figure(page, "senders")[1] == ["at", "most", "3", "days"]
    assert ("since" in figure(page, "senders")[2]) == silent
    rows = re.findall(r'<span translate="no" class="path">(urn:\w+)</span>.*?</tr>', page, re.DOTALL)
    assert rows == ["urn:lab", "urn:ris"]
    assert ("silent for" in page) == silent


def test_the_limit_of_silence_is_a_setting_of_the_site(record, owner, broker_url):
    sent(owner, "urn:lab", timedelta(hours=3))
    settings = Settings(broker_url=broker_url, sender_silence_hours=2)

    page = create_app(settings, record).test_client().get("/operations").text

    assert states(page)["senders"] == "danger"


def test_work_is_counted_by_kind_what_was_given_up_first_and_tried_again_as_what_it_is(operator, record):
    with record.transaction() as tx:
        now = clock.now(tx)
        promises.want(tx, "due", tenant=0, due_at=now - timedelta(minutes=3))
        promises.want(tx, "later", tenant=0, due_at=now + timedelta(minutes=3))
        promises.want(tx, "at-work", tenant=0, due_at=now)
        assert promises.claim(tx, tenant=0, patient="at-work")
        for patient, attempts in (("again", 3), ("parked", 1)):
            promises.want(tx, patient, tenant=0, kind="deliver", due_at=now - timedelta(minutes=9))
            claim = promises.claim(tx, tenant=0, patient=patient, kind="deliver")
            promises.fail(tx, claim, REASON, max_attempts=attempts)

    page = operator.get("/operations").text

    rows = re.findall(r'<tr id="kind-(\w+)">(.*?)</tr>', page, re.DOTALL)
    cells = {kind: re.findall(r"<td.*?>(?:<span.*?</svg> )?(\d+)", row, re.DOTALL) for kind, row in rows}
    # given up, tried again, due, at work, later
    assert cells == {"deliver": ["1", "1", "1", "0", "0"], "advance": ["0", "0", "2", "1", "1"]}
    assert list(cells) == ["deliver", "advance"]
    row = re.search(r'<tr id="parked-parked-deliver">.*?</tr>', page, re.DOTALL)[0]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', row))
    assert operator.post("/operations/retry", data=fields).status_code == 303
    with record.transaction() as tx:
        asked = standings.of_patient(tx, "parked", tenant=0, kind="deliver")
    assert (asked.parked_at, asked.arrivals) == (None, 2)
    assert standing(record, "parked") is None


def test_the_versions_at_work_are_named(operator):
    page = operator.get("/operations").text.split('id="versions"')[1]

    (pathway,) = catalogue.pathways()
    assert {VERSION, schema.head(), pathway.canonical, pathway.elm_hash} <= set(re.split("[<> ]", page))


def bundle_rows(page):
    """Return of each row all entries; then those used, without effect, held, rejected and waiting."""
    rows = re.findall(r'<tr id="sending-\d+">(.*?)</tr>', page, re.DOTALL)
    return [list(map(int, re.findall(r'<td class="num[^>]*>(\d+)', row))) for row in rows]


def post(client, body):
    data = reading.write(body)
    return client.post("/fhir", data=data, content_type="application/fhir+json").status_code


def test_what_became_of_the_entries_of_each_bundle_adds_up_to_all(operator, record):
    assert post(operator, unusable("gmt-7")) == 200
    page = operator.get("/operations/bundles").text
    total = len(unusable("gmt-7")["entry"])
    assert bundle_rows(page) == [[total, 0, 2, 0, 0, total - 2]], "not evaluated yet"
    assert advance(record, 0, "gmt-7")
    body = bundle(put(observation("o", "Patient/gmt-7", status="maybe")), put(patient("gmt-7")))
    assert post(operator, body) == 422

    rows = bundle_rows(operator.get("/operations/bundles").text)

    assert rows[0] == [2, 0, 0, 0, 2, 0]
    assert rows[1] == [total, 0, 2, 7, 0, 0]
    assert all(sum(counts) == total for total, *counts in rows)


def test_what_a_step_rests_on_is_used_and_what_was_replaced_is_told_by_its_version(operator, record):
    steps = playing.read(STORIES / "V02.json")["steps"]
    first = [put(entry["resource"]) for entry in steps[0]["bundle"]["entry"]]
    with record.transaction() as tx:
        clock.set_(tx, datetime.fromisoformat(steps[0]["advanceTo"]), held=False)
    assert post(operator, bundle(*first)) == 200
    assert advance(record, 0, "gmt-v02")
    patient_again = first[0]["resource"] | {"telecom": [{"system": "phone", "value": "1"}]}
    assert post(operator, bundle(put(patient_again))) == 200
    assert advance(record, 0, "gmt-v02")

    rows = bundle_rows(operator.get("/operations/bundles").text)

    assert rows[0] == [1, 0, 1, 0, 0, 0]
    assert rows[1][0] == len(first)
    assert rows[1][1] >= 3
    assert sum(rows[1][1:]) == len(first)


def test_the_last_hundred_are_shown_page_by_page_and_summed_up(operator, owner):
    for number in range(105):
        sent(owner, "urn:lab", status=422 if number % 10 == 4 else 200, refused=int(number % 10 == 4))

    first, last, beyond = (operator.get(f"/operations/bundles?page={n}").text for n in (1, 5, 99))

    assert (len(bundle_rows(first)), len(bundle_rows(last))) == (20, 20)
    assert re.findall(r'id="sending-(\d+)"', last) == re.findall(r'id="sending-(\d+)"', beyond)
    page = operator.get("/operations").text
    assert "100 requests since" in page
    assert "In 10 of them something was refused." in page
    for query in ("page=0", "page=-1", "page=x", f"page={'9' * 50}"):
        assert len(bundle_rows(operator.get(f"/operations/bundles?{query}").text)) == 20


def test_no_name_of_a_patient_is_on_the_pages(operator, record):
    post(operator, unusable("gmt-7"))
    advance(record, 0, "gmt-7")

    for path in ("/operations", "/operations/bundles"):
        page = operator.get(path).text
        assert "ROSSI" not in page.upper()
    assert "gmt-7" in page
