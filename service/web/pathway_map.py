"""Draw where a patient is on the pathway: stages as boxes, steps taken as arrows.

The drawing knows nothing of the pathway but the order of its stages and which of them
are open. Open stages stand in a row and the first one that is left by a person ends it;
the others stand apart, below. Steps between neighbours are straight, all others are
arcs: forward above, backward below.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.web.moments import Moments
from service.web.way import Way
from service.web.words import Words

WIDTH = 1320
MARGIN = 14
HEIGHT = 66
LANE = 26
NARROWEST_GAP = 96
#: how far the first arc is from the boxes: a label of a straight arrow fits between
CLEAR = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBox:
    """What the drawing has to know of a stage."""

    code: str
    title: str
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A box. `state`: here, taken or future."""

    code: str
    title: str
    lines: tuple[str, ...]
    state: str
    x: float
    y: float
    width: float
    height: float = HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words on an arrow, with the rectangle that keeps them readable."""

    text: str
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An arrow. `taken`: solid; otherwise dashed, it may still come."""

    path: str
    labels: tuple[Label, ...]
    taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The whole map, ready for the template."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """The steps from one stage to another: their rules, when the last was taken, and what it is called."""

    source: str
    target: str
    rule: str
    when: str
    title: str
    taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What stands in a box below the title, and its state: here, taken or future."""

    lines: tuple[str, ...]
    state: str


def draw(
    stages: Sequence[StageBox],
    way: Way,
    when: Moments,
    words: Words,
    ahead: Sequence[tuple[str, str, str]] = (),
) -> Drawing:
    """Return the map.

    Args:
        ahead: what may still come from here, as (target, rule, title).
    """
    return lay_out(
        stages,
        _arrows(way, when, ahead),
        lambda stage: Filling(lines=_lines(stage, way, when, words), state=_state(stage.code, way)),
        _description(stages, way, when, words),
        words,
    )


def lay_out(
    stages: Sequence[StageBox],
    arrows: Sequence[Arrow],
    fill: Callable[[StageBox], Filling],
    description: str,
    words: Words,
    height: float = HEIGHT,
) -> Drawing:
    """Return the places of boxes and arrows.

    Args:
        height: of a box.
        description: the same in words, for whoever does not see it.
    """
    row, apart = _places(stages)
    order = {stage.code: place for place, stage in enumerate(row)}
    # the shortest arc is the nearest, so that arcs of one stage do not cross
    above = sorted((a for a in arrows if _reach(a, order) > 1), key=lambda a: _reach(a, order))
    below = sorted((a for a in arrows if _reach(a, order) < -1), key=lambda a: -_reach(a, order))
    top = MARGIN + CLEAR + LANE * len(above)
    nodes = _row_nodes(row, fill, top, height)
    by_code = {node.code: node for node in nodes}
    right = max(WIDTH - MARGIN, nodes[-1].x + nodes[-1].width)
    bottom = top + height + CLEAR + LANE * len(below)
    for place, stage in enumerate(apart):
        node = _apart_node(stage, fill, right, bottom + place * (height + 12), height)
        nodes.append(node)
        by_code[node.code] = node
    edges: list[Edge] = []
    edges += _straight(arrows, order, by_code, words, height)
    edges += [_arc(a, by_code, top - CLEAR - lane * LANE, -1) for lane, a in enumerate(above)]
    edges += [_arc(a, by_code, top + height + CLEAR + lane * LANE, 1) for lane, a in enumerate(below)]
    edges += [_to_apart(a, by_code) for a in arrows if a.target in by_code and a.target not in order]
    edges += [_from_apart(a, by_code) for a in arrows if a.source not in order and a.target in order]
    return Drawing(
        width=right + MARGIN,
        height=max(node.y + node.height for node in nodes) + MARGIN,
        nodes=tuple(nodes),
        edges=tuple(edges),
        description=description,
    )


def _places(stages: Sequence[StageBox]) -> tuple[list[StageBox], list[StageBox]]:
    closed = [stage for stage in stages if not stage.open]
    row = [stage for stage in stages if stage.open] + closed[:1]
    return row, closed[1:]


