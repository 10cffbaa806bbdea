"""A story as a value, read from its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_profiles import reading
from service.stories.answer import Answer

Json = Mapping[str, Any]


class NotAStory(Exception):
    """A file cannot be played; the message names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens, and what must be there afterwards."""

    number: int
    #: for people
    story: str
    #: ISO 8601 instants: when the Bundle is posted, and when the patient is evaluated
    at: str
    advance_to: str
    #: None: only time passes
    bundle: Json | None
    expected: Answer
    #: beginnings that no output of the step may have
    forbidden: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One patient over time."""

    id: str
    title: str
    theme: str
    #: as `PUT /sandbox/parameters` takes them; empty: the defaults
    parameters: Json
    steps: tuple[Step, ...]


def folder(path: Path, *, only: Sequence[str] = ()) -> tuple[Story, ...]:
    """Return the stories of a folder, in the order of their numbers.

    Args:
        only: ids; empty: all of them.

    Raises:
        NotAStory: a file cannot be read, or an id is not there.
    """
    files = {file.stem: file for file in path.glob("*.json")}
    missing = sorted(set(only) - set(files))
    if missing or not files:
        raise NotAStory(f"{path} has no story {', '.join(missing) or 'at all'}")
    names = sorted(only or files, key=lambda name: (len(name), name))
    return tuple(read(files[name]) for name in names)


def read(path: Path) -> Story:
    """Return the story of a file.

    Raises:
        NotAStory: it is not JSON, or a part is missing.
    """
    try:
        content = reading.read(path.read_bytes())
        return Story(
            id=content["id"],
            title=content["title"],
            theme=content.get("theme", ""),
            parameters=content.get("parameters") or {},
            steps=tuple(_step(number, step) for number, step in enumerate(content["steps"], start=1)),
        )
    except OSError as error:
        raise NotAStory(f"{path} cannot be read: {error.strerror}") from error
    except reading.Unreadable as error:
        raise NotAStory(f"{path} is not JSON: {error.detail}") from error
    except (KeyError, TypeError) as error:
        raise NotAStory(f"{path} is not a story: {error} is missing or of the wrong kind") from error


def _step(number: int, step: Json) -> Step:
    expect = step["expect"]
    return Step(
        number=number,
        story=step.get("story", ""),
        at=step["at"],
        advance_to=step["advanceTo"],
        bundle=step["bundle"],
        expected=Answer(
            stages=dict(expect["stages"]),
            holds={side: tuple(sorted(holds)) for side, holds in expect.get("holds", {}).items() if holds},
            transitions=tuple(sorted(expect["transitions"])),
            outputs=tuple(sorted(expect["outputs"])),
        ),
        forbidden=tuple(expect.get("forbidden", ())),
    )
