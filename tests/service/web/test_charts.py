"""The charts of a plan: every value on its scale and in its table, limits, what was set aside (ui.md, 4)."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fhir_visits import CODES, bundle, observation, patient, put

from fhir_profiles import canonical, reading
from pathways import catalogue, checks
from service import clock
from service.fhir import transaction
from service.store import parameters, resources
from service.store.resources import Write
from service.web import charts
from service.web.routes.careplan import ENTRIES
from worker.advance import advance

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENT = "gmt-1010"
NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)
STRENGTH = {"coding": [{"system": CODES + "gluteus-medius-pathway", "code": "hip-abduction-strength-mmt"}]}


def pain(name, days_ago, value, side="right", **more):
    site = {"coding": [{"system": CODES + "gluteus-medius-pathway", "code": f"hip-{side}"}]}
    at = (NOW - timedelta(days=days_ago)).isoformat()
    more = {"valueInteger": value, "bodySite": site, "effectiveDateTime": at, **more}
    return put(observation(name, f"Patient/{PATIENT}", **more))


def send(database, *entries):
    sent = bundle(put(patient(PATIENT)), *entries)
    transaction.accept(database, reading.read(reading.write(sent)), sender="hospital")
    assert advance(database, 0, PATIENT)


def plan(database, side="right"):
    with database.transaction() as tx:
        query = "SELECT id FROM resource WHERE type = 'CarePlan' AND body LIKE %(side)s"
        return tx.exec_driver_sql(query, {"side": f"%hip-{side}%"}).scalar_one()


def figures(client, database, side="right"):
    """Return the charts of a plan as HTML, by their titles."""
    page = client.get(f"/careplans/{plan(database, side)}").text
    found = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    return {html.unescape(re.search(r"<figcaption>(.*?)(?: <span|<)", one)[1]): one for one in found}


def points(figure):
    """Return the places of the dots, left to right: few are circles, many are one path."""
    few = re.findall(r'<circle class="dot" cx="([\d.]+)" cy="([\d.]+)"', figure)
    many = re.findall(r"M([\d.]+) ([\d.]+)h0", figure)
    return [(float(x), float(y)) for x, y in few or many]


def rows(figure):
    body = figure.split("<tbody>")[1]
    cells = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    without_hidden = (
        re.sub(r'<span class="sr">.*?</span>|<svg.*?</svg>', "", row, flags=re.DOTALL) for row in cells
    )
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in without_hidden]


TITLE = "Average lateral hip pain, last week"


def test_each_value_stands_on_its_scale_at_its_time_and_in_the_table(client, record):
    send(record, pain("a", 70, 8), pain("b", 35, 5), pain("c", 0, 0), pain("other", 0, 9, side="left"))

    figure = figures(client, record)[TITLE]

    (x1, y1), (x2, y2), (x3, y3) = points(figure)
    assert (x1, x3) == (charts.LEFT, charts.RIGHT)
    assert x2 == pytest.approx((x1 + x3) / 2, abs=0.2)
    assert y3 == charts.BOTTOM
    assert (charts.BOTTOM - y1) / (charts.BOTTOM - y2) == pytest.approx(8 / 5)
    assert [row.split()[:4] for row in rows(figure)] == [
        ["22", "Jun", "2026", "0"],
        ["18", "May", "2026", "5"],
        ["13", "Apr", "2026", "8"],
    ]
    assert "13 Apr 2026: 8; 18 May 2026: 5; 22 Jun 2026: 0" in figure


def test_the_limits_of_the_site_are_drawn_with_what_they_mean(client, record):
    send(record, pain("a", 3, 6))

    figure = figures(client, record)[TITLE]

    assert len(re.findall(r'class="lim"', figure)) == 2
    assert "counts as progress" not in figure
    assert "Persisting or returning pain: score at least <b>4</b>" in figure
    assert "shown only" not in figure


def test_what_was_set_aside_is_a_cross_above_the_scale_and_struck_in_the_table(client, record):
    send(record, pain("a", 30, 6), pain("b", 10, 65), pain("c", 0, 5))

    figure = figures(client, record)[TITLE]

    assert len(points(figure)) == 2
    assert len(re.findall(r'class="void"', figure)) == 1
    assert "1 value was set aside" in figure
    assert "12 Jun 2026 65 Impossible value not recorded" in rows(figure)


def test_what_was_set_aside_of_one_side_is_on_no_chart_of_the_other(client, record):
    send(record, pain("a", 30, 6), pain("l", 30, 6, side="left"), pain("b", 10, 65, side="left"))
    assert 'class="void"' in figures(client, record, "left")[TITLE]
    assert 'class="void"' not in figures(client, record, "right")[TITLE]

    send(record, pain("n", 5, 4, bodySite=None))
    assert "17 Jun 2026 4 No usable side not recorded" in rows(figures(client, record, "right")[TITLE])


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]
)
def test_a_date_at_the_end_of_the_calendar_is_set_aside_and_the_plan_is_shown(client, record, at):
    with record.transaction() as tx:
        parameters.set_(tx, {"site.timeZone": "Europe/Berlin"}, "test", NOW)
    send(record, pain("a", 30, 6), pain("b", 0, 5, effectiveDateTime=at))

    figure = figures(client, record)[TITLE]

    assert len(re.findall(r'class="void"', figure)) == 1
    assert any("Dated in the future" in row or "No effective time" in row for row in rows(figure))


def test_a_result_that_answers_an_order_of_the_other_side_is_set_aside_here_as_it_is_there(client, record):
    send(record, pain("a", 30, 6, side="left"))
    side = {"system": CODES + "gluteus-medius-pathway", "code": "hip-right"}
    order = {
        "resourceType": "ServiceRequest",
        "id": "order",
        "extension": [{"url": canonical.SIDE, "valueCoding": side}],
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{PATIENT}"},
    }
    with record.transaction() as tx:
        write = Write(type="ServiceRequest", id="order", body=order, patient=PATIENT, owned=True)
        resources.save(tx, [write], tenant=0, now=NOW)
    answer = [{"reference": "ServiceRequest/order"}]
    send(record, pain("answer", 0, 3, side="left", code=STRENGTH, basedOn=answer))

    figure = figures(client, record, "left")["Abduction strength, MRC grade"]

    assert points(figure) == []
    assert "22 Jun 2026 3 Sides disagree not recorded" in rows(figure)


def test_weeks_are_counted_from_where_the_pathway_says(client, record):
    first = json.loads((EXAMPLES / "01-new-referral-visit.json").read_text(), parse_float=Decimal)
    visit = datetime(2026, 3, 2, 9, 45, tzinfo=UTC)
    with record.transaction() as tx:
        clock.set_(tx, visit, held=False)
    accepted = transaction.accept(record, first, sender="hospital")
    who = next(stored.id for stored in accepted.stored if stored.type == "Patient")
    assert advance(record, 0, who)
    with record.transaction() as tx:
        clock.set_(tx, visit + timedelta(weeks=13), held=False)

    figure = figures(client, record, "left")[TITLE]
    labels = re.findall(r'y="173" text-anchor="middle">(.*?)<', figure)

    assert labels == ["0", "6", "week 12"]


SESSIONS = {
    "coding": [{"system": CODES + "gluteus-medius-pathway", "code": "physiotherapy-sessions-completed"}]
}
LEFT = {"coding": [{"system": CODES + "gluteus-medius-pathway", "code": "hip-left"}]}


def test_the_course_of_a_programme_counts_as_the_rules_do(client, record):
    first = json.loads((EXAMPLES / "01-new-referral-visit.json").read_text(), parse_float=Decimal)
    visit = datetime(2026, 3, 2, 9, 45, tzinfo=UTC)
    with record.transaction() as tx:
        clock.set_(tx, visit, held=False)
    accepted = transaction.accept(record, first, sender="hospital")
    who = next(stored.id for stored in accepted.stored if stored.type == "Patient")
    assert advance(record, 0, who)
    begun = course(client, record, "left")
    assert "0 whole weeks since 2 Mar 2026" in begun
    assert "Supervised sessions: not recorded, 6 needed" in begun
    assert 'class="bar"' not in begun

    later = visit + timedelta(weeks=13)
    with record.transaction() as tx:
        clock.set_(tx, later, held=False)
    body = observation(
        "sessions",
        f"Patient/{who}",
        code=SESSIONS,
        valueInteger=5,
        bodySite=LEFT,
        effectiveDateTime=later.isoformat(),
    )
    transaction.accept(record, reading.read(reading.write(bundle(put(body)))), sender="hospital")
    assert advance(record, 0, who)
    shown = course(client, record, "left")

    assert "13 whole weeks since 2 Mar 2026 checkpoints at 6, 12, 24 weeks" in shown
    assert "Supervised sessions: 5 by 1 Jun 2026, 6 needed" in shown
    assert "attested" not in shown
    assert re.findall(r"(\d+) wk", shown) == ["6", "12", "24"]


def test_what_would_be_progress_is_drawn_from_the_score_at_the_start(client, record):
    first = json.loads((EXAMPLES / "01-new-referral-visit.json").read_text(), parse_float=Decimal)
    with record.transaction() as tx:
        clock.set_(tx, datetime(2026, 3, 2, 9, 45, tzinfo=UTC), held=False)
    accepted = transaction.accept(record, first, sender="hospital")
    assert advance(record, 0, next(stored.id for stored in accepted.stored if stored.type == "Patient"))

    figure = figures(client, record, "left")[TITLE]

    (start,) = re.findall(r'class="val"[^>]*>([\d.]+)<', figure)
    # 2 points less, or a third less: the smaller of both.
    expected = float(start) - min(2, max(1, 0.33 * float(start)))
    assert (
        f"Highest pain score that counts as progress against the score at the start <b>{expected:g}</b>"
        in figure
    )


def course(client, database, side):
    """Return the words of the course of a programme, with the drawing's marks."""
    page = client.get(f"/careplans/{plan(database, side)}").text
    (found,) = re.findall(r'<div class="programme">.*?</div>', page, re.DOTALL)
    return " ".join(re.sub(r"<(?!rect)[^>]+>", " ", found).split())


