"""The page of a pathway: what a clinician reads is what is evaluated (ui.md, 7)."""

import html
import re
from datetime import UTC, datetime

import pytest
from statements import executed

from pathways import catalogue
from service.store import parameters
from service.web import document, queries
from service.web.worklist import ROWS

PAGE = "/pathways/gluteus-medius-tear"


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def test_the_only_pathway_is_shown_at_once(client, record):
    assert client.get("/pathways").headers["Location"] == PAGE


def test_every_rule_that_is_evaluated_is_on_the_page_with_each_condition_as_it_is_asked(client, record):
    (pathway,) = catalogue.pathways()
    page = client.get(PAGE).text

    corrections = {"taken-back", "left-standing"}
    for rule in (rule for rule in pathway.rules if rule.kind not in corrections):
        step = page.split(f'<article class="step" id="rule-{rule.id}"')[1].split("</article>")[0]
        for name in rule.conditions:
            assert f"define &#34;{html.escape(name)}&#34;" in step, (rule.id, name)
    assert page.count('<article class="step"') == sum(r.kind not in corrections for r in pathway.rules)


def test_a_definition_is_cut_out_whole_and_without_the_comment_of_the_next():
    text = """library L

// the first
define "A":
  1 +
  2

// of the second
define function "B"(x Integer):
  x
"""
    assert document.snippets(text) == {
        "A": 'define "A":\n  1 +\n  2',
        "B": 'define function "B"(x Integer):\n  x',
    }


HOLD = {"url": "https://w3id.org/hipway/StructureDefinition/pathway-hold", "extension": []}
AWAY = {"stage": ("diverted", "Diverted"), "status": "on-hold"}


@pytest.fixture
def everywhere(record, story):
    """Plans that are open, held, late, set apart or closed, and one that was ended for good."""
    for number in range(3):
        quiet = story(patient=f"quiet-{number}", stage=("imaging", "Imaging"), holds=[HOLD] * (number == 0))
        quiet.person().care_plan().save(record)
    for name, fields in (("late", {}), ("away", AWAY)):
        late = story(patient=name, **fields).person().care_plan()
        late.task("t", "Do", due="2026-06-21T08:00:00Z")
        late.task("u", "Do more", due="2026-06-20T08:00:00Z")
        late.save(record)
    soon = story(patient="soon").person().care_plan()
    soon.task("t", "Do", due="2026-06-23T08:00:00Z")
    soon.save(record)
    story(patient="waits-apart", **AWAY).person().care_plan().save(record)
    for name, status in (("closed", "completed"), ("died", "revoked")):
        stage = ("discharged", "Discharged")
        story(patient=name, stage=stage, status=status).person().care_plan().save(record)
    return record


def numbers(page):
    """Return each number of the table by the address of its list."""
    table = page.split('id="stages"')[1].split("</table>")[0]
    return {html.unescape(a): int(n) for a, n in re.findall(r'href="(/\?[^"]*)">(\d+)<', table)}


def listed(client, address):
    return re.findall(r'<td class="who"><a href="/careplans/([\w-]+)"', client.get(address).text)


def test_each_number_of_the_map_leads_to_the_list_of_exactly_those(client, everywhere):
    page = client.get(PAGE).text

    found = numbers(page)
    assert sorted((*address.split("?")[1].split("&")[1:], n) for address, n in found.items()) == [
        ("need=apart", "stage=discharged", 1),
        ("need=apart", "stage=diverted", 2),
        ("need=held", "stage=imaging", 1),
        ("need=overdue", "stage=diverted", 1),
        ("need=overdue", "stage=surgical-referral", 1),
        ("stage=imaging", 3),
        ("stage=surgical-referral", 2),
    ]
    assert {address: len(listed(client, address)) for address in found} == found
    drawn = page.split('<svg class="map"')[1].split("</svg>")[0]
    said = re.findall(r'<a href="([^"]+)" aria-label="(\d+) ', drawn)
    assert {html.unescape(address): int(n) for address, n in said} == found
    assert "5 open plans" in plain(page)


def test_work_of_an_ended_stage_is_overdue_neither_on_the_map_nor_in_its_list(client, record, story):
    left = story("referral")
    left.task("review-6w", "Review at six weeks", due="2026-06-20T08:00:00Z", step=4)
    left.save(record)

    found = numbers(client.get(PAGE).text)

    assert found
    assert {address: len(listed(client, address)) for address in found} == found


def test_what_a_list_of_plans_hides_is_counted_also_where_it_shows_what_is_not_open(client, everywhere):
    for need, hidden in (("", 0), ("held", 4), ("overdue", 4), ("apart", 5)):
        page = client.get(f"/?view=plans&need={need}").text
        assert (f"{hidden} rows hidden" in page) == bool(hidden), need
        assert ">All 5 shown<" in page or hidden


def test_the_lists_behind_the_map_go_on_page_by_page(client, record, story):
    for number in range(ROWS + 3):
        away = story(patient=f"away-{number:03}", **AWAY).person().care_plan()
        if number % 10 == 0:
            away.task("t", "Do", due="2026-06-23T08:00:00Z")
        away.save(record)

    pages = [listed(client, f"/?view=plans&need=apart&stage=diverted&page={page}") for page in (1, 2)]

    assert [len(page) for page in pages] == [ROWS, 3]
    assert len({plan for page in pages for plan in page}) == ROWS + 3


def test_of_several_pathways_each_counts_and_lists_its_own_plans(client, everywhere):
    with everywhere.transaction() as tx:
        own = queries.plans_by_stage(tx, "gluteus-medius-tear", tenant=0)
        assert own == queries.plans_by_stage(tx, None, tenant=0)
        assert own["_open"] == {"imaging": 3, "surgical-referral": 2}
        for name in ("gluteus_medius_tear", "another"):
            assert not any(queries.plans_by_stage(tx, name, tenant=0).values())

    for need in ("", "held", "overdue", "apart"):
        own = listed(client, f"/?view=plans&need={need}&pathway=gluteus-medius-tear")
        assert own == listed(client, f"/?view=plans&need={need}")
        assert listed(client, f"/?view=plans&need={need}&pathway=another") == []


def test_the_map_takes_as_many_queries_for_many_plans_as_for_few(client, everywhere, story):
    def asked():
        with executed() as statements:
            assert client.get(PAGE).status_code == 200
        return len(statements)

    few = asked()
    for number in range(20):
        more = story(patient=f"more-{number}", stage=("imaging", "Imaging")).person().care_plan()
        more.task("t", "Do", due="2026-06-21T08:00:00Z")
        more.save(everywhere)

    assert asked() == few


def test_a_value_that_the_site_has_changed_is_shown_beside_its_default(client, record):
    with record.transaction() as tx:
        parameters.set_(tx, {"pain.persistMin": 5}, "test", datetime(2026, 6, 22, tzinfo=UTC))

    rows = client.get(PAGE).text.split('id="value-')
    (row,) = (plain(row) for row in rows if row.startswith("pain.persistMin"))
    (other,) = (plain(row) for row in rows if row.startswith("pain.dischargeMax"))

    assert "5 changed here 4 3 to 6 score 15" in row
    assert "changed here" not in other


def test_a_pathway_that_does_not_exist_has_no_page(client, record):
    assert client.get("/pathways/none").status_code == 404
