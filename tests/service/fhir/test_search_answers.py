"""What a search sends: also what was asked to be sent along; pages that hold still; true totals and links.

http://hl7.org/fhir/R4/search.html#include
http://hl7.org/fhir/R4/http.html#paging
"""

import re
from urllib.parse import quote, urlsplit

import pytest
import search_records
from fhir_visits import bundle, observation, patient, put

from fhir_profiles import gate
from service.store import canonicals, finding, resources
from service.store.resources import Write


@pytest.fixture(scope="module", autouse=True)
def _records(database):
    search_records.store(database)


def answered(client, query, **headers):
    answer = client.get(f"/fhir/{query}", headers=headers)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def ids(found, mode="match"):
    return [entry["resource"]["id"] for entry in found.get("entry", ()) if entry["search"]["mode"] == mode]


#: further and further from the patient
OF_PATIENTS = "&_include:iterate=Patient:organization&_include:iterate=Organization:partof"


@pytest.mark.parametrize(
    ("query", "matches", "along"),
    [
        ("Observation?code=1988-5&_include=Observation:subject", "ob9", "p2"),
        ("Observation?code=1988-5&_include=Observation:patient", "ob9", "p2"),
        ("Observation?_id=ob1&_include=Observation:performer", "ob1", "d1"),
        ("Observation?_id=ob1&_include=Observation:performer:Practitioner", "ob1", "d1"),
        ("Observation?_id=ob1&_include=Observation:performer:Patient", "ob1", ""),
        ("Observation?_id=ob1&_include=Observation:*", "ob1", "d1 e1 p1"),
        ("Observation?_id=ob8&_include=Observation:subject", "ob8", "g1"),
        ("Observation?_id=ob8&_include=Observation:patient", "ob8", ""),
        ("Observation?_id=ob6&_include=Observation:derived-from", "ob6", "ob1"),
        ("Observation?_id=ob1,ob6&_include=Observation:derived-from", "ob1 ob6", ""),
        (
            "Observation?_id=ob6&_include=Observation:derived-from&_include:iterate=Observation:performer",
            "ob6",
            "d1 ob1",
        ),
        (
            "Observation?_id=ob6&_include=Observation:derived-from&_include=Observation:performer",
            "ob6",
            "ob1",
        ),
        (
            f"Observation?_id=ob1&_include=Observation:patient{OF_PATIENTS}",
            "ob1",
            "o1 o2 p1",
        ),
        ("MedicationRequest?_id=m2&_include=MedicationRequest:medication", "m2", ""),
        ("Patient?_id=p2&_revinclude=Condition:patient", "p2", "c2"),
        ("Patient?_id=p2&_revinclude=Observation:subject", "p2", "ob3 ob5 ob9"),
        ("Patient?_id=p1&_revinclude=Appointment:actor", "p1", "a1"),
        ("Patient?_id=p1&_revinclude=Provenance:target", "p1", ""),
        ("ServiceRequest?_id=r1&_revinclude=Provenance:target&_revinclude=Task:focus", "r1", "pv1 t1"),
        ("Practitioner?_id=d1&_revinclude=Observation:performer", "d1", "ob1"),
        (
            "Practitioner?_id=d2&_revinclude=Patient:general-practitioner&_revinclude:iterate=Task:patient",
            "d2",
            "p2 t2",
        ),
        ("ServiceRequest?_id=r1&_revinclude:iterate=ServiceRequest:based-on", "r1", "r2"),
        ("Patient?_id=nobody&_revinclude=Observation:subject", "", ""),
    ],
)
def test_what_is_asked_to_be_sent_along_is_and_nothing_else(query, matches, along, client):
    found = answered(client, query)

    assert (ids(found), sorted(ids(found, "include"))) == (matches.split(), along.split())
    assert found["total"] == len(matches.split())
    assert gate.check(found) == ()


def pages(client, query):
    url = f"/fhir/{query}"
    while url:
        found = client.get(url).get_json()
        yield found
        links = {link["relation"]: link["url"] for link in found["link"]}
        after = urlsplit(links["next"]) if "next" in links else None
        url = f"{after.path}?{after.query}" if after else None