def _arrows(way: Way, when: Moments, ahead: Sequence[tuple[str, str, str]]) -> list[Arrow]:
    """Return one arrow for each pair of stages, however often it was taken."""
    taken: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for step in way.steps:
        if not step.taken_back:
            taken[step.source, step.target].append((step.rule, when.short(step.at), step.title))
    arrows = [
        Arrow(
            source=source,
            target=target,
            rule=steps[-1][0] + (f" ×{len(steps)}" if len(steps) > 1 else ""),
            when=steps[-1][1],
            title=steps[-1][2],
            taken=True,
        )
        for (source, target), steps in taken.items()
    ]
    here = way.now.stage if way.now else ""
    possible: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for target, rule, title in ahead:
        if (here, target) not in taken and target != here:
            possible[target].append((rule, title))
    for target, rules in possible.items():
        names = list(dict.fromkeys(rule for rule, _ in rules))
        title = rules[0][1] if len(names) == 1 else ""
        shown = ", ".join(names)
        arrows.append(Arrow(source=here, target=target, rule=shown, when="", title=title, taken=False))
    return arrows


def _reach(arrow: Arrow, order: dict[str, int]) -> int:
    """Return how many places the arrow jumps in the row; 0 if it leaves the row."""
    if arrow.source not in order or arrow.target not in order:
        return 0
    return order[arrow.target] - order[arrow.source]


def _row_nodes(
    row: Sequence[StageBox], fill: Callable[[StageBox], Filling], top: float, height: float
) -> list[Node]:
    filled = [fill(stage) for stage in row]
    widths = [
        max(wide(stage.title, 8.8) + 54, *(wide(line, 6.8) + 28 for line in filling.lines), 104)
        for stage, filling in zip(row, filled, strict=True)
    ]
    gap = max(NARROWEST_GAP, (WIDTH - 2 * MARGIN - sum(widths)) / max(1, len(row) - 1))
    x: float = MARGIN
    nodes = []
    for stage, filling, width in zip(row, filled, widths, strict=True):
        nodes.append(
            Node(
                code=stage.code,
                title=stage.title,
                lines=filling.lines,
                state=filling.state,
                x=round(x, 1),
                y=top,
                width=round(width, 1),
                height=height,
            )
        )
        x += width + gap
    return nodes


def _apart_node(
    stage: StageBox, fill: Callable[[StageBox], Filling], right: float, y: float, height: float
) -> Node:
    filling = fill(stage)
    width = max(wide(stage.title, 8.8) + 54, *(wide(line, 6.8) + 28 for line in filling.lines), 220)
    return Node(
        code=stage.code,
        title=stage.title,
        # In the map of a patient one line is enough there, and the box is as high.
        lines=filling.lines[:1] if height == HEIGHT else filling.lines,
        state=filling.state,
        x=round(right - width, 1),
        y=y,
        width=round(width, 1),
        height=52 if height == HEIGHT else height,
    )


def _state(code: str, way: Way) -> str:
    if way.now and way.now.stage == code:
        return "here"
    return "taken" if any(stay.stage == code for stay in way.stays) else "future"


def _lines(stage: StageBox, way: Way, when: Moments, words: Words) -> tuple[str, ...]:
    """Return up to two lines: when the patient was here, the latest stays first to be kept."""
    stays = [stay for stay in way.stays if stay.stage == stage.code]
    if not stays:
        return (words("map.not_reached"),)
    said = []
    for stay in stays:
        if stay.until is None:
            said.append(words("map.here_since", day=when.short(stay.since)))
        elif when.local(stay.since).date() == when.local(stay.until).date():
            said.append(when.short(stay.since))
        else:
            said.append(words("map.stay", since=when.short(stay.since), until=when.short(stay.until)))
    more = len(said) - 2
    return (words("map.more", n=more + 1), said[-1]) if more > 0 else tuple(said)


def _straight(
    arrows: Sequence[Arrow], order: dict[str, int], at: dict[str, Node], words: Words, height: float
) -> list[Edge]:
    """Return the arrows between neighbours: forward in the upper half, backward in the lower."""
    edges = []
    both = {frozenset((a.source, a.target)) for a in arrows if _reach(a, order) == 1} & {
        frozenset((a.source, a.target)) for a in arrows if _reach(a, order) == -1
    }
    for arrow in arrows:
        reach = _reach(arrow, order)
        if abs(reach) != 1:
            continue
        left, right = (arrow.source, arrow.target) if reach == 1 else (arrow.target, arrow.source)
        x1, x2 = at[left].x + at[left].width, at[right].x
        middle = at[left].y + height / 2
        paired = frozenset((left, right)) in both
        y = middle + (-10 * reach if paired else 0)
        path = f"M{x1:.1f} {y}H{x2 - 4:.1f}" if reach == 1 else f"M{x2:.1f} {y}H{x1 + 4:.1f}"
        centre = (x1 + x2) / 2 - 2 * reach
        names = arrow.rule.split(", ")
        fits = wide(arrow.rule, 7.1) < x2 - x1 - 8
        shown = arrow.rule if fits else words("map.steps", n=len(names))
        if paired:
            joined = " · ".join(part for part in (shown, arrow.when) if part)
            labels: tuple[Label, ...] = (_label(joined, centre, y - 8 if reach == 1 else y + 19),)
        else:
            labels = (_label(shown, centre, y - 9),)
            if arrow.when:
                labels += (_label(arrow.when, centre, y + 19),)
        edges.append(Edge(path=path, labels=labels, taken=arrow.taken))
    return edges


