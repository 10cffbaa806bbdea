"""Checks that demo stories become valid Bundles, in order, and never in the future."""

from datetime import UTC, datetime, timedelta

import pytest

from fhir_profiles import gate
from service.demo import load, visit

NOW = datetime(2026, 11, 24, 6, 15, tzinfo=UTC)

TERMS = load._data("terms.json")


@pytest.mark.parametrize("story", load.stories(), ids=lambda story: story["id"])
def test_every_step_of_a_demo_story_is_valid_fhir(story: visit.Json) -> None:
    bundles = [visit.bundle(story, number, NOW, TERMS) for number in range(1, len(story["steps"]) + 1)]

    resources = [entry["resource"] for bundle in bundles if bundle for entry in bundle["entry"]]
    assert resources[0]["resourceType"] == "Patient"
    assert [gate.check(resource) for resource in resources] == [()] * len(resources)


def test_the_people_of_the_demo_are_valid_fhir() -> None:
    people = [entry["resource"] for entry in load._data("people.json")["entry"]]

    assert [gate.check(person) for person in people] == [()] * len(people)


def test_the_steps_of_all_stories_follow_each_other_and_end_by_now() -> None:
    moments = [event.at for event in load.timeline(load.stories(), now=NOW)]

    assert moments == sorted(moments)
    assert moments[-1] <= NOW
    assert NOW - moments[-1] < timedelta(days=1)


def test_a_step_of_today_that_is_still_to_come_is_told_as_of_now() -> None:
    later = {"day": 0, "time": "08:30"}

    assert visit.at(later, now=NOW) == NOW
    assert visit.at({"day": -1, "time": "08:30"}, now=NOW) == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def test_a_step_without_findings_only_lets_time_pass() -> None:
    assert visit.bundle({"id": "x", "steps": [{}, {"day": -1}]}, 2, NOW, TERMS) is None