@pytest.mark.parametrize(
    ("order", "found"), [("-date", ["open", "closed", "begun"]), ("date", ["begun", "closed", "open"])]
)
def test_what_has_no_end_or_no_beginning_is_sorted_and_paged(order, found, client, send):
    """Most plans have a start and no end yet; sorted by -date they ended in an error."""
    periods = {
        "closed": {"start": "2026-01-05", "end": "2026-02-01"},
        "open": {"start": "2026-01-06"},
        "begun": {"end": "2026-01-07"},
    }
    plans = [
        {"resourceType": "CarePlan", "id": id_, "status": "active", "intent": "plan", "period": period}
        for id_, period in periods.items()
    ]
    of = {"subject": {"reference": "Patient/sorted"}}
    send(bundle(put(patient("sorted")), *(put({**plan, **of}) for plan in plans)))

    asked = f"CarePlan?patient=Patient/sorted&_sort={order}"
    assert ids(answered(client, asked)) == found
    assert [id_ for page in pages(client, f"{asked}&_count=1") for id_ in ids(page)] == found


@pytest.mark.parametrize(
    "order", ["birthdate", "-birthdate", "family", "-family", "gender,-birthdate", "-_id"]
)
def test_sorted_pages_hold_everything_once_in_the_same_order(order, client):
    whole = ids(answered(client, f"Patient?identifier=urn:mrn|&_sort={order}"))

    walked = [
        id_
        for page in pages(client, f"Patient?identifier=urn:mrn|&_sort={order}&_count=1")
        for id_ in ids(page)
    ]

    assert walked == whole
    assert sorted(whole) == ["p1", "p2", "p3", "p4"]


def test_a_page_begins_where_the_one_before_ended_although_its_last_resource_was_moved(client, send):
    for id_, born in (("s1", "1901"), ("s2", "1902"), ("s3", "1903"), ("s4", "1904")):
        assert (
            send(bundle(put(patient(id_, mrn=f"s-{id_}", birthDate=born, language="fr")))).status_code == 200
        )
    walk = pages(client, "Patient?_sort=birthdate&birthdate=lt1950&_count=2")
    first = next(walk)
    # What was shown last is now the oldest, and somebody older and somebody younger came.
    for id_, born in (("s2", "1900"), ("s0", "1899"), ("s5", "1905")):
        send(bundle(put(patient(id_, mrn=f"s-{id_}", birthDate=born, language="fr"))))

    rest = [id_ for page in walk for id_ in ids(page)]

    assert (ids(first), rest) == (["s1", "s2"], ["s3", "s4", "s5"])


def test_no_link_holds_a_value_that_was_not_asked_for(client):
    found = answered(client, "Patient?_sort=family,birthdate&_count=1")

    next_ = found["link"][1]["url"]
    assert "_sort=family,birthdate" in next_
    assert not any(word in next_.lower() for word in ("tour", "1988", "muller"))


def test_a_page_of_something_that_is_gone_is_refused(client):
    answer = client.get("/fhir/Patient?_sort=family&_page=999999.999999")

    assert answer.status_code == 400
    assert "first page" in answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("Observation?code=718-7", 4),
        ("Observation?code=718-7&_total=accurate", 4),
        ("Observation?code=718-7&_total=none", None),
        ("Observation?code=718-7&_summary=count", 4),
    ],
)
def test_a_total_is_exact_or_not_there(query, total, client):
    assert answered(client, query).get("total") == total


def test_more_than_is_quickly_counted_has_a_total_only_where_it_is_asked_for(client, monkeypatch):
    monkeypatch.setattr(finding, "COUNTED", 3)

    assert "total" not in answered(client, "Observation?code=718-7&_count=1")
    assert answered(client, "Observation?code=718-7&_count=1&_total=accurate")["total"] == 4
    assert answered(client, "Observation?code=718-7&status=final&_count=1")["total"] == 2
    # A page that holds them all has counted them.
    assert answered(client, "Observation?code=718-7")["total"] == 4