def _arc(arrow: Arrow, at: dict[str, Node], lane: float, direction: int) -> Edge:
    """Return an arrow that passes other stages, above (-1) or below (1) them."""
    source, target = at[arrow.source], at[arrow.target]
    edge = source.y if direction < 0 else source.y + source.height
    x1 = source.x + source.width / 2 - 8 * direction
    x2 = target.x + target.width / 2 + 8 * direction
    bend = 44 if x2 > x1 else -44
    path = (
        f"M{x1:.1f} {edge}C{x1:.1f} {lane} {x1 + bend / 2:.1f} {lane} {x1 + bend:.1f} {lane}"
        f"H{x2 - bend:.1f}C{x2 - bend / 2:.1f} {lane} {x2:.1f} {lane} {x2:.1f} {edge + 4 * direction}"
    )
    said = " · ".join(part for part in (arrow.rule, arrow.when) if part)
    room = abs(x2 - x1) - 2 * abs(bend)
    full = f"{said}: {arrow.title}" if arrow.title else said
    text = full if wide(full, 6.8) < room else said
    return Edge(path=path, labels=(_label(text, (x1 + x2) / 2, lane + 4),), taken=arrow.taken)


def _to_apart(arrow: Arrow, at: dict[str, Node]) -> Edge:
    """Return an arrow to a stage that stands apart: down, then along."""
    source, target = at.get(arrow.source), at[arrow.target]
    said = " · ".join(part for part in (arrow.rule, arrow.when) if part)
    y = target.y + target.height / 2
    if source is None or source.y == target.y:
        return Edge(path="", labels=(), taken=arrow.taken)
    x1 = source.x + source.width / 2
    if x1 > target.x - 20:
        x = min(x1, target.x + target.width - 20)
        path = f"M{x:.1f} {source.y + source.height}V{target.y - 4}"
        return Edge(
            path=path, labels=(_label(said, x - 46, source.y + source.height + 22),), taken=arrow.taken
        )
    path = f"M{x1:.1f} {source.y + source.height}V{y - 12}Q{x1:.1f} {y} {x1 + 12:.1f} {y}H{target.x - 4}"
    return Edge(path=path, labels=(_label(said, (x1 + target.x) / 2, y + 4),), taken=arrow.taken)


def _from_apart(arrow: Arrow, at: dict[str, Node]) -> Edge:
    """Return an arrow back into the row: along, then up."""
    source, target = at[arrow.source], at[arrow.target]
    said = " · ".join(part for part in (arrow.rule, arrow.when) if part)
    y = source.y + source.height - 8
    x = target.x + target.width / 2 + 16
    if x > source.x:
        path = f"M{x:.1f} {source.y}V{target.y + target.height + 4}"
        return Edge(
            path=path, labels=(_label(said, x - 50, target.y + target.height + 22),), taken=arrow.taken
        )
    path = f"M{source.x} {y}H{x + 12:.1f}Q{x:.1f} {y} {x:.1f} {y - 12}V{target.y + target.height + 4}"
    return Edge(path=path, labels=(_label(said, (x + source.x) / 2, y + 4),), taken=arrow.taken)


def _label(text: str, x: float, y: float) -> Label:
    return Label(text=text, x=round(x, 1), y=round(y, 1), width=round(wide(text, 7.1) + 10, 1))


def wide(text: str, per_letter: float) -> float:
    """Return about how wide a text is drawn: SVG cannot be asked without a browser."""
    return len(text) * per_letter


def _description(stages: Sequence[StageBox], way: Way, when: Moments, words: Words) -> str:
    titles = {stage.code: stage.title for stage in stages}
    said = [
        words(
            "map.said_step",
            source=titles.get(step.source, step.source),
            target=titles.get(step.target, step.target),
            rule=step.rule,
            day=when.plain(step.at),
        )
        for step in way.steps
        if not step.taken_back
    ]
    if way.now:
        said.append(words("map.said_here", stage=titles.get(way.now.stage, way.now.stage)))
    return " ".join(said)
