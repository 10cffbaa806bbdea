"""The map of a pathway with everybody on it: how many plans stand in each stage, are held, are overdue.

The numbers are counted as the lists count that they lead to, in one transaction and in a fixed number of
queries, so that a number and its list cannot differ.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pathways.definition import Pathway
from service.store import search_index
from service.web import pathway_map, worklist
from service.web.pathway_map import Arrow, Drawing, Filling, StageBox
from service.web.tasks import Work
from service.web.words import Words
from service.web.worklist import Filters, Place

#: of a box with its numbers: a title, and two rows that a finger can meet
HEIGHT = 104
ROW = 32
INDENT = 8
#: steps from more stages than this are in the table alone: their arrows would hide all others
SOURCES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number of a stage, and the filter of the list that shows exactly those."""

    n: int
    text: str
    need: str
    #: where it stands in the box
    x: float = 0
    y: float = 0
    width: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How many plans stand in a stage; of these, how many are held and how many are overdue."""

    plans: Number
    held: Number
    overdue: Number

    @property
    def shown(self) -> tuple[Number, ...]:
        """Return those that stand in the box: nought is said of the plans alone."""
        return (self.plans, *(number for number in (self.held, self.overdue) if number.n))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMap:
    """The drawing, and the numbers of each stage by its code."""

    drawing: Drawing
    numbers: Mapping[str, Numbers]
    #: all plans that are open
    open_plans: int


def count(
    pathway: Pathway,
    by_kind: Mapping[str, Mapping[str, int]],
    overdue: Mapping[str, int],
    words: Words,
) -> dict[str, Numbers]:
    """Return the numbers of each stage.

    Args:
        by_kind: plans by their kind and the code of their stage, as `queries.plans_by_stage` counts them.
        overdue: plans with an overdue Task, by the code of their stage.
    """
    found = {}
    for stage in pathway.stages.values():
        apart = stage.plan_status in search_index.STANDING_APART
        kind = search_index.APART if apart else search_index.OPEN
        numbers = {
            "plans": (by_kind[kind].get(stage.code, 0), "apart" if apart else ""),
            "held": (by_kind[search_index.HELD].get(stage.code, 0), "held"),
            "overdue": (overdue.get(stage.code, 0), "overdue"),
        }
        found[stage.code] = Numbers(
            **{
                name: Number(n=n, text=words.count(f"map.{name}", n), need=need)
                for name, (n, need) in numbers.items()
            }
        )
    return found


def overdue_by_stage(open_work: Sequence[Work], places: Mapping[str, Place], pathway: str) -> dict[str, int]:
    """Return how many plans have an overdue Task, by the code of their stage, as the worklist lists them.

    Args:
        pathway: the name of one of several; empty for one alone.
    """
    filters = Filters(view="plans", need="overdue", pathway=pathway)
    found: dict[str, int] = defaultdict(int)
    for place in worklist.plans_with_work(open_work, places, filters):
        found[place.stage.code] += 1
    return dict(found)


def draw(
    pathway: Pathway, stages: Sequence[StageBox], numbers: Mapping[str, Numbers], words: Words
) -> StageMap:
    """Return the map."""

    def fill(stage: StageBox) -> Filling:
        said = numbers[stage.code]
        rest = "    ".join(number.text for number in said.shown[1:])
        return Filling(lines=(said.plans.text, rest), state="taken" if said.plans.n else "future")

    drawing = pathway_map.lay_out(
        stages, _arrows(pathway), fill, _description(stages, numbers, words), words, HEIGHT
    )
    return StageMap(
        drawing=drawing,
        numbers={node.code: _placed(numbers[node.code], node.x, node.y) for node in drawing.nodes},
        open_plans=sum(
            numbers[stage.code].plans.n
            for stage in pathway.stages.values()
            if stage.plan_status not in search_index.STANDING_APART
        ),
    )


def _placed(numbers: Numbers, x: float, y: float) -> Numbers:
    """Return the numbers with their places: the plans in the first row, the others beside one another."""
    first, second = y + 32, y + 32 + ROW + 4
    held = _at(numbers.held, x + INDENT, second)
    after = held.x + held.width + 4 if held.n else held.x
    return Numbers(
        plans=_at(numbers.plans, x + INDENT, first),
        held=held,
        overdue=_at(numbers.overdue, after, second),
    )


def _at(number: Number, x: float, y: float) -> Number:
    wide = pathway_map.wide(number.text, 6.8) + 12
    return Number(
        n=number.n, text=number.text, need=number.need, x=round(x, 1), y=round(y, 1), width=round(wide, 1)
    )


def _arrows(pathway: Pathway) -> list[Arrow]:
    """Return one arrow for each pair of stages, without what leads out of nearly everywhere."""
    steps = pathway.of_kind("transition", "decision")
    sources: dict[str, set[str]] = defaultdict(set)
    for rule in steps:
        sources[rule.code] |= set(rule.stages)
    rules: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for rule in (rule for rule in steps if len(sources[rule.code]) <= SOURCES):
        target = rule.target if rule.target in pathway.stages else None
        for source in rule.stages:
            if target is not None and target != source:
                rules[source, target].setdefault(rule.code, rule.title)
    return [
        Arrow(
            source=source,
            target=target,
            rule=", ".join(titles),
            when="",
            title=next(iter(titles.values())) if len(titles) == 1 else "",
            taken=True,
        )
        for (source, target), titles in rules.items()
    ]


def _description(stages: Sequence[StageBox], numbers: Mapping[str, Numbers], words: Words) -> str:
    return " ".join(_sentences(stages, numbers, words))


def _sentences(stages: Sequence[StageBox], numbers: Mapping[str, Numbers], words: Words) -> Iterator[str]:
    for stage in stages:
        said = ", ".join(number.text for number in numbers[stage.code].shown)
        yield words("map.said_stage", stage=stage.title, numbers=said)