def test_the_self_link_says_what_was_applied(client):
    asked = "code=718-7&colour=red&_include=Observation:patient&_sort=date,colour&_total=none&_count=1"
    query = f"Observation?{asked}"

    found = answered(client, query, Prefer="handling=lenient")

    assert found["link"][0]["url"] == (
        "http://127.0.0.1:8000/fhir/Observation?code=718-7&_include=Observation:patient&_sort=date&_total=none"
        "&_count=1"
    )
    assert client.get(f"/fhir/{query}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "Patient?birthdate=xx2000",
        "Patient?birthdate=2000-13",
        "Observation?value-quantity=many",
        "Observation?value-quantity=1|2",
        "Observation?value-quantity=1e9999",
        "RiskAssessment?probability=1|a|b",
        "Observation?code=a|b|c",
        "Observation?code=|",
        "Observation?code=a,,b",
        "Observation?code=a\\b",
        "Observation?code-value-quantity=718-7",
        "Observation?subject=Medication/a",
        "Observation?subject:Medication=a",
        "Observation?subject:Patient.colour=red",
        "Observation?status.name=a",
        "Observation?patient.general-practitioner.organization.partof.partof.partof.name=a",
        "Patient?_has:Observation:code=1",
        "Patient?_has:Observation:encounter:code=1",
        "Patient?gender:missing=perhaps",
        "Patient?family=",
        "Patient?family=%CC%81",
        "Patient?_sort=colour",
        "Patient?_sort=a,b,c,d",
        "Patient?_sort=family,given,name,birthdate",
        "Patient?_total=roughly",
        "Patient?_page=x",
        "Patient?_include=Observation:subject",
        "Patient?_include=Patient",
        "Patient?near=1|2",
        "Location?near=1",
        "Location?near=a|b",
        "Location?near=90.1|0",
        "Location?near=0|180.1",
        "Location?near=1|2|x",
        "Location?near=1|2|-1",
        "Location?near=1|2|3|parsec",
        "Location?near=1|2|3|km|4",
        "Location?near:exact=1|2",
        "Location?_sort=near",
        "Patient?phonetic=a",
        "Patient?_content=a",
        "Binary?_text=a",
        "Patient?_text=...",
        "Patient?_text=(a",
        "Patient?_text=a)",
        "Patient?_text=a%20or",
        "Patient?_text=not",
        'Patient?_text="a',
        f"Patient?_text={'(' * 11}a{')' * 11}",
        f"Patient?_text={'%20'.join('a' * 51)}",
        "Patient?_text:missing=true",
        "Patient?_sort=_text",
        "Patient?_filter=a",
    ],
)
def test_what_cannot_be_read_is_refused(query, client):
    answer = client.get(f"/fhir/{query}")

    assert answer.status_code == 400, answer.get_json()
    assert answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("Observation?code:in=http://example.org/codes/nowhere", "not-found", "not known here"),
        ("Observation?code:in=http://example.org/codes/laboratory|4", "not-found", "not known here"),
        ("Observation?code:in=CodeSystem/icd", "not-found", "not known here"),
        ("Observation?code:not-in=ValueSet/nobody", "not-found", "not known here"),
        ("Observation?code:in=ValueSet/laboratory,ValueSet/nobody", "not-found", "not known here"),
        (
            "Condition?code:in=https://w3id.org/hipway/ValueSet/alternative-diagnosis|2",
            "not-found",
            "not known here",
        ),
        ("Observation?code:in=ValueSet/filtered", "not-supported", "filters"),
        ("Observation?code:in=ValueSet/partial", "not-supported", "a part of it"),
        ("Observation?code:in=ValueSet/v1", "not-supported", "neither"),
        ("Observation?code:in=ValueSet/whole-loinc", "not-supported", "content complete"),
        ("Observation?code:in=http://example.org/codes/round", "not-supported", "made of itself"),
        ("Observation?code:in=ValueSet/round", "not-supported", "made of itself"),
        ("Patient?identifier:in=ValueSet/laboratory", "value", "no codes of a system"),
        ("Patient?active:below=urn:icd|M", "value", "no codes of a system"),
        ("Patient?address-use:in=ValueSet/plain-codes", "value", "not known here"),
        ("DocumentReference?contenttype:not-in=ValueSet/plain-codes", "value", "not known here"),
        ("CodeSystem?code:below=urn:icd|M", "value", "not known here"),
        ("Condition?code:below=CodeSystem/icd|M", "value", "by its URL"),
        ("Condition?code:above=urn:icd%5C|1|M", "value", "by its URL"),
        ("Condition?code:below=M76", "value", "system|code"),
        ("Condition?code:below=urn:icd|", "value", "system|code"),
        ("Condition?code:below=urn:icd|Z99", "code-invalid", "no such code"),
        ("Condition?code:above=urn:fragment|a", "not-supported", "content complete"),
        ("Condition?code:above=http://snomed.info/sct|1", "not-supported", "content complete"),
        ("Condition?code:below=urn:part|a", "not-supported", "does not mean"),
    ],
)
def test_codes_that_cannot_be_told_here_are_refused_and_not_found_empty(query, code, says, client):
    """http://hl7.org/fhir/R4/search.html#token: what is in a set only a terminology service knows."""
    answer = client.get(f"/fhir/{query}")

    (issue,) = answer.get_json()["issue"]
    assert (answer.status_code, issue["code"]) == (400, code)
    assert says in issue["diagnostics"]


