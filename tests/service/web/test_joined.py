"""Pages of records that were joined: whose it was, where old links lead, what waits (ui.md, section 13)."""

import re

import pytest
from fhir_visits import patient
from merging import kept, told

from service.joining import join, part
from service.store import resources
from service.store.resources import Write
from service.web.visit import TENANT


@pytest.fixture
def joined(record):
    """A record with a plan that was joined into one without; the id of the plan it had."""
    source = told(record, "old", "V09", 1).patient
    plan = next(
        body["id"] for reference, body in kept(record, source).items() if reference.startswith("CarePlan")
    )
    with record.transaction() as tx:
        body = patient("stays", mrn="S", name=[{"family": "Neumann", "given": ["Ida"]}])
        write = Write(type="Patient", id="stays", body=body, patient="stays")
        now = resources.current(tx, "Patient", source, tenant=TENANT).received
        resources.save(tx, [write], tenant=TENANT, now=now)
        join.announce(tx)
        join.join(tx, source, "stays", tenant=TENANT, who="Practitioner/vogt")
    return plan


def test_an_old_link_leads_to_the_plan_that_goes_on_with_a_bar_that_says_whose_it_was(client, joined):
    answer = client.get(f"/careplans/{joined}")

    assert answer.status_code == 302
    page = client.get(answer.headers["Location"]).text
    assert "NEUMANN, Ida" in page
    assert re.search(r"Record of IVANOVA, Olga, GMT-old, joined on \w+ \d+ ", page)
    assert "Records joined" in page
    assert "Confirm the plan of a joined or parted record" in page


def test_it_is_said_in_the_language_of_the_reader(client, joined):
    address = client.get(f"/careplans/{joined}").headers["Location"]

    page = client.get(address, headers={"Accept-Language": "de"}).text

    assert "zusammengeführt am" in page
    assert "Akten zusammengeführt" in page
    assert "Records joined" not in page
    assert "joined or parted record" not in page


def test_who_is_looked_for_by_the_old_name_or_number_is_found_with_the_plans_of_both(client, joined):
    page = client.post("/patients", data={"family": "Ivanova", "identifier": "GMT-old"}).text

    assert "Record joined with that of NEUMANN, Ida" in page
    assert f"/careplans/{joined}" not in page
    assert "Imaging" in page


def test_parted_again_the_link_leads_to_its_own_plan(client, record, joined):
    with record.transaction() as tx:
        join.announce(tx)
        part.part(tx, "gmt-old", "stays", tenant=TENANT, who="Practitioner/vogt")

    page = client.get(f"/careplans/{joined}")

    assert page.status_code == 200
    assert "IVANOVA, Olga" in page.text
    assert "joined on" not in page.text
    assert "Records parted" in page.text
