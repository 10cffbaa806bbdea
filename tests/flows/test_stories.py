"""The patient stories, every step, over HTTP against real worker processes."""

from pathlib import Path

import pytest

from service.stories import answer, story
from service.stories.play import play
from service.stories.remote import Remote

FOLDER = Path(__file__).parents[1] / "stories"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("V*.json")))
def test_every_step_of_the_story_is_answered_exactly(service: Remote, name: str) -> None:
    for played in play(story.read(FOLDER / f"{name}.json"), service):
        assert played.differences == (), f"step {played.step.number}: {played.step.story}"


def test_an_evaluation_says_of_itself_what_the_searches_show(service: Remote) -> None:
    for played in play(story.read(FOLDER / "V09.json"), service):
        assert answer.differences(played.actual, played.said) == ()


def test_evaluating_again_with_nothing_new_produces_nothing(service: Remote) -> None:
    told = story.read(FOLDER / "V02.json")
    for _ in play(told, service):
        pass

    again = service.evaluate("Patient/gmt-v02")

    assert again["transitions"] == []
    assert again["outputs"] == []
    assert again["stages"] == {"right": "imaging"}