@pytest.mark.parametrize("latitude", [f"0.{'0' * 30}1e-300", f"-0.{'0' * 50}1e-300", f"0.{'1' * 60}"])
def test_a_place_of_any_precision_is_near_to_another_and_ends_no_search(latitude, client):
    body = f'{{"resourceType":"Location","id":"exact","position":{{"latitude":{latitude},"longitude":0}}}}'
    answer = client.put("/fhir/Location/exact", data=body, content_type="application/fhir+json")
    assert answer.status_code in (200, 201), answer.get_json()

    assert ids(answered(client, "Location?near=0|0")) == ["exact"]
    assert client.delete("/fhir/Location/exact").status_code == 204


def test_a_set_has_at_most_so_many_codes_and_so_has_what_is_below_a_code(client, monkeypatch):
    queries = ("Observation?code:in=ValueSet/both", "Condition?code:below=urn:icd|M")
    assert [client.get(f"/fhir/{query}").status_code for query in queries] == [200, 200]
    monkeypatch.setattr("service.fhir.terminology.MOST", 2)

    answers = [client.get(f"/fhir/{query}") for query in queries]

    assert [answer.get_json()["issue"][0]["code"] for answer in answers] == ["too-costly"] * 2


def test_a_search_knows_so_many_sets_and_looks_each_up_once(client, monkeypatch):
    looked_up = []
    find = canonicals.find

    def watched(tx, type_, url, **more):
        looked_up.append(url)
        return find(tx, type_, url, **more)

    monkeypatch.setattr(canonicals, "find", watched)
    query = "Provenance?target:Observation.code:in=http://example.org/codes/both&target:Condition.code:in="
    assert client.get(f"/fhir/{query}http://example.org/codes/both").status_code == 200
    assert sorted(looked_up) == [
        f"http://example.org/codes/{each}" for each in ("both", "laboratory", "pressure")
    ]

    monkeypatch.setattr("service.fhir.terminology.MOST_SETS", 2)
    answer = client.get("/fhir/Observation?code:in=http://example.org/codes/both")
    assert (answer.status_code, answer.get_json()["issue"][0]["code"]) == (400, "too-costly")


def test_of_several_value_sets_of_one_url_the_one_received_last_is_meant(client):
    url = "http://example.org/codes/renewed"
    for version, code in (("1", "718-7"), ("2", "1988-5")):
        compose = {"include": [{"system": "http://loinc.org", "concept": [{"code": code}]}]}
        body = {"resourceType": "ValueSet", "id": f"renewed-{version}", "url": url, "version": version}
        answer = client.put(
            f"/fhir/ValueSet/renewed-{version}", json={**body, "status": "active", "compose": compose}
        )
        assert answer.status_code == 201

    assert ids(answered(client, f"Observation?code:in={url}")) == ["ob9"]
    assert len(ids(answered(client, f"Observation?code:in={url}|1"))) == 4
    assert client.delete("/fhir/ValueSet/renewed-2").status_code in (200, 204)
    assert len(ids(answered(client, f"Observation?code:in={url}"))) == 4


def define(client, type_, id_, **content):
    """Store a definition whose URL is `urn:` and its id, unless another is given."""
    body = {"resourceType": type_, "id": id_, "url": f"urn:{id_}", "status": "active", **content}
    answer = client.put(f"/fhir/{type_}/{id_}", json=body)
    assert answer.status_code in (200, 201), answer.get_json()


