"""The worklist as a table: the rows of the page, all of them, and nothing that a spreadsheet would run."""

import csv
import io
import re

import pytest

from service.web import queries
from service.web.export import COLUMNS, FORMULA
from service.web.worklist import ROWS


def table(answer):
    """Return the rows as dictionaries by the words of the first line."""
    text = answer.data.decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


@pytest.fixture
def referral(record, story):
    return story("referral").save(record)


def test_each_row_of_the_page_is_a_row_of_the_table(client, referral):
    answer = client.get("/worklist.csv?view=all")

    page = client.get("/?view=all").text
    rows = table(answer)
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="hipway-all-2026-06-22T0915.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert [row["What is needed"].split(" · ")[0] for row in rows] == re.findall(
        r'<span class="need">(.*?)</span>', page
    )
    (sign,) = [row for row in rows if row["What is needed"].startswith("Sign the surgical referral")]
    assert sign["Patient"] == "JANSEN, Petra"
    assert sign["Birth date"] == "4 Apr 1970"
    assert sign["Record number"] == "GMT-1010"
    assert sign["Side"] == "Right hip"
    assert sign["Stage"] == "Surgical referral"
    assert sign["Owner"] == "nobody has taken it"
    assert sign["Plan"] == f"CarePlan/{referral.plan}"
    assert sign["Data as of"] == "Mon 22 Jun 2026, 09:15"


def test_the_table_has_the_rows_of_the_filters(client, referral):
    rows = table(client.get("/worklist.csv?view=all&need=sign"))

    assert [row["What is needed"].split(" · ")[0] for row in rows] == ["Sign the surgical referral"]
    assert "/worklist.csv?view=all&amp;need=sign" in client.get("/?view=all&need=sign").text


def test_the_table_does_not_end_where_a_page_does(client, record, story):
    many = story().person().care_plan()
    for number in range(ROWS + 3):
        many.task(f"t-{number}", f"Do {number}", due="2026-06-23T08:00:00Z")
    many.save(record)

    assert len(table(client.get("/worklist.csv?view=all"))) == ROWS + 3


def test_plans_that_wait_are_rows_of_their_own_view(client, record, story):
    quiet = story(patient="gmt-2", family="Tan", given="Wei").person().care_plan()
    quiet.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    quiet.save(record)

    (row,) = table(client.get("/worklist.csv?view=plans"))

    assert row["Patient"] == "TAN, Wei"
    assert row["What is needed"] == "Waits for data, needs nobody today"


def test_more_patients_than_a_statement_has_parameters_can_be_asked_for(record):
    with record.transaction() as tx:
        assert queries.of_type(tx, "Patient", {str(n) for n in range(70_000)}, tenant=0) == {}
        assert queries.plans_of(tx, {str(n) for n in range(70_000)}, tenant=0) == []


def test_an_empty_list_is_a_table_without_rows(client, record):
    assert table(client.get("/worklist.csv")) == []
    assert len(client.get("/worklist.csv").data.decode("utf-8").splitlines()[0].split(",")) == len(COLUMNS)


@pytest.mark.parametrize("sign", FORMULA)
def test_a_name_that_a_spreadsheet_would_run_is_text(client, record, story, sign):
    person = story(family=f"{sign}cmd|' /C calc'!A0").person().care_plan()
    person.task("t", "Do it", due="2026-06-23T08:00:00Z")
    person.save(record)

    (row,) = table(client.get("/worklist.csv?view=all"))

    assert row["Patient"].startswith("'")
    assert row["Patient"][1:].startswith(sign)
