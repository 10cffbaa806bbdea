"""A code is given a meaning on a page: what it shows, what it writes, and what follows."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlencode

import pytest
from fhir_visits import LOCAL, bundle, concept, observation, put
from meanings import LEFT, OWN, SIDE, TENDER, URGENT, WHO, page_of, plain, press, send, try_all

from fhir_profiles import reading
from service.fhir import retranslation, transaction
from service.store import resources
from worker.advance import advance

pytestmark = pytest.mark.usefixtures("impatient", "no_maps")


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
