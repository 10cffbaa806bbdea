"""The page of a pathway: what a clinician reads is what is evaluated (ui.md, 7)."""

import html
import re
from datetime import UTC, datetime

from pathways import catalogue
from service.store import parameters
from service.web import document, queries

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


def test_open_plans_are_counted_by_stage_and_lead_to_the_list(client, record, story):
    for number in range(3):
        quiet = story(patient=f"p-{number}", stage=("imaging", "Imaging")).person().care_plan()
        quiet.step("open-hip", "Opened", None, "imaging", "2026-06-21")
        quiet.save(record)

    page = client.get(PAGE).text

    assert re.search(r'href="/\?view=plans&amp;stage=imaging">3<', page)
    assert "stage=surgical-referral" not in page


def test_of_several_pathways_each_counts_its_own_plans(record, story):
    quiet = story(patient="p-1", stage=("imaging", "Imaging")).person().care_plan()
    quiet.save(record)

    with record.transaction() as tx:
        assert queries.open_plans_by_stage(tx, "gluteus-medius-tear", tenant=0) == {"imaging": 1}
        assert queries.open_plans_by_stage(tx, "gluteus_medius_tear", tenant=0) == {}
        assert queries.open_plans_by_stage(tx, "another", tenant=0) == {}


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
