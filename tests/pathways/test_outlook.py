"""Why not, and from when otherwise: asked of the stories as they stand after each of their steps."""

from datetime import datetime, time, timedelta
from pathlib import Path

import pytest
from playing import Play, lived, read

from pathways import catalogue
from pathways.outlook import DAILY, Situation

STORIES = Path(__file__).parents[1] / "stories"
PATHWAY = catalogue.pathways()[0]


def situations(name):
    """Yield each instance of a story after each of its steps, with the moment."""
    game = Play()
    for step, _, _ in lived(read(STORIES / f"{name}.json"), game):
        moment = datetime.fromisoformat(step["advanceTo"])
        case = game.case(moment)
        for side, memory in game.memories.items():
            if memory.stage is not None:
                others = (m.stage for at, m in game.memories.items() if at not in (side, ""))
                yield (
                    Situation(
                        PATHWAY, case.record, memory, side, site=case.site, other_stage=next(others, None)
                    ),
                    moment,
                )


def answers(situation, moment):
    return {
        way.rule: way.result
        for way in situation.ways_out(situation.judge(moment))
        if not way.decided_by_person
    }


@pytest.mark.parametrize("name", ["V01", "V02", "V09", "V23", "V40"])
def test_a_change_is_told_from_the_first_day_it_holds(name):
    told = 0
    for situation, moment in situations(name):
        now = answers(situation, moment)
        for rule, day in situation.changes(moment).items():
            told += 1
            then = datetime.combine(day, DAILY, situation.zone)
            assert answers(situation, then)[rule] is not now[rule]
            eve = then - timedelta(days=1)
            assert eve <= moment or answers(situation, eve)[rule] is now[rule]
    assert told


@pytest.mark.parametrize("name", ["V01", "V02", "V09", "V23", "V40"])
def test_no_way_is_met_after_an_evaluation(name):
    for situation, moment in situations(name):
        met = [rule for rule, answer in answers(situation, moment).items() if answer is True]
        assert met == [] or situation.memory.holds, (met, moment)


def test_weeks_of_therapy_are_over_on_their_day():
    # Therapy begins on the day of the first visit; a whole week is seven calendar days.
    situation, _ = next(situations("V02"))
    start = datetime.fromisoformat(situation.memory.values["Therapy Start"]).date()
    weeks = PATHWAY.parameters["weakPain.minTherapyWeeks"].default

    eve = datetime.combine(start + timedelta(weeks=weeks), time(0), situation.zone) - timedelta(minutes=1)
    for at, enough in ((eve, False), (eve + timedelta(minutes=1), True)):
        run = situation.judge(at).ask(situation.memory)
        assert run["Enough weeks for weakness with pain"] is enough
