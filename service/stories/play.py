"""Play a story step by step and compare what the service answers."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.stories import answer as answers
from service.stories import collecting, orders, placeholders
from service.stories.answer import Answer
from service.stories.remote import Remote
from service.stories.story import Step, Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One step as it went."""

    step: Step
    actual: Answer
    #: what `POST /sandbox/evaluate` said of itself
    said: Answer
    #: one line each; empty: exact
    differences: tuple[str, ...]


def play(story: Story, service: Remote) -> Iterator[Played]:
    """Play the story on an empty record; each step is yielded when it has been compared.

    All patient data of the service are removed first: the clock may not go back while there are any.

    Raises:
        service.stories.remote.Refused: the service did not accept a step.
        service.stories.placeholders.NothingMatches: a step points to what was never made.
    """
    service.clear()
    service.set_parameters(story.parameters or {})
    patient = patient_of(story)
    names = orders.names()
    record = collecting.NOTHING
    for step in story.steps:
        service.set_clock(step.at)
        if step.bundle is not None:
            found = placeholders.wanted(step.bundle)
            meanings = placeholders.meanings(found, record, names)
            service.post(placeholders.replaced(step.bundle, meanings))
        service.set_clock(step.advance_to)
        said = service.evaluate(f"Patient/{patient}")
        before = record.identities
        record = collecting.record(service.search, patient)
        actual = collecting.answer(record, before, names)
        yield Played(
            step=step,
            actual=actual,
            said=spoken(said),
            differences=answers.differences(step.expected, actual, forbidden=step.forbidden),
        )


def spoken(said: dict[str, object]) -> Answer:
    """Return the answer of `POST /sandbox/evaluate` as a value."""

    def listed(value: object) -> tuple[str, ...]:
        return tuple(sorted(map(str, value))) if isinstance(value, list) else ()

    stages, holds = said.get("stages"), said.get("holds")
    return Answer(
        stages={str(k): str(v) for k, v in stages.items()} if isinstance(stages, dict) else {},
        holds={str(k): listed(v) for k, v in holds.items() if v} if isinstance(holds, dict) else {},
        transitions=listed(said.get("transitions")),
        outputs=listed(said.get("outputs")),
    )


def patient_of(story: Story) -> str:
    """Return the id of the one patient that the story's first Bundle brings."""
    for step in story.steps:
        for entry in (step.bundle or {}).get("entry", ()):
            if entry["resource"]["resourceType"] == "Patient":
                return str(entry["resource"]["id"])
    raise ValueError(f"{story.id} has no patient")