def test_without_a_start_the_first_and_the_last_day_are_written(client, record):
    send(record, pain("a", 30, 6), pain("c", 0, 5))

    labels = re.findall(r'y="173" text-anchor="middle">(.*?)<', figures(client, record)[TITLE])

    assert labels == ["23 May", "22 Jun"]


def test_of_many_values_the_first_and_the_last_are_written_and_the_table_has_the_newest(client, record):
    send(record, *(pain(f"p-{n}", n, n % 10) for n in range(ENTRIES + 3)))

    figure = figures(client, record)[TITLE]

    assert len(points(figure)) == ENTRIES + 3
    assert len(re.findall(r'class="val"', figure)) == 2
    assert len(rows(figure)) == ENTRIES
    (rest,) = re.findall(r'href="([^"]*entries=all#course)"', figure)
    whole = client.get(html.unescape(rest)).text
    assert len(rows(re.findall(r"<figure>.*?</figure>", whole, re.DOTALL)[0])) == ENTRIES + 3


def test_a_plan_without_measures_has_no_charts(client, record, story):
    quiet = story(patient="gmt-2").person().care_plan()
    quiet.step("open-hip", "Opened", None, "imaging", "2026-06-21")
    quiet.save(record)

    assert "<figure>" not in client.get(f"/careplans/{quiet.plan}").text


def test_what_no_chart_can_draw_is_refused_when_the_pathway_is_loaded():
    (pathway,) = catalogue.pathways()
    given = {
        **pathway.inputs,
        "charts": {"weeksFrom": "Nothing", "inputs": [{"input": "mri", "limits": ["x"]}]},
    }
    fields = {name: getattr(pathway, name) for name in pathway.__dataclass_fields__} | {"inputs": given}

    assert [reason for reason in checks.reasons(type(pathway)(**fields)) if "chart" in reason] == [
        "the charts begin at 'Nothing', which nothing remembers",
        "the chart of 'mri' has no scale: it is no input with a range",
        "the chart of 'mri' names the limit 'x', which nothing gives a value",
    ]