def test_a_set_has_the_codes_of_the_version_of_a_system_that_it_names(client):
    for edition, codes in (("2024", "b"), ("2025", "bc")):
        concepts = [{"code": code} for code in codes]
        more = {"url": "urn:edition", "version": edition, "content": "complete", "concept": concepts}
        define(client, "CodeSystem", f"edition-{edition}", **more)
    for code in "bc":
        body = {
            "resourceType": "Basic",
            "id": f"of-{code}",
            "code": {"coding": [{"system": "urn:edition", "code": code}]},
        }
        assert client.put(f"/fhir/Basic/of-{code}", json=body).status_code == 201
    found = {}
    for name, version in (("any", {}), ("old", {"version": "2024"}), ("none", {"version": "2026"})):
        include = [{"system": "urn:edition", **version}]
        define(client, "ValueSet", name, compose={"include": include})
        define(
            client,
            "ValueSet",
            f"but-{name}",
            compose={"include": [{"system": "urn:edition"}], "exclude": include},
        )
        found[name] = [client.get(f"/fhir/Basic?code:in=ValueSet/{each}") for each in (name, f"but-{name}")]

    assert [sorted(ids(answer.get_json())) for answer in found["any"]] == [["of-b", "of-c"], []]
    assert [sorted(ids(answer.get_json())) for answer in found["old"]] == [["of-b"], ["of-c"]]
    for answer in found["none"]:
        assert answer.status_code == 400
        assert "the version that is named" in answer.get_json()["issue"][0]["diagnostics"]


HEMOGLOBIN = {"system": "http://loinc.org", "code": "718-7"}
LISTED = {"include": [{"system": "http://loinc.org", "concept": [{"code": "718-7"}]}]}


@pytest.mark.parametrize("name", ["toocostly", "unclosed"])
def test_an_expansion_that_is_said_to_be_a_part_is_refused(name, client):
    url = f"http://hl7.org/fhir/StructureDefinition/valueset-{name}"

    def answer(*, marked):
        extension = [{"url": url, "valueBoolean": marked}]
        expansion = {"timestamp": "2026-01-01", "contains": [HEMOGLOBIN], "extension": extension}
        define(client, "ValueSet", "marked", expansion=expansion)
        return client.get("/fhir/Observation?code:in=ValueSet/marked")

    assert len(ids(answer(marked=False).get_json())) == 4
    refused = answer(marked=True)
    assert refused.status_code == 400
    assert "a part of it" in refused.get_json()["issue"][0]["diagnostics"]


def test_a_set_without_its_inactive_codes_is_known_by_its_expansion_alone(client):
    def answer(**content):
        define(client, "ValueSet", "active", **content)
        return client.get("/fhir/Observation?code:in=ValueSet/active")

    assert len(ids(answer(compose={**LISTED, "inactive": True}).get_json())) == 4
    refused = answer(compose={**LISTED, "inactive": False})
    assert refused.status_code == 400
    assert "inactive" in refused.get_json()["issue"][0]["diagnostics"]
    nothing = {"timestamp": "2026-01-01", "total": 0}
    assert ids(answer(compose={**LISTED, "inactive": False}, expansion=nothing).get_json()) == []


def test_a_hierarchy_whose_meaning_is_unsaid_is_not_taken_for_kinds(client):
    nested = [{"code": "hip", "concept": [{"code": "head"}]}]
    query = "/fhir/Condition?code:below=urn:parts|hip"

    define(client, "CodeSystem", "parts", content="complete", concept=nested)
    refused = client.get(query)
    assert (refused.status_code, refused.get_json()["issue"][0]["code"]) == (400, "not-supported")
    assert "hierarchyMeaning" in refused.get_json()["issue"][0]["diagnostics"]
    define(client, "CodeSystem", "parts", content="complete", concept=nested, hierarchyMeaning="is-a")
    assert client.get(query).status_code == 200
    define(client, "CodeSystem", "parts", content="complete", concept=[{"code": "hip"}])
    assert client.get(query).status_code == 200


def test_a_set_of_a_system_that_is_named_by_its_place_is_refused(client):
    define(client, "ValueSet", "placed", compose={"include": [{"system": "CodeSystem/icd"}]})

    answer = client.get("/fhir/Condition?code:in=ValueSet/placed")

    assert (answer.status_code, answer.get_json()["issue"][0]["code"]) == (400, "not-supported")


