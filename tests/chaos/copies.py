"""Stories with ids of their own: as many patients as there are copies, and the same people around them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fhir_profiles import reading

STORIES = Path(__file__).parents[1] / "stories"

#: those who treat are the same for all patients: every visit brings them again
SHARED = ("Practitioner", "Organization", "PractitionerRole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One visit of one copy, or a look without a visit."""

    story: str
    copy: int
    patient: str
    number: int
    at: datetime
    evaluated_at: datetime
    bundle: dict[str, Any] | None


def steps(copies: Sequence[int], stories: Sequence[str] | None = None) -> list[Step]:
    """Return every step of every copy, in the order of their stories.

    Stories with site parameters of their own are left out: a site has one set of them.
    """
    found = []
    for path in sorted(STORIES.glob("V*.json")):
        story = reading.read(path.read_bytes())
        if not story.get("parameters") and (stories is None or story["id"] in stories):
            found += [step for copy in copies for step in _steps(story, copy)]
    return found


def side_by_side(instants: int) -> list[str]:
    """Return the stories that fit into so many instants, taken in by how little each adds.

    They share one clock, and everything waits whenever it moves: stories that happen at the
    same times make a dense load, those at times of their own a thin one.
    """
    times: dict[str, set[datetime]] = {}
    weight: Counter[str] = Counter()
    for step in steps([0]):
        times.setdefault(step.story, set()).update({step.at, step.evaluated_at})
        weight[step.story] += step.bundle is not None
    chosen: list[str] = []
    covered: set[datetime] = set()
    while times:
        story = min(times, key=lambda story: (len(times[story] - covered) / weight[story], story))
        if len(covered | times[story]) > instants:
            break
        covered |= times.pop(story)
        chosen.append(story)
    return sorted(chosen)


def bundles(found: Sequence[Step]) -> int:
    """Return how many Bundles the steps post."""
    return sum(step.bundle is not None for step in found)


def _steps(story: dict[str, Any], copy: int) -> Iterator[Step]:
    suffix = f"-c{copy}"
    own = {
        (entry["resource"]["resourceType"], entry["resource"]["id"])
        for step in story["steps"]
        for entry in (step["bundle"] or {}).get("entry", ())
        if entry["resource"]["resourceType"] not in SHARED
    }
    patient = next(id for type, id in sorted(own) if type == "Patient")
    names = {f"{type}/{id}": f"{type}/{id}{suffix}" for type, id in own}
    for number, step in enumerate(story["steps"], 1):
        yield Step(
            story=story["id"],
            copy=copy,
            patient=f"{patient}{suffix}",
            number=number,
            at=datetime.fromisoformat(step["at"]),
            evaluated_at=datetime.fromisoformat(step["advanceTo"]),
            bundle=_renamed(step["bundle"], names, suffix) if step["bundle"] else None,
        )


def _renamed(bundle: dict[str, Any], names: dict[str, str], suffix: str) -> dict[str, Any]:
    """Return the Bundle about the copy: ids, references, full URLs and record numbers."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            value = {key: walk(part) for key, part in value.items()}
            reference = f"{value.get('resourceType')}/{value.get('id')}"
            if reference in names:
                value["id"] = names[reference].partition("/")[2]
            if str(value.get("system", "")).endswith("/mrn"):
                value["value"] += suffix
            return value
        if isinstance(value, list):
            return [walk(part) for part in value]
        if not isinstance(value, str):
            return value
        base, _, last = value.rpartition("/")
        kind = base.rpartition("/")[2]
        return f"{value}{suffix}" if f"{kind}/{last}" in names else value

    renamed: dict[str, Any] = walk(bundle)
    return renamed
