"""The rules answer as their second reading does (see `rule_model`), for hips on and around every limit."""

import json
from collections import Counter
from itertools import combinations, islice
from pathlib import Path

import pytest
from random_hips import records
from second_reading import differences

from pathways import catalogue, checks, parameters

PATHWAY = catalogue.pathways()[0]
SITE = parameters.resolve(PATHWAY, {})
#: hips a run; a seed of their own each
COUNT, SEEDS = 500, range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_definition_is_what_the_second_reading_says(seed):
    for number, hip in enumerate(islice(records(seed, SITE), COUNT)):
        found = list(differences(PATHWAY, hip, hip.answers(), SITE))
        assert found == [], f"hip {number} of seed {seed}: {hip}"


def test_every_condition_of_the_plan_is_read_twice_and_met_now_and_then():
    met = {name: 0 for rule in PATHWAY.rules for name in rule.conditions}
    met.pop("Person has died")
    for seed in SEEDS:
        for hip in islice(records(seed, SITE), COUNT):
            answers = hip.answers()
            for name in met:
                met[name] += bool(answers[name])

    assert [name for name, count in met.items() if count < 5] == []


def test_most_of_what_a_plan_names_is_read_twice():
    named = {name for rule in PATHWAY.rules for name, _ in checks.expressions(rule)}
    read = next(records(0, SITE)).answers().keys()

    # What is left are constants, remembered values as they are, and texts that count occasions.
    assert len(named & read) >= 0.7 * len(named), sorted(named - read)


#: rules 2.4, step f: those before have an order that every clinician expects
FIRST_OF_MANY = 60


def test_steps_of_one_stage_that_may_both_be_taken_are_named_with_why_one_comes_first():
    named = json.loads((Path(__file__).parent / "overlaps.json").read_text())
    steps = [rule for rule in PATHWAY.of_kind("transition") if rule.order >= FIRST_OF_MANY]
    found = Counter()
    for seed in SEEDS:
        for hip in islice(records(seed, SITE), COUNT):
            answers = hip.answers()
            met = [rule for rule in steps if all(map(answers.get, rule.conditions))]
            for stage in PATHWAY.stages:
                here = [rule.id for rule in met if stage in rule.stages]
                found.update(f"{stage}: {one} before {other}" for one, other in combinations(here, 2))

    assert found.keys() == named.keys(), found
