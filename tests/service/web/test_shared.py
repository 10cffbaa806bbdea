"""Records that carry one identifier: who is told, with which words, and when it is over (SP-15)."""

import html
import re

import pytest
from fhir_visits import MRN, bundle, patient, put
from statements import executed

from service import clock
from service.fhir import transaction
from service.joining import join, part
from service.store import resources, shared_identifiers
from service.store.resources import Write

TITLE = "Another record carries an identifier of this person."
NOBODY = "No two records carry one identifier."


def person(id_, mrn, family="Berg", born="1960-01-02", **more):
    return patient(id_, mrn=mrn, name=[{"family": family, "given": ["A"]}], birthDate=born, **more)


@pytest.fixture
def send(record):
    """Store Patients as a hospital sends them, and look for identifiers they share as the sweep does."""

    def send(*patients):
        for each in patients:
            transaction.accept(record, bundle(put(each)), sender="hospital")
        note(record)

    return send


def note(record):
    with record.transaction() as tx:
        shared_identifiers.note(tx, tenant=0)


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def section(client, **more):
    page = client.get("/inbox", **more).text
    return page.split('<section class="card" id="shared"')[1].split("</section>")[0]


def rows(client):
    """Return system, value and the records of each entry."""
    return [
        (*_identifier(row), re.findall(r'href="/fhir/Patient/([^"]+)"', row))
        for row in re.findall(r'<tr><th scope="row".*?</tr>', section(client), re.DOTALL)
    ]


def _identifier(row):
    """Return system and value as they are said."""
    return re.findall(r">([^<>]+)<", row.split("</th>")[0])


def marks(record):
    """Return how many marks there are."""
    with record.transaction() as tx:
        statement = "SELECT count(*) FROM search_value WHERE name = '_shared'"
        return tx.exec_driver_sql(statement).scalar_one()


def joined(record, source, target):
    with record.transaction() as tx:
        join.announce(tx)
        join.join(tx, source, target, tenant=0, who="Practitioner/vogt")


def test_both_are_named_with_birth_date_identifier_and_what_to_do(client, send):
    send(person("a", "7", "Quandt", "1950-02-03"), person("b", "7", "Quist", "1999-12-31"))

    said = plain(section(client))

    assert rows(client) == [(MRN, "7", ["a", "b"])]
    for words in ("QUANDT, A", "QUIST, A", "3 Feb 1950", "31 Dec 1999", "1 open", "Patient/$merge"):
        assert words in said
    assert "have the identifier corrected where it was recorded" in said
    assert 'href="/api/fhir.merge"' in section(client)
    assert client.get("/api/fhir.merge").status_code == 200


def test_where_nobody_shares_anything_it_is_said(client, send):
    send(person("a", "7"), person("b", "8"), {**person("c", None), "identifier": [{"value": "7"}]})

    assert rows(client) == []
    assert NOBODY in plain(section(client))


def test_what_a_record_carries_twice_is_not_shared(client, record, send):
    twice = person("a", "7")
    twice["identifier"] *= 2
    send(twice)

    assert rows(client) == []
    assert marks(record) == 0


def test_somebody_of_the_same_name_and_birth_date_is_nobody_s_business(client, send):
    send(person("a", "7"), person("b", "8"))

    assert rows(client) == []


def test_three_are_one_entry(client, send):
    send(person("a", "7"), person("b", "7"), person("c", "7"), person("d", "8"))

    assert rows(client) == [(MRN, "7", ["a", "b", "c"])]


def test_each_identifier_is_an_entry_the_newest_record_first(client, send):
    first, second = person("a", "7"), person("b", "7")
    first["identifier"].append({"value": "x"})
    send(first, second, {**person("c", None), "identifier": [{"value": "x"}]})

    assert rows(client) == [("without a system", "x", ["a", "c"]), (MRN, "7", ["a", "b"])]


def test_one_that_is_in_many_records_names_some_and_counts_all(client, record, send):
    send(*(person(f"p{n}", "unknown") for n in range(7)))

    assert rows(client) == [(MRN, "unknown", [f"p{n}" for n in range(5)])]
    assert marks(record) == 2
    assert "7 records in all" in plain(section(client))


def test_corrected_the_entry_is_gone_at_once_and_by_itself(client, record, send):
    send(person("a", "7"), person("b", "7"))

    transaction.accept(record, bundle(put(person("b", "8"))), sender="hospital")

    assert rows(client) == []
    note(record)
    assert marks(record) == 0


