"""Work that nobody closed after its stage ended: apart, said since when, never hidden (ui.md, section 3)."""

import csv
import io
from datetime import UTC, datetime

import pytest

from service.situation import Instance
from service.web import ended
from service.web.ended import Ended, Standing

OVERDUE = "2026-06-01T09:15:00Z"
SENTENCE = "Raised in “Conservative therapy”, which ended Mon 22 Jun 2026, today."


def day(number):
    return datetime(2026, 1, number, tzinfo=UTC)


def course(*stages, closed_from=99):
    """Return how an instance stood after each decision, one a day; `closed_from` is a number."""
    return [
        Standing(number, day(number), stage, number >= closed_from)
        for number, stage in enumerate(stages, start=1)
    ]


@pytest.fixture
def left(record, story):
    """A plan that has gone on from the stage that one of its Tasks was raised in."""
    told = story("referral")
    told.task("review-6w", "Review at six weeks", due=OVERDUE, step=4)
    return told.save(record)


def band(html, heading):
    """Return the rows below a heading."""
    return html.split(heading)[1].split("</tbody>")[0]


@pytest.mark.parametrize(
    ("stood", "expected"),
    [
        pytest.param(course("a"), None, id="the first stage"),
        pytest.param(course("a", "a"), None, id="another decision in the same stage"),
        pytest.param(course("a", "a", "b", "c"), Ended(stage="a", closed=False, since=day(3)), id="left"),
        pytest.param(course("a", "b", "a"), None, id="come back to"),
        pytest.param(
            course("a", "b", "a", "b"), Ended(stage="a", closed=False, since=day(4)), id="left twice"
        ),
        pytest.param(
            course("a", "a", closed_from=2), Ended(stage="a", closed=True, since=day(2)), id="plan closed"
        ),
        pytest.param(
            course("a", "b", "b", closed_from=3), Ended(stage="a", closed=False, since=day(2)), id="both"
        ),
        pytest.param(course("a", "a", closed_from=1), None, id="raised about a closed plan"),
        pytest.param([], None, id="nothing is known"),
    ],
)
def test_a_stage_is_over_when_the_plan_has_left_it_or_is_closed(stood, expected):
    assert ended.of_course(1, stood) == expected


def test_a_task_of_an_unknown_decision_belongs_to_the_present():
    assert ended.of_course(7, course("a", "b")) is None


def test_work_of_an_ended_stage_stands_last_with_its_stage_and_since_when(client, left):
    html = client.get("/?view=all").text

    rows = band(html, "Left over from an ended stage")
    assert "Review at six weeks" in rows
    assert "Raised in “Conservative therapy”" in rows
    assert "which ended Mon 22 Jun 2026, today." in rows
    assert "Was due Mon 1 Jun 2026" in rows
    assert html.rindex("rowgroup") == html.index('rowgroup">Left over from an ended stage')


def test_it_is_not_counted_as_overdue_and_does_not_vanish(client, left):
    overdue = client.get("/?view=all&need=overdue").text

    assert "Modify the programme" in overdue
    assert "Review at six weeks" not in overdue
    assert client.get("/?view=all").text.count('<span class="need">') == 3


@pytest.mark.parametrize(
    ("task", "heading"),
    [
        pytest.param({"priority": "urgent"}, "Act now", id="pressing"),
        pytest.param({"orders": ("some-order",)}, "Overdue", id="to sign"),
    ],
)
def test_what_is_pressing_or_to_be_signed_stays_in_its_band_and_says_it_as_well(
    client, record, story, task, heading
):
    told = story("referral")
    told.task("odd", "Odd one", due="2026-06-02T09:15:00Z", step=4, **task)
    told.save(record)

    rows = band(client.get("/?view=all").text, f"{heading} <")
    assert "Odd one" in rows
    assert "which ended" in rows
    assert "Odd one" in client.get("/?view=all&need=overdue").text


def test_the_plan_says_it_too_and_does_not_wait_for_it(client, left):
    html = client.get(f"/careplans/{left.plan}").text

    assert "which ended Mon 22 Jun 2026, today." in html
    waiting = html.split('id="wait-h"')[1].split("</section>")[0]
    assert "Review at six weeks" not in waiting
    assert "Modify the programme" in waiting


def test_it_can_be_handed_over_and_taken_as_any_other(client, left, act, form):
    act(client, "vogt")
    html = client.get(f"/careplans/{left.plan}").text

    take = form(html.split("which ended")[1], "take")
    client.post(take.action, data=take.values)

    assert "Maren Vogt" in band(client.get("/?view=all").text, "Left over from an ended stage")


def test_the_table_says_it_as_the_page_does(client, left):
    rows = csv.DictReader(io.StringIO(client.get("/worklist.csv?view=all").text.removeprefix("\ufeff")))

    (row,) = [row for row in rows if row["What is needed"] == "Review at six weeks"]
    assert row["Urgency"] == "Left over from an ended stage"
    assert row["Why"].endswith(SENTENCE)
    assert row["Due"] == ""


def test_the_worklist_and_the_plan_read_the_same(record, left):
    which = Instance(left.patient, "gluteus-medius-tear", left.side)
    with record.transaction() as tx:
        bare = ended.read(tx, {which}, tenant=0)
        dated = ended.read_since(tx, {which}, tenant=0)

    assert {id: (e.stage, e.closed) for id, e in bare.items()} == {
        id: (e.stage, e.closed) for id, e in dated.items()
    }
    assert [e.since for e in dated.values()] == [datetime(2026, 6, 22, 9, 15, tzinfo=UTC)]
