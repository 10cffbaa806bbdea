"""What was read from the hospital's server is named, when we deliver, as it is called there.

http://hl7.org/fhir/R4/references.html#literal
"""

from datetime import UTC, datetime

import pytest

from service.hospital import comparing, outgoing
from service.store import origins, resources
from service.store.origins import Origin
from service.store.resources import Write

NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
SERVER = "https://fhir.hospital.example.org/r4"
NAME = {"system": "urn:mrn", "value": "M-9"}
PERSON = {"resourceType": "Practitioner", "identifier": [NAME]}


@pytest.fixture
def read(database, visited):
    """A person with an id of ours, read in two versions, and one more that only came by a Bundle."""
    with database.transaction() as tx:
        for version, theirs in ((1, "4"), (2, "7"), (3, None)):
            body = {**PERSON, "id": "ours", "active": version == 1, "language": f"v{version}"}
            write = Write(type="Practitioner", id="ours", body=body, posted=version == 1)
            seen = resources.look_up_or_lock(tx, [write], tenant=0)
            resources.save(tx, [write], tenant=0, now=NOW, sender="hospital-server", seen=seen)
            if theirs:
                origin = Origin(
                    type="Practitioner",
                    their_id="17",
                    stamp=theirs,
                    their_version=theirs,
                    their_time=None,
                    id="ours",
                    version=version,
                )
                origins.took(tx, origin, tenant=0, server=SERVER)
    return database


@pytest.mark.parametrize(
    ("here", "there"),
    [
        pytest.param("Practitioner/ours/_history/1", {"reference": "Practitioner/17/_history/4"}, id="first"),
        pytest.param(
            "Practitioner/ours/_history/2", {"reference": "Practitioner/17/_history/7"}, id="second"
        ),
        pytest.param(
            "Practitioner/ours/_history/3",
            {"reference": "Practitioner/17", "identifier": NAME},
            id="a version that it does not have",
        ),
        pytest.param(
            "Practitioner/ours", {"reference": "Practitioner/17", "identifier": NAME}, id="whichever it is"
        ),
    ],
)
def test_it_is_named_by_the_id_and_the_version_that_it_has_there(read, here, there):
    with read.transaction() as tx:
        body = {"resourceType": "Flag", "author": {"reference": here}}
        (sent,) = outgoing.prepared(tx, [body], tenant=0, server=SERVER)

    assert sent["author"] == there


def test_on_another_server_it_has_no_id(read):
    with read.transaction() as tx:
        body = {"resourceType": "Flag", "author": {"reference": "Practitioner/ours"}}
        (sent,) = outgoing.prepared(tx, [body], tenant=0, server="https://other.example.org")

    assert sent["author"] == {"type": "Practitioner", "identifier": NAME}


def test_what_was_sent_before_it_was_read_is_no_difference(read):
    """It was named by its identifier then, and by its id now."""
    body = {"resourceType": "Flag", "author": {"reference": "Practitioner/ours/_history/1"}}
    before = {"resourceType": "Flag", "author": {"type": "Practitioner", "identifier": NAME}}
    with read.transaction() as tx:
        (now,) = outgoing.prepared(tx, [body], tenant=0, server=SERVER)
        meant = outgoing.meant(tx, [body], tenant=0, server=SERVER)

    assert comparing.difference(now, before, base=SERVER, meant=meant) == frozenset()
