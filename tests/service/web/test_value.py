"""A value of the site is changed on a page: what is shown before, what is written, and what follows."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import playing
import pytest
from fhir_visits import bundle, put
from sqlalchemy import text
from stored_play import StoredPlay

from fhir_profiles import gate, reading
from pathways import catalogue
from service import clock, site_values
from service.fhir import transaction
from service.settings import Settings
from service.store import decisions, parameters, promises, proposals, resources, standings
from worker import advance as advancing
from worker.advance import advance

NAME = "gluteus-medius-tear"
GRADE = "strength.markedMrcMax"
URGENT = "lookback.redFlag"
WEEKS = "weakPain.minTherapyWeeks"
STORIES = Path(__file__).parents[2] / "stories"


def page_of(name):
    return f"/pathways/{NAME}/values/{name}"


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def fields_of(page, change):
    for found in re.findall(r'<form method="post".*?</form>', page, re.DOTALL):
        if f'name="change" value="{change}"' in found:
            return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', found))
    raise LookupError(change)


@pytest.fixture(autouse=True)
def untouched(record, owner):
    """Values belong to the site and outlive its patients: each test begins at the defaults."""
    with owner.transaction() as tx:
        tx.execute(text("TRUNCATE site_parameter, site_proposal"))


@pytest.fixture
def press(client):
    """Press a button of the page of a value."""

    def press(name, change, value=None, reason="Agreed in the clinic"):
        page = client.get(page_of(name) + (f"?value={value}" if value else "")).text
        return client.post(page_of(name), data={**fields_of(page, change), "reason": reason})

    return press


@pytest.fixture
def history(record):
    def history():
        with record.transaction() as tx:
            return parameters.versions(tx, limit=10)

    return history


@pytest.fixture
def therapy(record):
    """Somebody after six weeks of therapy, at a site where imaging follows after twelve."""
    story = playing.read(STORIES / "V02.json")
    six_weeks = [step for step in story["steps"] if step["day"] <= 42]
    told = StoredPlay(database=record)
    told.tell({**story, "parameters": {WEEKS: 12}, "steps": six_weeks})
    assert told.memories["right"].stage == "conservative-therapy"
    return told


@pytest.fixture
def stage(record):
    def stage(of):
        with record.transaction() as tx:
            latest = decisions.latest(tx, of.patient, tenant=0)
        return latest[NAME, "right"].after["stage"]

    return stage


def test_every_value_of_the_pathway_has_a_page_that_leads_back(client, record):
    page = client.get(f"/pathways/{NAME}").text

    for name in catalogue.pathways()[0].parameters:
        assert f'href="{page_of(name)}"' in page
    said = plain(client.get(page_of(GRADE)).text)
    assert "3, as the pathway defines it." in said
    assert "Allowed: 2 to 4 grade." in said
    assert "Nobody has changed a value here." in said


def test_the_preview_says_who_would_move_and_stores_nothing(client, act, record, therapy, stage, history):
    act(client, "vogt")
    with record.transaction() as tx:
        before = tx.execute(text("SELECT (SELECT max(seq) FROM resource), count(*) FROM decision")).one()

    said = plain(client.get(page_of(WEEKS) + "?value=6").text)

    assert "One patient with a plan was evaluated as if" in said
    assert "For one of them something would be different" in said
    assert "Right hip Conservative therapy → Imaging" in said
    with record.transaction() as tx:
        after = tx.execute(text("SELECT (SELECT max(seq) FROM resource), count(*) FROM decision")).one()
    assert after == before
    assert len(history()) == 2, "the two of the story"


def test_what_was_shown_before_happens_after_the_change(client, act, record, therapy, press, stage, history):
    act(client, "vogt")

    answer = press(WEEKS, "save", "6", reason="The team reads the evidence so")

    assert answer.status_code == 303
    assert "One patient with a plan is evaluated again." in plain(client.get(answer.headers["Location"]).text)
    assert stage(therapy) == "conservative-therapy"
    assert advance(record, 0, therapy.patient)
    assert stage(therapy) == "imaging"
    assert dict(history()[0].values) == {}, "what the definition says is not chosen"


def test_no_step_is_taken_back_by_a_value(client, act, record, therapy, press, stage):
    """Decisions.md 27: a step rests on the values of its day, also when what it read is sent anew."""
    act(client, "vogt")
    press(WEEKS, "save", "6")
    advance(record, 0, therapy.patient)

    assert "For 0 of them" in plain(client.get(page_of(WEEKS) + "?value=12").text)
    assert press(WEEKS, "save", "12").status_code == 303
    assert advance(record, 0, therapy.patient)
    assert stage(therapy) == "imaging"

    last = next(step for step in playing.read(STORIES / "V02.json")["steps"] if step["day"] == 42)
    anew = [entry["resource"] | {"note": [{"text": "seen again"}]} for entry in last["bundle"]["entry"]]
    facts = [put(resource) for resource in anew if resource["resourceType"] == "Observation"]
    transaction.accept(record, reading.read(reading.write(bundle(*facts))), sender="hospital")
    assert advance(record, 0, therapy.patient)
    assert stage(therapy) == "imaging"


def test_an_evaluation_uses_one_version_or_the_other_and_keeps_which(
    client, act, record, therapy, press, stage
):
    act(client, "vogt")
    with record.transaction() as tx:
        promises.want(tx, therapy.patient, tenant=0, due_at=clock.now(tx), forced=True)
    with record.transaction() as tx:
        claim = promises.claim(tx, tenant=0, patient=therapy.patient)

    def evaluate(tx):
        tx.execute(text("SELECT 1 FROM site_parameter"))  # the snapshot is taken
        assert press(WEEKS, "save", "6").status_code == 303
        advancing._evaluate(tx, [claim])

    record.run(evaluate, isolation="REPEATABLE READ")

    assert stage(therapy) == "conservative-therapy", "it read the version before"
    with record.transaction() as tx:
        assert standings.of_patient(tx, therapy.patient, tenant=0).arrivals == 1, "and is not the last word"
    assert advance(record, 0, therapy.patient)
    assert stage(therapy) == "imaging"
    with record.transaction() as tx:
        rows = decisions.of_instance(tx, therapy.patient, NAME, "right", tenant=0)
    steps = {row.rule: row.basis["parameters"]["changed"] for row in rows}
    assert (steps["T03"], steps["T06"]) == ({WEEKS: 12}, {})


def test_who_changed_it_when_and_why_is_kept_and_shown(client, act, record, press, history):
    act(client, "vogt")
    press(GRADE, "save", "2", reason="Agreed on Monday")
    press(GRADE, "save", "3", reason="And back")

    page = client.get(page_of(GRADE)).text
    said = plain(page)
    assert "3 → 2 Dr Maren Vogt Agreed on Monday" in said
    assert "2 → 3 Dr Maren Vogt And back" in said
    assert said.index("And back") < said.index("Agreed on Monday")
    assert "3 → 2 Dr Maren Vogt Agreed on Monday" in plain(client.get(f"/pathways/{NAME}").text)
    assert "Agreed on Monday" not in client.get(page_of(WEEKS)).text
    first = history()[1]
    provenance = client.get(f"/fhir/Provenance/{site_values.provenance_id(first.number)}").get_json()
    assert not gate.check(provenance)
    assert provenance["agent"][0]["who"] == {"reference": "Practitioner/vogt", "display": "Dr Maren Vogt"}
    assert provenance["reason"] == [{"text": "Agreed on Monday"}]
    assert provenance["target"][0]["identifier"]["value"] == str(first.number)
    assert (first.who, first.confirmed, dict(first.values)) == ("Practitioner/vogt", "", {GRADE: 2})


@pytest.mark.parametrize(
    ("name", "value"),
    [(GRADE, "5"), (GRADE, "2.5"), (GRADE, "NaN"), (GRADE, "1e3"), (GRADE, "two"), ("site.timeZone", "Mars")],
)
def test_a_value_outside_its_range_is_refused(client, act, record, press, history, name, value):
    act(client, "vogt")
    allowed = "2" if name == GRADE else "Europe/Berlin"
    page = client.get(page_of(name) + f"?value={allowed}").text

    answer = client.post(page_of(name), data={**fields_of(page, "save"), "value": value, "reason": "x"})

    assert answer.status_code == 422
    assert "This is not allowed" in plain(client.get(page_of(name) + f"?value={value}").text)
    assert history() == []


def test_without_a_reason_a_person_or_a_token_nothing_is_written(client, act, record, press, history):
    assert (
        client.post(page_of(GRADE), data={"change": "save", "value": "2", "version": "0"}).status_code == 422
    )
    act(client, "vogt")
    assert press(GRADE, "save", "2", reason=" ").status_code == 422
    page = client.get(page_of(GRADE) + "?value=2").text
    forged = {**fields_of(page, "save"), "reason": "x", "token": "made up"}
    assert client.post(page_of(GRADE), data=forged).status_code == 422
    assert client.post(page_of("nothing"), data=fields_of(page, "save")).status_code == 404
    assert history() == []


def test_on_an_old_page_or_twice_it_is_refused(client, act, record, history):
    act(client, "vogt")
    pages = {name: client.get(page_of(name) + "?value=2").text for name in (GRADE, WEEKS)}
    forms = {name: {**fields_of(page, "save"), "reason": "x"} for name, page in pages.items()}

    answers = [client.post(page_of(name), data=forms[name]).status_code for name in (GRADE, GRADE, WEEKS)]

    assert answers == [303, 409, 409], "a change of another value is a later version as well"
    assert len(history()) == 1


def test_of_two_who_change_a_value_at_once_one_is_refused(app, act, record, history):
    clients, forms = [], []
    for person, value in (("vogt", "2"), ("arslan", "4")):
        clients.append(app.test_client())
        act(clients[-1], person)
        page = clients[-1].get(page_of(GRADE) + f"?value={value}").text
        forms.append({**fields_of(page, "save"), "reason": "x"})

    with ThreadPoolExecutor(2) as pool:
        pairs = zip(clients, forms, strict=True)
        answers = list(pool.map(lambda pair: pair[0].post(page_of(GRADE), data=pair[1]).status_code, pairs))

    assert sorted(answers) == [303, 409]
    assert len(history()) == 1


def test_what_may_harm_takes_two_people(client, act, record, press, history):
    act(client, "vogt")
    assert press(URGENT, "save", "20", reason="Long enough").status_code == 303
    assert history() == []
    said = plain(client.get(page_of(URGENT)).text)
    assert "20 is proposed and has no effect yet" in said
    with pytest.raises(LookupError):
        press(URGENT, "confirm")
    page = client.get(page_of(URGENT)).text
    posted = {**fields_of(page, "reject"), "change": "confirm"}
    assert client.post(page_of(URGENT), data=posted).status_code == 422

    act(client, "arslan")
    assert press(URGENT, "confirm").status_code == 303

    (version,) = history()
    assert (version.who, version.confirmed) == ("Practitioner/vogt", "Practitioner/arslan")
    assert dict(version.values) == {URGENT: 20}
    said = plain(client.get(page_of(URGENT)).text)
    assert "Dr Maren Vogt confirmed by Elif Arslan Long enough" in said
    with record.transaction() as tx:
        assert proposals.waiting(tx) == {}
        provenance = resources.current(tx, "Provenance", site_values.provenance_id(version.number), tenant=0)
    assert [agent["type"]["coding"][0]["code"] for agent in provenance.resource["agent"]] == [
        "author",
        "verifier",
    ]


def test_a_rejected_proposal_never_had_an_effect_and_makes_room_for_another(
    client, act, record, press, history
):
    act(client, "vogt")
    press(URGENT, "save", "20")
    with pytest.raises(LookupError):
        press(URGENT, "save", "25")
    act(client, "arslan")

    assert press(URGENT, "reject").status_code == 303

    assert history() == []
    assert press(URGENT, "save", "25").status_code == 303


def test_a_proposal_is_confirmed_as_it_is_seen_and_once(client, act, record, press, history):
    act(client, "vogt")
    press(URGENT, "save", "20")
    act(client, "arslan")
    confirm = fields_of(client.get(page_of(URGENT)).text, "confirm")
    press(GRADE, "save", "2")

    assert client.post(page_of(URGENT), data=confirm).status_code == 409, "another value changed since"
    assert press(URGENT, "confirm").status_code == 303
    assert client.post(page_of(URGENT), data=confirm).status_code == 409
    assert [dict(version.values) for version in history()] == [{GRADE: 2, URGENT: 20}, {GRADE: 2}]


def test_in_production_every_value_takes_two_people():
    (pathway,) = catalogue.pathways()
    sandbox = Settings()
    production = replace(sandbox, mode="production")

    assert all(site_values.takes_two(p, production) for p in pathway.parameters.values())
    assert {p.name for p in pathway.parameters.values() if site_values.takes_two(p, sandbox)} >= {
        URGENT,
        "lookback.mriSafety",
        "timer.divertAckEmergencyMinutes",
    }


def test_many_are_evaluated_again_one_after_another_so_that_new_data_are_not_behind_them(record):
    many = [f"p-{number:03}" for number in range(300)]
    with record.transaction() as tx:
        clock.unset(tx)
        now = clock.now(tx)
        promises.want_all(tx, many, tenant=0, now=now, per_s=50)
        waits = {who: standings.of_patient(tx, who, tenant=0).due_at for who in (many[0], many[-1])}

    assert waits[many[0]] == now
    assert 5.9 < (waits[many[-1]] - now).total_seconds() < 6


def test_a_preview_of_many_is_looked_at_part_by_part(client, act, record, story, monkeypatch):
    monkeypatch.setattr("service.web.routes.value.PART", 2)
    for number in range(3):
        story(patient=f"p-{number}").person().care_plan().save(record)

    first = client.get(page_of(GRADE) + "?value=2").text

    assert "This is part 1 of 2, of 3 patients in all." in plain(first)
    (link,) = (html.unescape(a) for a in re.findall(r'href="([^"]+)"', first) if "part=2" in a)
    second = plain(client.get(link).text)
    assert "One patient with a plan was evaluated" in second
    assert "This is part 2 of 2" in second