def test_a_search_within_a_bundle_knows_the_same_sets(client):
    get = {"request": {"method": "GET", "url": "Observation?code:in=ValueSet/laboratory"}}

    answer = client.post("/fhir", json={"resourceType": "Bundle", "type": "batch", "entry": [get]})

    assert answer.get_json()["entry"][0]["resource"]["total"] == 4


def test_words_are_those_of_the_current_narrative(client):
    def put_with(words):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'
        told = {"text": {"status": "generated", "div": div}} if words else {}
        body = {"resourceType": "Basic", "id": "told", "code": {"text": "x"}, **told}
        assert client.put("/fhir/Basic/told", json=body).status_code in (200, 201)

    def found(word):
        return ids(answered(client, f"Basic?_text={word}"))

    put_with("<p>first</p>")
    assert (found("first"), found("second")) == (["told"], [])
    put_with("<p>second</p>")
    assert (found("first"), found("second")) == ([], ["told"])
    put_with("")
    assert (found("first"), found("second")) == ([], [])
    put_with("second")
    assert found("second") == ["told"]
    assert client.delete("/fhir/Basic/told").status_code == 204
    assert found("second") == []


def test_a_criterion_has_so_many_words_however_long(client):
    longest = ["\U00020000" * 499 + chr(0x20000 + n) for n in range(501)]

    def asked(words):
        return client.post("/fhir/Basic/_search", data={"_text": ",".join(words)})

    assert asked(longest[:500]).status_code == 200
    assert asked(longest).status_code == 400
    assert asked([" ".join("a" * 50)] * 11).status_code == 400


@pytest.mark.parametrize(
    ("words", "found", "not_found"),
    [
        ("HbA<sub>1c</sub> 7", "hba1c", "1c"),
        ("<b>T</b>endon <span class='x'>te</span>ar", '"tendon tear"', "endon"),
        ("glu&#173;teus&#xad;", "gluteus", "teus"),
        ("gluteus", "glu\xadteus", "glu"),
        ("<p>left</p><p>right</p>one<br/>two", '"left right one two"', "leftright"),
        ("<blockquote>a</blockquote>b<abbr>c</abbr>", '"a b c"', "ab"),
    ],
)
def test_a_word_is_what_is_shown_as_one(words, found, not_found, client):
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'
    body = {"resourceType": "Basic", "id": "shown", "code": {"text": "x"}}
    answer = client.put("/fhir/Basic/shown", json={**body, "text": {"status": "generated", "div": div}})
    assert answer.status_code in (200, 201), answer.get_json()

    assert ids(answered(client, f"Basic?_text={quote(found)}")) == ["shown"]
    assert ids(answered(client, f"Basic?_text={quote(not_found)}")) == []


