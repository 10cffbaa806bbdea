"""A code is given a meaning on a page: what it shows, what it writes, and what follows."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlencode

import pytest
from fhir_visits import CODES, LOCAL, bundle, concept, observation, patient, put
from sqlalchemy import text

from fhir_profiles import reading
from service.fhir import retranslation, transaction
from service.store import leased, previews, resources
from worker import trying
from worker.advance import advance

OWN = CODES + "gluteus-medius-pathway"
PAIN = "http://loinc.org|72514-3"
TENDER = f"{OWN}|greater-trochanter-tenderness"
URGENT = f"{OWN}|red-flag-infection"
SIDE = f"{OWN}|hip-left"
WHO = "gmt-1018"
LEFT = {"coding": [{"system": OWN, "code": "hip-left"}]}

pytestmark = pytest.mark.usefixtures("impatient")


def page_of(code, element="code", **more):
    asked = {"type": "Observation", "element": element, "system": LOCAL, "code": code}
    return "/inbox/codes/mapping?" + urlencode({**asked, **more})


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def send(database, *entries, who=WHO, sender="hospital"):
    sent = bundle(put(patient(who, mrn=who, name=[{"family": "Rossi"}], birthDate="1961-04-02")), *entries)
    transaction.accept(database, reading.read(reading.write(sent)), sender=sender)
    advance(database, 0, who)


@pytest.fixture(autouse=True)
def no_maps(record):
    """ConceptMaps belong to the site and outlive its patients: each test begins without."""
    with record.transaction() as tx:
        for table in ("resource", "history"):
            tx.execute(text(f"DELETE FROM {table} WHERE type IN ('ConceptMap', 'Provenance')"))
        tx.execute(text("DELETE FROM retranslation"))


@pytest.fixture
def findings(record):
    """Somebody whose findings came in the codes of the hospital."""
    codes = (("tender", {"valueBoolean": True}), ("pain", {"valueInteger": 7}))
    send(
        record,
        *(
            put(observation(name, f"Patient/{WHO}", code=concept(name.upper()), bodySite=LEFT, **value))
            for name, value in codes
        ),
    )
    return record


def press(client, address, wanted, **chosen):
    """Post the form of a page that holds this."""
    page = client.get(address)
    assert page.status_code == 200
    for found in re.findall(r'<form[^>]*method="post".*?</form>', page.text, re.DOTALL):
        if wanted in found:
            action = html.unescape(re.search(r'action="([^"]*)"', found)[1])
            fields = dict(re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', found))
            return client.post(action, data={name: html.unescape(v) for name, v in fields.items()} | chosen)
    raise LookupError(wanted)


def try_all(database):
    """Do what a worker does."""
    with database.transaction() as tx:
        due = leased.due(tx, "preview", 10)
    for tenant, id_ in due:
        while trying.run(database, tenant, id_):
            pass


@pytest.fixture
def look(client, record):
    """Have it tried what a meaning, or its end, would do; return the address of the page that tells."""

    def look(code, element="code", meaning="", **more):
        chosen = {"meaning": meaning} if meaning else {"withdraw": "1"}
        wanted = '<select id="meaning"' if meaning else 'name="withdraw"'
        told = press(client, page_of(code, element, **more), wanted, **chosen)
        assert told.status_code == 303
        try_all(record)
        return told.location

    return look


@pytest.fixture
def save(client, look, record):
    """Press a button of the page of a code, after a look at what would follow."""

    def save(code, change, element="code", meaning="", withdraw=False, **more):
        address = page_of(code, element, **more)
        if meaning or withdraw:
            address = look(code, element, meaning, **more)
        try_all(record)
        return press(client, address, f'name="change" value="{change}"')

    return save


@pytest.fixture
def stored(record):
    def stored(id, type="Observation"):
        with record.transaction() as tx:
            return resources.current(tx, type, id, tenant=0)

    return stored


def test_the_page_says_how_a_code_is_used_and_presets_no_meaning(client, findings):
    send(
        findings, put(observation("other", "Patient/p2", code=concept("PAIN"))), who="p2", sender="other lab"
    )

    page = client.get(page_of("PAIN"))
    said = plain(page.text)

    assert "Nobody here has given this code a meaning." in said
    assert "hospital (1)" in said
    assert "other lab (1)" in said
    assert "Several senders use it." in said
    assert "7 (1)" in said
    assert " selected" not in page.text.split('id="meaning"')[1].split("</select>")[0]


def test_the_codes_without_a_meaning_lead_there(client, findings):
    page = client.get("/inbox/codes").text

    (link,) = (html.unescape(a) for a in re.findall(r'href="([^"]+)"', page) if "code=TENDER" in a)
    assert client.get(link).status_code == 200


def test_the_preview_says_who_would_move_and_stores_nothing(client, act, findings, look, stored):
    act(client, "vogt")
    before = stored("tender")

    said = plain(client.get(look("TENDER", meaning=TENDER)).text)

    assert "One patient with this code was evaluated as if" in said
    assert "For one of them something would be different" in said
    assert "ROSSI" in said
    assert re.search(r"Left hip no plan → \w+", said)
    assert stored("tender") == before
    assert stored("p", "ConceptMap") is None


def test_a_meaning_holds_at_once_for_what_is_stored(client, act, findings, save, stored):
    act(client, "vogt")

    assert save("TENDER", "save", meaning=TENDER).status_code == 303

    tender = stored("tender")
    assert tender.version == 2
    assert [c["code"] for c in tender.resource["code"]["coding"]] == [
        "TENDER",
        "greater-trochanter-tenderness",
    ]
    said = plain(client.get(page_of("TENDER")).text)
    assert "It is read as “Greater trochanter tenderness”" in said
    assert "Vogt" in said
    assert "read otherwise now: 1" in said
    assert advance(findings, 0, WHO)
    assert "ROSSI" in client.get("/?view=plans").text
    assert stored("pain").version == 1


def test_the_preview_is_what_then_happens(client, act, findings, look, save, stored):
    act(client, "vogt")
    said = plain(client.get(look("TENDER", meaning=TENDER)).text)
    (promised,) = re.findall(r"Left hip no plan → (.+?) (?:Opened|Pathway|The|[A-Z])", said)

    save("TENDER", "save", meaning=TENDER)
    advance(findings, 0, WHO)

    with findings.transaction() as tx:
        (plan,) = resources.of_patient(tx, WHO, types=["CarePlan"], owned=True, tenant=0)
    shown = next(e for e in plan.resource["extension"] if e["url"].endswith("pathway-stage"))
    assert shown["valueCoding"]["display"].startswith(promised)


def test_the_map_and_who_made_it_are_stored_as_versions(client, act, findings, save, stored):
    act(client, "vogt")
    save("TENDER", "save", meaning=TENDER)
    save("TENDER", "withdraw", withdraw=1)

    (link,) = re.findall(r'/fhir/(ConceptMap/[^/"]+)/_history', client.get(page_of("TENDER")).text)
    versions = client.get(f"/fhir/{link}/_history").get_json()["entry"]
    assert [entry["resource"]["status"] for entry in versions] == ["retired", "active"]
    said = client.get(f"/fhir/Provenance?target={link}").get_json()["entry"]
    assert {entry["resource"]["agent"][0]["who"]["reference"] for entry in said} == {"Practitioner/vogt"}
    assert len(said) == 2


def test_a_meaning_that_is_withdrawn_is_taken_back_after_a_look(client, act, findings, look, save, stored):
    act(client, "vogt")
    save("TENDER", "save", meaning=TENDER)
    advance(findings, 0, WHO)

    said = plain(client.get(look("TENDER")).text)
    assert "If the meaning is withdrawn" in said
    assert save("TENDER", "withdraw", withdraw=1).status_code == 303

    assert [c["code"] for c in stored("tender").resource["code"]["coding"]] == ["TENDER"]
    assert stored("tender").version == 3
    assert advance(findings, 0, WHO)


@pytest.mark.parametrize(
    ("element", "meaning"),
    [("code", URGENT), ("bodySite", SIDE), ("value", f"{OWN}|present")],
    ids=["an emergency", "a side", "an answer that an emergency has, too"],
)
def test_what_may_harm_takes_two_people(client, act, findings, save, stored, element, meaning):
    question = {"question": TENDER} if element == "value" else {}
    act(client, "vogt")
    assert save("TENDER", "save", element, meaning, **question).status_code == 303
    assert stored("tender").version == 1, "a proposal has no effect"
    assert "is proposed and has no effect yet" in plain(
        client.get(page_of("TENDER", element, **question)).text
    )

    with pytest.raises(LookupError):
        save("TENDER", "confirm", element, **question)

    act(client, "arslan")
    assert save("TENDER", "confirm", element, **question).status_code == 303
    assert "It is read as" in plain(client.get(page_of("TENDER", element, **question)).text)
    assert stored("tender").version == 2


def test_nobody_confirms_what_they_proposed_whatever_they_post(client, act, findings, save):
    act(client, "vogt")
    save("TENDER", "save", meaning=URGENT)
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', client.get(page_of("TENDER")).text))

    answer = client.post(page_of("TENDER"), data={**fields, "change": "confirm"})

    assert answer.status_code == 422
    assert "A second person confirms it" in answer.text


def test_a_rejected_proposal_never_had_an_effect(client, act, findings, save, stored):
    act(client, "vogt")
    save("TENDER", "save", meaning=URGENT)
    act(client, "arslan")

    assert save("TENDER", "reject").status_code == 303

    assert stored("tender").version == 1
    assert "Choose a meaning" in client.get(page_of("TENDER")).text


def test_pressed_twice_or_on_an_old_page_it_is_refused(client, act, findings, look, stored):
    act(client, "vogt")
    page = client.get(look("TENDER", meaning=TENDER)).text
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', page.split('method="post"')[-1]))

    answers = [client.post(page_of("TENDER"), data=fields).status_code for _ in range(2)]

    assert answers == [303, 409]
    assert stored("tender").version == 2


def test_without_anybody_or_without_a_token_nothing_is_written(client, act, findings, stored):
    data = {"change": "save", "meaning": TENDER, "version": "0"}
    assert client.post(page_of("TENDER"), data=data).status_code == 422
    act(client, "vogt")
    assert client.post(page_of("TENDER"), data=data).status_code == 422
    assert stored("tender").version == 1


@pytest.mark.parametrize("meaning", ["", "nonsense", "http://loinc.org|1-8"])
def test_a_meaning_that_no_pathway_reads_is_refused(client, act, findings, look, meaning):
    act(client, "vogt")
    page = client.get(look("TENDER", meaning=TENDER)).text
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', page.split('method="post"')[-1]))

    assert client.post(page_of("TENDER"), data={**fields, "meaning": meaning}).status_code == 422


@pytest.mark.parametrize("wrong", [{"system": ""}, {"code": ""}, {"element": "note"}, {"type": "Patient"}])
def test_an_address_that_names_no_code_is_not_found(client, wrong):
    asked = {"type": "Observation", "element": "code", "system": LOCAL, "code": "A", **wrong}

    assert client.get("/inbox/codes/mapping?" + urlencode(asked)).status_code == 404


def test_what_was_sent_as_a_map_is_named_and_stays_the_senders(client, record):
    sent = {
        "resourceType": "ConceptMap",
        "id": "theirs",
        "status": "active",
        "group": [
            {
                "source": LOCAL,
                "target": "http://loinc.org",
                "element": [
                    {
                        "code": "PAIN",
                        "target": [{"code": "72514-3", "display": "Pain", "equivalence": "equal"}],
                    }
                ],
            }
        ],
    }
    transaction.accept(record, reading.read(reading.write(bundle(put(sent)))), sender="hospital")

    said = plain(client.get(page_of("PAIN")).text)

    assert "A ConceptMap that was sent to /fhir translates it to “Pain”" in said


def test_no_one_writes_over_a_map_that_was_made_here(client, act, findings, save):
    act(client, "vogt")
    save("TENDER", "save", meaning=TENDER)
    (link,) = re.findall(r'/fhir/(ConceptMap/[^/"]+)/_history', client.get(page_of("TENDER")).text)
    body = client.get(f"/fhir/{link}").get_json()

    answer = client.put(
        f"/fhir/{link}", json={**body, "status": "retired"}, content_type="application/fhir+json"
    )

    assert answer.status_code == 403


def test_an_answer_that_was_not_understood_leads_to_its_meaning(client, act, record, save, stored):
    value = {"valueCodeableConcept": concept("POS")}
    tenderness = {"coding": [{"system": OWN, "code": "greater-trochanter-tenderness"}]}
    send(record, put(observation("answer", f"Patient/{WHO}", code=tenderness, bodySite=LEFT, **value)))
    (entry,) = re.findall(r'href="(/inbox/[0-9a-f-]{36})"', client.get("/inbox").text)
    (link,) = (
        html.unescape(a) for a in re.findall(r'href="([^"]+)"', client.get(entry).text) if "code=POS" in a
    )
    act(client, "vogt")
    question = {"question": TENDER}
    assert unquote(link) == unquote(page_of("POS", "value", **question))

    save("POS", "save", "value", f"{OWN}|present", **question)
    act(client, "arslan")
    save("POS", "confirm", "value", **question)

    assert stored("answer").version == 2
    assert advance(record, 0, WHO)
    assert entry not in client.get("/inbox").text


def test_the_rest_of_many_is_left_to_the_sweep(client, act, findings, save, stored, monkeypatch):
    monkeypatch.setattr("service.web.routes.mapping.WAIT_S", 0.0)
    monkeypatch.setattr(retranslation, "WINDOW", 1)
    act(client, "vogt")

    save("TENDER", "save", meaning=TENDER)

    assert "<progress" in client.get(page_of("TENDER")).text
    while findings.run(lambda tx: retranslation.step(tx, tenant=0)):
        pass
    assert "<progress" not in client.get(page_of("TENDER")).text
    assert stored("tender").version == 2


@pytest.mark.parametrize("urgent", [True, False])
def test_of_two_who_change_a_meaning_at_once_one_is_refused(app, act, findings, urgent):
    first = app.test_client()
    act(first, "vogt")
    clients = []
    for name in ("vogt", "arslan"):
        clients.append(app.test_client())
        act(clients[-1], name)
    target = URGENT if urgent else TENDER
    changes = ("reject", "confirm") if urgent else ("withdraw", "withdraw")

    def fields(client, address, change):
        try_all(findings)
        for found in re.findall(r'<form method="post".*?</form>', client.get(address).text, re.DOTALL):
            if f'name="change" value="{change}"' in found:
                pairs = re.findall(r'name="([^"]+)" value="([^"]*)"', found)
                return {name: html.unescape(value) for name, value in pairs}
        raise LookupError(change)

    address = press(first, page_of("TENDER"), '<select id="meaning"', meaning=target).location
    first.post(page_of("TENDER"), data=fields(first, address, "save"))
    asked = page_of("TENDER")
    if not urgent:
        asked = press(first, asked, 'name="withdraw"').location
    forms = [fields(client, asked, change) for client, change in zip(clients, changes, strict=True)]

    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(
            lambda pair: pair[0].post(asked, data=pair[1]).status_code, zip(clients, forms, strict=True)
        )

    assert sorted(answers) == [303, 409]


MANY = 30


@pytest.fixture
def many(record):
    """Many whose findings came in the codes of the hospital."""
    for n in range(MANY):
        code = concept("TENDER")
        found = observation(f"tender-{n}", f"Patient/many-{n}", code=code, bodySite=LEFT, valueBoolean=True)
        send(record, put(found), who=f"many-{n}")
    return record


def only(database):
    """Return the one preview there is."""
    with database.transaction() as tx:
        (found,) = previews.newest(tx, 2, tenant=0)
    return found


def test_all_who_have_the_code_are_tried_step_by_step_with_counts(client, act, many):
    act(client, "vogt")
    told = press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER).location

    begun = plain(client.get(told).text)
    assert f"0 of {MANY} patients were tried." in begun
    assert "It goes on when you leave this page" in begun
    assert "Save: it means" not in begun

    assert trying.run(many, 0, only(many).id, for_s=0, step_s=0)
    on_the_way = plain(client.get(told).text)
    assert f"1 of {MANY} patients were tried." in on_the_way
    assert "For one of them something would be different." in on_the_way
    refreshed = re.search(r'hx-get="([^"]*)"', client.get(told).text.split('id="preview"')[1])[1]
    part = client.get(html.unescape(refreshed)).text
    assert part.lstrip().startswith('<section class="card" id="preview"')
    assert f'<progress id="trying" max="100" value="{100 // MANY}">' in part

    try_all(many)
    ended = client.get(html.unescape(refreshed)).text
    assert f"{MANY} patients with this code were evaluated as if" in plain(ended)
    assert "hx-get" not in ended
    assert "Save: it means" in ended
    assert only(many).moved == MANY


def test_the_page_of_the_codes_leads_back_to_what_is_tried(client, act, many):
    act(client, "vogt")
    told = press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER).location

    page = client.get("/inbox/codes").text

    row = page.split('id="trying"')[1].split("</section>")[0]
    assert f"0 of {MANY} patients were tried." in plain(row)
    (link,) = (html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"]*)"', row))
    assert sorted(unquote(link).split("?")[1].split("&")) == sorted(unquote(told).split("?")[1].split("&"))


def test_it_can_be_ended_and_then_nothing_is_tried(client, act, many):
    act(client, "vogt")
    told = press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER).location
    running = only(many).id

    assert press(client, told, "mapping/preview/end").status_code == 303

    assert not trying.run(many, 0, running)
    page = plain(client.get(told).text)
    assert "What would follow is tried on every patient" in page
    assert "Save: it means" not in page


def test_whoever_asks_again_sees_what_was_tried_unless_it_is_to_be_tried_anew(client, act, findings, look):
    act(client, "vogt")
    told = look("TENDER", meaning=TENDER)
    new = observation("again", "Patient/p2", code=concept("TENDER"), bodySite=LEFT, valueBoolean=True)
    with findings.transaction() as tx:
        tx.execute(text("UPDATE preview SET seen_at = seen_at - interval '1 day'"))
    send(findings, put(new), who="p2")

    look("TENDER", meaning=TENDER)
    kept = only(findings)
    assert kept.total == 1
    assert "patients have had the code since then." in plain(client.get(told).text)

    press(client, told, 'name="again"')
    try_all(findings)
    assert (only(findings).total, only(findings).gone) == (2, 2)
    assert "since then" not in plain(client.get(told).text)


def test_a_proposal_keeps_what_was_tried_for_the_second_person_and_the_decision_ends_it(
    client, act, findings, save
):
    act(client, "vogt")
    save("TENDER", "save", meaning=URGENT)
    kept = only(findings)

    act(client, "arslan")
    assert "One patient with this code was evaluated" in plain(client.get(page_of("TENDER")).text)
    assert save("TENDER", "confirm").status_code == 303

    with findings.transaction() as tx:
        assert previews.find(tx, kept.id, tenant=0) is None
        assert tx.execute(text("SELECT count(*) FROM preview_effect")).scalar_one() == 0


def test_a_worker_that_was_at_it_when_somebody_decided_keeps_nothing(client, act, many):
    act(client, "vogt")
    press(client, page_of("TENDER"), '<select id="meaning"', meaning=TENDER)
    running = only(many).id
    with many.transaction() as tx:
        claim = leased.claim(tx, "preview", running, tenant=0)
        previews.decided(tx, (LOCAL, "TENDER"), tenant=0)

    with pytest.raises(leased.LeaseLost), many.transaction() as tx:
        previews.reached(tx, claim, gone=1)


def test_nothing_is_tried_without_a_form_of_ours(client, findings):
    address = page_of("TENDER").replace("/mapping?", "/mapping/preview?")

    assert client.post(address, data={"meaning": TENDER}).status_code == 422
    with findings.transaction() as tx:
        assert previews.newest(tx, 1, tenant=0) == []