def test_of_three_one_is_corrected_and_the_others_stay(client, record, send):
    send(person("a", "7"), person("b", "7"), person("c", "7"))

    transaction.accept(record, bundle(put(person("a", "8"))), sender="hospital")

    assert rows(client) == [(MRN, "7", ["b", "c"])]


def test_a_removed_record_does_not_count(client, send):
    send(person("a", "7"), person("b", "7"))

    assert client.delete("/fhir/Patient/b").status_code == 204

    assert rows(client) == []


def test_joined_they_are_one_and_parted_they_are_two_again(client, record, send):
    send(person("a", "7"), person("b", "7"))

    joined(record, "a", "b")
    assert rows(client) == []
    note(record)
    assert rows(client) == []
    assert marks(record) == 0

    with record.transaction() as tx:
        join.announce(tx)
        part.part(tx, "a", "b", tenant=0, who="Practitioner/vogt")
    note(record)
    assert rows(client) == [(MRN, "7", ["a", "b"])]


def test_a_third_record_shares_with_the_one_that_stays(client, record, send):
    send(person("a", "7"), person("b", "8"))
    joined(record, "a", "b")

    send(person("c", "7"))

    assert rows(client) == [(MRN, "7", ["b", "c"])]


def test_since_when_is_when_the_second_one_began_to_carry_it(client, record, send):
    def at(moment, *people):
        with record.transaction() as tx:
            bodies = [Write(type="Patient", id=one["id"], body=one, patient=one["id"]) for one in people]
            resources.save(tx, bodies, tenant=0, now=moment)

    with record.transaction() as tx:
        now = clock.now(tx)
    at(now.replace(day=1), person("a", "7"), person("b", "7"))
    at(now.replace(day=3), person("b", "8"))
    at(now.replace(day=5), person("b", "7"))
    at(now.replace(day=9), person("a", "7", "Changed"), person("b", "7", "Changed"))
    note(record)

    assert " 5 Jun 2026" in plain(section(client))
    assert not {"1 Jun 2026", "9 Jun 2026"} & set(re.findall(r"\d Jun 2026", plain(section(client))))


def test_who_is_shown_is_on_record_as_read(client, record, send):
    send(person("a", "7"), person("b", "7"))

    client.get("/inbox")

    with record.transaction() as tx:
        read = tx.exec_driver_sql("SELECT patients FROM access ORDER BY key DESC LIMIT 1").scalar_one()
    assert set(read) == {"a", "b"}


def test_the_plan_says_so_before_anybody_looked_and_of_nobody_else(client, record, story):
    told = story("referral").save(record)
    other = person("other", None, "Quandt")
    other["identifier"] = [{"system": "urn:mrn", "value": told.patient.upper()}]
    address = f"/careplans/{told.plan}"
    assert TITLE not in client.get(address).text

    transaction.accept(record, bundle(put(other)), sender="hospital")

    page = client.get(address).text
    assert TITLE in page
    assert "What names that identifier is refused until it is corrected at its source" in plain(page)
    assert 'href="/inbox#shared"' in page
    assert "QUANDT" not in page

    transaction.accept(record, bundle(put(person("other", "8"))), sender="hospital")
    assert TITLE not in client.get(address).text


def test_the_plan_of_joined_records_does_not_say_so(client, record, story):
    told = story("referral").save(record)
    other = {**person("other", None), "identifier": [{"system": "urn:mrn", "value": told.patient.upper()}]}
    transaction.accept(record, bundle(put(other)), sender="hospital")

    joined(record, "other", told.patient)

    assert TITLE not in client.get(f"/careplans/{told.plan}").text


def test_it_is_said_in_the_language_of_the_reader(client, record, send, story):
    told = story("referral").save(record)
    send({**person("other", None), "identifier": [{"system": "urn:mrn", "value": told.patient.upper()}]})
    german = {"Accept-Language": "de"}

    assert "Akten mit derselben Kennung" in section(client, headers=german)
    page = client.get(f"/careplans/{told.plan}", headers=german).text
    assert "Eine andere Akte trägt eine Kennung dieser Person." in page


def test_however_many_there_are_the_queries_are_as_many(client, record, send):
    def asked():
        with executed() as statements:
            assert client.get("/inbox").status_code == 200
        return len(statements)

    send(person("a0", "0"), person("b0", "0"))
    few = asked()
    send(*(person(f"{side}{n}", str(n)) for n in range(1, 60) for side in "ab"))

    assert asked() == few
    assert len(rows(client)) == 50
    assert "more than 50" in plain(section(client))