@pytest.mark.parametrize(
    "words",
    [
        "<" * 200_000,
        "a " * 60_000,
        "x" * 200_000,
        "".join(f"w{n} " for n in range(30_000)),
        "&#39; \\ ' a",
        "".join(f"{chr(0x3316) * 8}{n:x} " for n in range(10_000)),
        "".join(f"{chr(0x20000 + n)} " for n in range(40_000)),
    ],
    ids=["no tags", "one word", "a long word", "many words", "marks", "words that grow", "rare characters"],
)
def test_a_narrative_of_any_kind_is_stored_and_bounded(words, database):
    """A tsvector holds 1 MiB, and a word 2 KiB: what is more must not keep a resource from being stored."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'
    body = {"resourceType": "Basic", "id": "large", "code": {"text": "x"}, "text": {"div": div}}

    with database.transaction() as tx:
        resources.save(tx, [Write(type="Basic", id="large", body=body)], tenant=0, now=search_records.NOW)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Patient/p1/Organization", 404),
        ("Patient/p1/Bundle", 404),
        ("Patient/p1/_history", 200),
        ("Patient/nobody/Observation", 200),
        ("Practitioner/d1/Observation", 404),
    ],
)
def test_only_what_belongs_to_a_patient_has_a_compartment(path, status, client):
    assert client.get(f"/fhir/{path}").status_code == status


def test_a_compartment_is_paged_within_itself(client):
    found = answered(client, "Patient/p1/Observation?_count=1")

    assert found["link"][1]["url"].startswith(
        "http://127.0.0.1:8000/fhir/Patient/p1/Observation?_count=1&_page="
    )


def test_links_are_addresses_that_every_client_takes(client):
    found = answered(client, "Observation?code:not=http://loinc.org|1&_count=1")

    assert {link["relation"] for link in found["link"]} == {"self", "next"}
    assert all(re.fullmatch(r"[\w:/?&=%.,-]+", link["url"], re.ASCII) for link in found["link"])


def test_a_compartment_is_searched_by_form_as_well(client):
    path = "Patient/p1/Observation"

    found = client.post(f"/fhir/{path}/_search", data={"_count": "1"}).get_json()

    assert ids(found) == ids(answered(client, f"{path}?_count=1")) != []


def test_what_another_server_knows_of_counting_is_passed_over(client):
    found = answered(client, "Observation?_count=0&_totalMethod=count")

    assert found["total"] == answered(client, "Observation")["total"]
    assert found["link"][0]["url"].endswith("Observation?_count=0")


def test_a_search_by_form_takes_the_same_parameters(client):
    form = {
        "subject:Patient.family": "mü",
        "_include": "Observation:patient",
        "_sort": "-date",
        "_count": "1",
    }

    found = client.post("/fhir/Observation/_search", data=form).get_json()

    assert (ids(found), ids(found, "include"), found["total"]) == (["ob5"], ["p2"], 6)


def test_what_is_sent_along_is_bounded(client, send, monkeypatch):
    monkeypatch.setattr("service.fhir.criteria.including.MOST", 2)

    answer = client.get("/fhir/Patient?_id=p2&_revinclude=Observation:subject")

    assert answer.status_code == 413
    assert "_count" in answer.get_json()["issue"][0]["diagnostics"]


def test_a_removed_resource_is_neither_found_nor_sent_along(client, send):
    send(bundle(put(patient("gone", mrn="gone")), put(observation("of-gone", "Patient/gone"))))
    assert ids(answered(client, "Patient?_has:Observation:patient:_id=of-gone")) == ["gone"]
    assert client.delete("/fhir/Observation/of-gone").status_code in (200, 204)

    assert ids(answered(client, "Patient?_has:Observation:patient:_id=of-gone")) == []
    assert ids(answered(client, "Patient?_id=gone&_revinclude=Observation:patient"), "include") == []


@pytest.mark.parametrize(
    "query",
    [
        "Provenance?target.subject._id=x",
        "Provenance?target.based-on.based-on.based-on._id=x",
        "Provenance?target._has:Provenance:target:target._id=x",
        # Together they are more than each alone.
        "Provenance?target._id=x&target._id=y",
    ],
)
def test_a_chain_over_all_types_is_refused_with_what_to_say_instead(query, client):
    answer = client.get(f"/fhir/{query}")

    assert answer.status_code == 400
    (issue,) = answer.get_json()["issue"]
    assert issue["code"] == "too-costly"
    assert ":Patient." in issue["diagnostics"]


@pytest.mark.parametrize(
    "query",
    [
        "Provenance?target._id=x",
        "Provenance?target:Task.focus:ServiceRequest.subject:Patient.organization._id=x",
        "Observation?subject.identifier=x&performer._id=y&encounter.subject.name=z",
    ],
)
def test_a_chain_over_a_few_types_is_followed(query, client):
    assert answered(client, query)["total"] == 0


@pytest.mark.parametrize("path", ["Observation", "Patient/who/Observation", "Subscription"])
@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"code": "nobody-has-it"}', "application/json"),
        (b"code=nobody-has-it", "text/plain"),
        (b"code=nobody-has-it", None),
    ],
)
def test_criteria_that_are_no_form_are_refused_and_not_passed_over(path, body, form, client):
    answer = client.post(f"/fhir/{path}/_search", data=body, content_type=form)

    assert answer.status_code == 415
    assert "form" in answer.get_json()["issue"][0]["diagnostics"]


def test_a_search_by_post_without_a_body_has_no_criteria(client):
    assert (
        client.post("/fhir/Observation/_search", content_type="application/octet-stream").status_code == 200
    )
