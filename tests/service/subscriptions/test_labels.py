"""Filters of Subscriptions: what is understood, what is refused, and what passes.

http://hl7.org/fhir/uv/subscriptions-backport/components.html#subscription-filters
"""

import json

import pytest
from subscribing import subscription

from fhir_profiles import canonical, topics
from service.subscriptions import labels, terms
from service.subscriptions.labels import NotUnderstood

PLAN = {
    "resourceType": "CarePlan",
    "subject": {"reference": "Patient/a"},
    "instantiatesCanonical": ["https://example.org/PlanDefinition/p|2"],
    "extension": [
        {"url": canonical.STAGE, "valueCoding": {"system": canonical.STAGES, "code": "imaging"}},
        {"url": canonical.SIDE, "valueCoding": {"system": "urn:sides", "code": "left"}},
    ],
}
TASK = {
    "resourceType": "Task",
    "for": {"reference": "Patient/a"},
    "priority": "urgent",
    "code": {"coding": [{"system": "urn:tasks", "code": "sign"}]},
}
STAGE, OVERDUE = (topics.known(canonical.topic(name)) for name in ("stage-entered", "task-overdue"))


@pytest.mark.parametrize(
    ("criteria", "fits"),
    [
        ("patient=Patient/a", True),
        ("patient=a", True),
        ("patient=http://127.0.0.1:8000/fhir/Patient/a", True),
        ("patient=Patient/b", False),
        ("patient=b,a", True),
        ("CarePlan?patient=a&stage=imaging", True),
        ("CarePlan.stage=imaging", True),
        ("stage=surgery", False),
        (f"stage={canonical.STAGES}|imaging", True),
        ("stage=urn:other|imaging", False),
        ("pathway=https://example.org/PlanDefinition/p", True),
        ("pathway=https://example.org/PlanDefinition/p|2", True),
        ("pathway=https://example.org/PlanDefinition/p|1", False),
        ("side=left", True),
        ("patient=a&side=right", False),
    ],
)
def test_a_filter_lets_through_what_it_names(criteria, fits):
    found = frozenset(labels.of(PLAN, PLAN))

    assert labels.fit(found, labels.read(criteria, STAGE)) is fits


@pytest.mark.parametrize(
    ("criteria", "fits"),
    [("code=sign", True), ("code=urn:tasks|sign", True), ("priority=urgent,stat", True),
     ("stage=imaging", True), ("priority=routine", False), ("code=other", False)],
)  # fmt: skip
def test_work_is_found_by_its_code_and_by_the_plan_it_belongs_to(criteria, fits):
    assert labels.fit(frozenset(labels.of(TASK, PLAN)), labels.read(criteria, OVERDUE)) is fits


def test_a_stage_that_was_only_passed_through_is_the_one_that_is_told():
    found = frozenset(labels.of(PLAN, PLAN, stage="therapy"))

    assert labels.fit(found, labels.read("stage=therapy", STAGE))
    assert not labels.fit(found, labels.read("stage=imaging", STAGE))


@pytest.mark.parametrize(
    "criteria",
    ["", "patient", "patient=", "patient= ,", "name=a", "patient:not=a", "Task?patient=a", "CarePlan?",
     "a?b?c=d", "code=sign", "patient=" + "a" * 1000],
)  # fmt: skip
def test_a_filter_that_is_not_understood_is_refused_without_its_value(criteria):
    with pytest.raises(NotUnderstood) as refused:
        labels.read(criteria, STAGE)

    assert "aaaa" not in str(refused.value)


def test_a_stored_subscription_outlives_a_version_of_its_topic_and_is_never_told_more_than_it_asked_for():
    def stored(criteria, text):
        body = subscription("https://example.org", filters=[text])
        return terms.stored(json.dumps({**body, "criteria": criteria}))

    later = stored(canonical.topic("stage-entered") + "|0.1", "stage=imaging")
    gone = stored(canonical.topic("stage-entered"), "a-filter-of-old=1")

    assert (later.topic, labels.fit(frozenset({"stage=imaging"}), later.filters)) == (STAGE, True)
    assert not labels.fit(frozenset({"a-filter-of-old=1", "stage=imaging"}), gone.filters)


def test_each_topic_says_what_it_is_about_and_by_what_it_is_narrowed():
    found = {topic.name: (topic.resource, "code" in topic.filters) for topic in topics.topics()}

    assert found == {
        "order-signed": ("ServiceRequest", True),
        "proposal-made": ("ServiceRequest", True),
        "stage-entered": ("CarePlan", False),
        "task-overdue": ("Task", True),
    }
    assert topics.known(canonical.topic("stage-entered") + "|1.0.0") is STAGE
    assert topics.known(canonical.topic("stage-entered") + "|9") is None
