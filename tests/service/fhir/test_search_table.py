"""Every kind of search over fixed records: a table of queries, each with what the specification finds by it.

The table is `searches/queries.txt`, by sections of http://hl7.org/fhir/R4/search.html; what is searched is
`searches/records.json`.
"""

import re

import pytest
import search_records
from search_records import FOLDER, RECORDS

from fhir_profiles import gate
from service.app import create_app

_ROW = re.compile(r"(?P<query>\S+) =>(?P<ordered>>?)(?P<ids>.*)")


def rows():
    section = ""
    for line in (FOLDER / "queries.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif match := _ROW.fullmatch(line):
            ids = match["ids"].split()
            yield pytest.param(match["query"], ids, bool(match["ordered"]), id=f"{section}-{match['query']}")
        else:
            assert not line or line.startswith("# "), line


ROWS = list(rows())


@pytest.fixture(scope="module", autouse=True)
def _records(database):
    search_records.store(database)


@pytest.fixture(scope="module")
def client(settings, database):
    """One application for all rows: they change nothing."""
    return create_app(settings, database).test_client()


def test_the_records_are_valid_and_the_table_is_long():
    assert [each["id"] for each in RECORDS if gate.check(each)] == []
    assert len(ROWS) >= 200
    assert len({row.values[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("query", "ids", "ordered"), ROWS)
def test_a_query_finds_what_the_specification_says(query, ids, ordered, client):
    answer = client.get(f"/fhir/{query}")
    found = [entry["resource"]["id"] for entry in answer.get_json().get("entry", ())]

    assert answer.status_code == 200, answer.get_json()
    assert answer.get_json()["total"] == len(ids)
    assert (found if ordered else sorted(found)) == (ids if ordered else sorted(ids))
