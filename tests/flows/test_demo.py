"""The demo patients: loaded once over HTTP, each where its story says, then the clock is let go."""

from service.demo import load, visit
from service.stories import collecting, shorthand
from service.stories.remote import Remote


def test_every_demo_patient_is_where_the_story_says(empty: Remote) -> None:
    loaded = load.load(empty)

    assert loaded == len(load.stories())
    for story in load.stories():
        record = collecting.record(empty.search, visit.patient_id(story))
        stages = {shorthand.side(plan): shorthand.stage(plan) for plan in record.plans}
        assert stages == story["stages"], story["id"]
    clock = empty.clock()
    assert clock is not None
    assert clock["clock"] == "real"

    empty.clear()
    assert load.load(empty) == 0
    assert empty.search("Patient", {}) == []
