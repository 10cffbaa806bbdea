"""Queries: sources, lets, relationships, where, return or aggregate, sort; and the loops like them."""

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cmp_to_key
from itertools import product
from typing import Any

from pathways.cql import lists
from pathways.cql.comparison import ranked
from pathways.cql.compiler import Compiler, node
from pathways.cql.nodes.references import of_row
from pathways.cql.nodes.values import constant
from pathways.cql.refusal import Unsupported
from pathways.cql.scope import Closure, Level, Node, Scope, Slots
from pathways.cql.temporal import Temporal
from pathways.cql.values import Tuple

Rows = Iterator[None]
#: what answers the rows, the slot of each, and its name
Source = tuple[Closure, int, str]
#: what answers each value that is named once a row, and its slot
Lets = list[tuple[Closure, int]]
#: makes the answer from what was found for each row, and whether there may be many
Arrange = Callable[[Any, Slots, list[Any], bool], Any]
#: the same from going through the rows
Finish = Callable[[Any, Slots, Rows, bool], Any]


@node("Query")
def _query(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    inner, level = scope.query()
    # A source sees what is outside the query, not the query's other rows.
    sources = [_source(compiler, source, scope, inner) for source in node["source"]]
    *outer, inmost = [slot for _, slot, _ in sources]
    lets = [
        (compiler.expression(let["expression"], inner), inner.add(let["identifier"]))
        for let in node.get("let", [])
    ]
    conditions = [_relationship(compiler, each, inner) for each in node.get("relationship", [])]
    if node.get("where"):
        conditions.append(compiler.expression(node["where"], inner))
    if node.get("aggregate"):
        finish = _aggregated(compiler, node["aggregate"], inner, sources)
    else:
        returned, arranged = _returned(compiler, node, inner, sources), _arranged(compiler, node, inner)
        if len(sources) == 1:
            return _of_one(sources[0], lets, conditions, returned, arranged, level)
        finish = _listed(returned, arranged)
    rows_kept = _rows(lets, conditions, outer, inmost)

    def asked(run: Any, slots: Slots) -> Any:
        for slot in level.kept:
            slots[slot] = None
        many = False
        given: list[list[Any]] = []
        for source, _, _ in sources:
            rows = source(run, slots)
            if rows is None:
                return None
            many = many or isinstance(rows, list)
            given.append(rows if isinstance(rows, list) else [rows])
        run.spend(math.prod(map(len, given)))
        return finish(run, slots, rows_kept(run, slots, given), many)

    return asked


def _of_one(
    source: Source, lets: Lets, conditions: list[Closure], returned: Closure, arranged: Arrange, level: Level
) -> Closure:
    """Return a query of one source without an aggregate, as nearly all are: the same in a plain loop."""
    rows_of, alias, _ = source

    def asked(run: Any, slots: Slots) -> Any:
        for slot in level.kept:
            slots[slot] = None
        rows = rows_of(run, slots)
        if rows is None:
            return None
        many = isinstance(rows, list)
        if not many:
            rows = [rows]
        run.spend(len(rows))
        found: list[Any] = []
        for row in rows:
            slots[alias] = row
            for let, slot in lets:
                slots[slot] = let(run, slots)
            for condition in conditions:
                if condition(run, slots) is not True:
                    break
            else:
                found.append(returned(run, slots))
        return arranged(run, slots, found, many)

    return asked


def _rows(
    lets: Lets, conditions: list[Closure], outer: list[int], inmost: int
) -> Callable[[Any, Slots, list[list[Any]]], Rows]:
    """Return what goes through the rows of the last source, for each combination of those of the others."""

    def rows_kept(run: Any, slots: Slots, given: list[list[Any]]) -> Rows:
        *others, last = given
        for combination in product(*others):
            for slot, row in zip(outer, combination, strict=True):
                slots[slot] = row
            for row in last:
                slots[inmost] = row
                for let, slot in lets:
                    slots[slot] = let(run, slots)
                for condition in conditions:
                    if condition(run, slots) is not True:
                        break
                else:
                    yield

    return rows_kept


def _source(compiler: Compiler, source: Node, scope: Scope, inner: Scope) -> Source:
    closure = compiler.expression(source["expression"], scope)
    return closure, inner.add(source["alias"]), source["alias"]


def _relationship(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    if node["type"] not in ("With", "Without"):
        raise Unsupported(f"relationship {node['type']}", "write `with` or `without`")
    source = compiler.expression(node["expression"], scope)
    inner = scope.inner()
    slot = inner.add(node["alias"])
    such_that = compiler.expression(node["suchThat"], inner)
    wanted: bool = node["type"] == "With"

    def related(run: Any, slots: Slots) -> bool:
        rows = source(run, slots)
        rows = rows if isinstance(rows, list) else [] if rows is None else [rows]
        run.spend(len(rows))
        for row in rows:
            slots[slot] = row
            if such_that(run, slots) is True:
                return wanted
        return not wanted

    return related


def _listed(returned: Closure, arranged: Arrange) -> Finish:
    def finish(run: Any, slots: Slots, rows: Rows, many: bool) -> Any:
        return arranged(run, slots, [returned(run, slots) for _ in rows], many)

    return finish


def _arranged(compiler: Compiler, node: Node, scope: Scope) -> Arrange:
    """Return what makes the answer of what was returned for each row: once, in order, or the only one."""
    # Without a return clause nothing is dropped; with one, repetitions are, unless it says `all`.
    once = node["return"].get("distinct", True) if node.get("return") else False
    sort = _sort(compiler, node["sort"], scope) if node.get("sort") else None

    def arranged(run: Any, slots: Slots, found: list[Any], many: bool) -> Any:
        if not many:
            return found[0] if found else None
        if once:
            found = lists.distinct(found)
        return sort(run, slots, found) if sort else found

    return arranged


def _returned(compiler: Compiler, node: Node, scope: Scope, sources: list[Source]) -> Closure:
    if node.get("return"):
        if "distinct" not in node["return"] and not compiler.program.plain_return:
            raise Unsupported(
                "a return that says neither `all` nor `distinct`, and so drops repetitions",
                "write `return all`",
            )
        return compiler.expression(node["return"]["expression"], scope)
    if len(sources) == 1:
        only = sources[0][1]
        return lambda _run, slots: slots[only]
    return lambda _run, slots: Tuple((alias, slots[slot]) for _, slot, alias in sources)


def _aggregated(compiler: Compiler, node: Node, scope: Scope, sources: list[Source]) -> Finish:
    starting = compiler.expression(node["starting"], scope) if node.get("starting") else constant(None)
    inner = scope.inner()
    total = inner.add(node["identifier"])
    step = compiler.expression(node["expression"], inner)
    once = node.get("distinct", False)

    def finish(run: Any, slots: Slots, rows: Rows, _many: bool) -> Any:
        slots[total] = starting(run, slots)
        seen: list[Any] = []
        for _ in rows:
            if once:
                row = [slots[slot] for _, slot, _ in sources]
                if lists.contains(seen, row):
                    continue
                seen.append(row)
            slots[total] = step(run, slots)
        return slots[total]

    return finish


Sort = Callable[[Any, Slots, list[Any]], list[Any]]


def _sort(compiler: Compiler, node: Node, scope: Scope) -> Sort:
    keys = [(_sort_key(compiler, by, scope), by["direction"].startswith("desc")) for by in node["by"]]

    def sort(run: Any, slots: Slots, rows: list[Any]) -> list[Any]:
        # The last key first: Python's sort keeps the order of what it finds alike.
        if len(rows) < 2:
            return rows
        for key, down in reversed(keys):
            ranks = _sortable([key(run, slots, row) for row in rows])
            places = sorted(range(len(rows)), key=ranks.__getitem__, reverse=down)
            rows = [rows[place] for place in places]
        return rows

    return sort


def _sort_key(compiler: Compiler, by: Node, scope: Scope) -> Callable[[Any, Slots, Any], Any]:
    match by["type"]:
        case "ByDirection":
            return lambda _run, _slots, row: row
        case "ByColumn":
            path = by["path"]
            return lambda _run, _slots, row: of_row(row, path)
        case "ByExpression":
            inner = scope.inner()
            slot = inner.add("$this")
            key = compiler.expression(by["expression"], inner)

            def keyed(run: Any, slots: Slots, row: Any) -> Any:
                slots[slot] = row
                return key(run, slots)

            return keyed
        case kind:
            raise Unsupported(f"sort {kind}", "sort by direction, column or expression")


def _sortable(keys: list[Any]) -> list[Any]:
    # Python sorts keys of one kind, and dates of one precision, by itself and much faster.
    kinds = {type(key) for key in keys}
    if len(kinds) == 1 and kinds <= {int, str, Decimal}:
        return keys
    if len(kinds) == 1 and isinstance(keys[0], Temporal):
        fields = [key.at_home() for key in keys]
        if len({len(each) for each in fields}) == 1:
            return fields
    return [_ordered(key) for key in keys]


def _nulls_first(left: Any, right: Any) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    return ranked(left, right)


_ordered: Any = cmp_to_key(_nulls_first)


@node("ForEach", "Filter")
def _loop(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    source = compiler.expression(node["source"], scope)
    inner = scope.inner()
    this, index = inner.add(node.get("scope") or "$this"), inner.add("$index")
    inner.names.setdefault("$this", this)
    keep = node["type"] == "Filter"
    element = compiler.expression(node["condition" if keep else "element"], inner)

    def looped(run: Any, slots: Slots) -> Any:
        rows = source(run, slots)
        if rows is None:
            return None
        found: list[Any] = []
        run.spend(len(rows))
        for at, row in enumerate(rows):
            slots[this], slots[index] = row, at
            value = element(run, slots)
            if not keep:
                found.append(value)
            elif value is True:
                found.append(row)
        return found

    return looped
