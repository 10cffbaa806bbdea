"""Operators that are a pure function of their operands: one table row each.

Most answer null when any operand is null; the rows that do not say so.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pathways.cql import (
    arithmetic,
    calendar_steps,
    comparison,
    conversion,
    dates,
    intervals,
    lists,
    series,
    strings,
)
from pathways.cql.compiler import Compiler, node, operand_type
from pathways.cql.refusal import Unanswerable, Unsupported
from pathways.cql.scope import Closure, Node, Scope
from pathways.cql.values import Interval, Quantity

Operator = Callable[..., Any]


def _operands(
    compiler: Compiler, node: Node, scope: Scope, names: Sequence[str] = ("operand",)
) -> list[Closure]:
    found: list[Closure] = []
    for name in names:
        part = node.get(name)
        parts = part if isinstance(part, list) else [part]
        found.extend(compiler.optional(each, scope) for each in parts)
    return found


def _strict(of: Operator, operands: list[Closure]) -> Closure:
    if len(operands) == 1:
        [only] = operands

        def one(run: Any, slots: Any) -> Any:
            value = only(run, slots)
            return None if value is None else of(value)

        return one
    if len(operands) == 2:
        left, right = operands

        def two(run: Any, slots: Any) -> Any:
            ours = left(run, slots)
            if ours is None:
                return None
            theirs = right(run, slots)
            return None if theirs is None else of(ours, theirs)

        return two

    def several(run: Any, slots: Any) -> Any:
        values = [operand(run, slots) for operand in operands]
        return None if None in values else of(*values)

    return several


def _lenient(of: Operator, operands: list[Closure]) -> Closure:
    return lambda run, slots: of(*[operand(run, slots) for operand in operands])


def _or_null(of: Operator) -> Operator:
    # Null when the first operand is; the others have a meaning of their own when they are null.
    return lambda value, *rest: None if value is None else of(value, *rest)


def _of_known(of: Operator) -> Operator:
    # A quantity whose value is null has a unit and no amount: what is computed from it is null too.
    def computed(*values: Any) -> Any:
        for value in values:
            if type(value) is Quantity and value.value is None:
                return None
        return of(*values)

    return computed


STRICT: dict[str, Operator] = {
    "Abs": _of_known(arithmetic.absolute),
    "Add": _of_known(arithmetic.add),
    "Subtract": _of_known(arithmetic.subtract),
    "Multiply": _of_known(arithmetic.multiply),
    "Divide": _of_known(arithmetic.divide),
    "TruncatedDivide": _of_known(arithmetic.truncated_divide),
    "Modulo": _of_known(arithmetic.modulo),
    "Power": arithmetic.power,
    "Ceiling": arithmetic.ceiling,
    "Floor": arithmetic.floor,
    "Truncate": arithmetic.truncate,
    "Ln": arithmetic.ln,
    "Log": arithmetic.log,
    "Exp": arithmetic.exp,
    "Successor": arithmetic.successor,
    "Predecessor": arithmetic.predecessor,
    "Precision": arithmetic.precision,
    "Equal": comparison.equal,
    "NotEqual": lambda left, right: comparison.opposite(comparison.equal(left, right)),
    "Less": comparison.less,
    "LessOrEqual": comparison.at_most,
    "Greater": comparison.greater,
    "GreaterOrEqual": comparison.at_least,
    "Concatenate": lambda *parts: "".join(parts),
    "Upper": str.upper,
    "Lower": str.lower,
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Matches": strings.matches,
    "ReplaceMatches": strings.replace_matches,
    "ToBoolean": conversion.to_boolean,
    "ToInteger": conversion.to_integer,
    "ToLong": conversion.to_long,
    "ToDecimal": conversion.to_decimal,
    "ToString": conversion.to_string,
    "ToDate": conversion.to_date,
    "ToDateTime": conversion.to_datetime,
    "ToTime": conversion.to_time,
    "ToQuantity": conversion.to_quantity,
    "ToRatio": conversion.to_ratio,
    "ToConcept": conversion.to_concept,
    "ToChars": conversion.to_chars,
    "ConvertQuantity": conversion.convert_quantity,
    "CanConvertQuantity": conversion.can_convert_quantity,
    "DateFrom": dates.date_from,
    "TimeFrom": dates.time_from,
    "TimezoneOffsetFrom": dates.offset_from,
    "Start": intervals.start,
    "End": intervals.end,
    "Width": intervals.width,
    "Size": intervals.size,
    "PointFrom": intervals.point_from,
    "Flatten": lists.flattened,
    "Distinct": lists.distinct,
    "SingletonFrom": lists.single,
}

LENIENT: dict[str, Operator] = {
    "Equivalent": comparison.equivalent,
    "Exists": lists.exists,
    "ToList": conversion.to_list,
    "Collapse": _or_null(lambda items, per=None: intervals.collapsed(items, per)),
    "LowBoundary": _or_null(lambda value, digits=None: arithmetic.low_boundary(value, digits)),
    "HighBoundary": _or_null(lambda value, digits=None: arithmetic.high_boundary(value, digits)),
}

# Node types whose operands have names of their own: the names, the function, and whether null goes through.
NAMED: dict[str, tuple[tuple[str, ...], Operator, bool]] = {
    "Round": (("operand", "precision"), _or_null(arithmetic.rounded), False),
    "First": (("source",), lambda items: items[0] if items else None, True),
    "Last": (("source",), lambda items: items[-1] if items else None, True),
    "IndexOf": (("source", "element"), lists.index_of, True),
    "Indexer": (("operand",), lists.at, True),
    "Slice": (("source", "startIndex", "endIndex"), _or_null(lists.portion), False),
    "Combine": (("source", "separator"), _or_null(strings.combined), False),
    "Split": (("stringToSplit", "separator"), _or_null(strings.split), False),
    "SplitOnMatches": (("stringToSplit", "separatorPattern"), strings.split_on_matches, True),
    "PositionOf": (("pattern", "string"), strings.position_of, True),
    "LastPositionOf": (("pattern", "string"), strings.last_position_of, True),
    "Substring": (("stringToSub", "startIndex", "length"), _or_null(strings.substring), False),
}

AGGREGATES: dict[str, Operator] = {
    "Count": lambda items: len(lists.values(items)),
    "Sum": lists.total,
    "Product": lists.product,
    "Min": lists.smallest,
    "Max": lists.greatest,
    "Avg": lists.mean,
    "Median": lists.median,
    "Mode": lists.modes,
    "GeometricMean": lists.geometric_mean,
    "Variance": lists.variance,
    "PopulationVariance": lists.population_variance,
    "StdDev": lists.deviation,
    "PopulationStdDev": lists.population_deviation,
    "AllTrue": lists.all_true,
    "AnyTrue": lists.any_true,
}

# What two intervals, or an interval and a point, may be to each other.
RELATIONS: dict[str, Operator] = {
    "Before": intervals.before,
    "After": intervals.after,
    "SameOrBefore": intervals.same_or_before,
    "SameOrAfter": intervals.same_or_after,
    "SameAs": intervals.same_as,
    "Overlaps": intervals.overlaps,
    "OverlapsBefore": intervals.overlaps_before,
    "OverlapsAfter": intervals.overlaps_after,
    "Meets": intervals.meets,
    "MeetsBefore": intervals.meets_before,
    "MeetsAfter": intervals.meets_after,
    "Starts": intervals.starts,
    "Ends": intervals.ends,
}

# Membership, of an interval and of a list; the second of each pair has the container on the right.
_CONTAINERS: dict[str, tuple[Operator, Operator]] = {
    "Contains": (intervals.contains, lists.contains),
    "ProperContains": (intervals.properly_contains, lists.properly_contains),
    "Includes": (intervals.includes, lists.includes),
    "ProperIncludes": (intervals.properly_includes, lists.properly_includes),
}
_REVERSED = {
    "In": "Contains",
    "ProperIn": "ProperContains",
    "IncludedIn": "Includes",
    "ProperIncludedIn": "ProperIncludes",
}
_SETS: dict[str, tuple[Operator, Operator]] = {
    "Union": (intervals.union, lists.union),
    "Intersect": (intervals.intersect, lists.intersect),
    "Except": (intervals.difference, lists.difference),
}


@node(*STRICT)
def _plain(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _strict(STRICT[node["type"]], _operands(compiler, node, scope))


@node(*LENIENT)
def _with_nulls(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _lenient(LENIENT[node["type"]], _operands(compiler, node, scope))


@node("Expand")
def _expand(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operands = _operands(compiler, node, scope)

    def expanded(run: Any, slots: Any) -> Any:
        source, *per = [operand(run, slots) for operand in operands]
        points = None if source is None else series.expanded(source, *per or [None])
        run.spend(len(points or ()))
        return points

    return expanded


@node(*NAMED)
def _named(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    names, of, strict = NAMED[node["type"]]
    return (_strict if strict else _lenient)(of, _operands(compiler, node, scope, names))


@node("Length")
def _length(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    # The length of no list is 0, that of no text is unknown.
    nothing = 0 if operand_type(node) == "List" else None
    return _lenient(lambda value: nothing if value is None else len(value), _operands(compiler, node, scope))


@node(*AGGREGATES)
def _aggregate(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    if node.get("path"):
        raise Unsupported("an aggregate with a path", "aggregate a query that returns the element")
    return _lenient(AGGREGATES[node["type"]], _operands(compiler, node, scope, ("source",)))


@node(*RELATIONS)
def _relation(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    return _strict(_at_precision(RELATIONS[node["type"]], node), _operands(compiler, node, scope))


@node(*_CONTAINERS, *_REVERSED)
def _membership(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    operands = _operands(compiler, node, scope)
    signature = [operand_type(node, at) for at in (0, 1)]
    name = node["type"]
    if name in _REVERSED:
        name = _REVERSED[name]
        operands.reverse()
        signature.reverse()
    of_interval, of_list = _CONTAINERS[name]
    of_interval = _at_precision(of_interval, node)
    container, member = operands
    single = name in ("Contains", "ProperContains")

    def asked(run: Any, slots: Any) -> Any:
        whole, part = container(run, slots), member(run, slots)
        if whole is None:
            # Nothing is in what is not there; whether that includes something else is not known.
            return False if name == "Contains" or (single and signature[0] == "List") else None
        if isinstance(whole, Interval):
            return None if part is None else of_interval(whole, part)
        if not isinstance(whole, list):
            raise Unanswerable("membership of what is no list and no interval")
        return None if part is None and not single else of_list(whole, part)

    return asked


@node(*_SETS)
def _set(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    left, right = _operands(compiler, node, scope)
    of_interval, of_list = _SETS[node["type"]]
    name, of_lists = node["type"], "List" in (operand_type(node, 0), operand_type(node, 1))

    def combined(run: Any, slots: Any) -> Any:
        ours, theirs = left(run, slots), right(run, slots)
        if (
            isinstance(ours, Interval)
            or isinstance(theirs, Interval)
            or (ours is theirs is None and not of_lists)
        ):
            return None if ours is None or theirs is None else of_interval(ours, theirs)
        if name == "Union":
            return of_list(ours or [], theirs or [])
        if ours is None:
            return None
        return of_list(ours, theirs) if theirs is not None else ours if name == "Except" else None

    return combined


@node("Now", "Today", "TimeOfDay")
def _clock(_compiler: Compiler, node: Node, _scope: Scope) -> Closure:
    match node["type"]:
        case "Now":
            return lambda run, _slots: run.moment
        case "Today":
            return lambda run, _slots: run.moment.date()
        case _:
            return lambda run, _slots: conversion.to_time(run.moment)


@node("DateTimeComponentFrom")
def _component(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    precision = node["precision"].lower()
    return _strict(lambda value: value.known(precision), _operands(compiler, node, scope))


@node("DifferenceBetween", "DurationBetween")
def _between(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    precision = node["precision"].lower()
    of = calendar_steps.difference if node["type"] == "DifferenceBetween" else calendar_steps.duration
    return _strict(lambda left, right: of(left, right, precision), _operands(compiler, node, scope))


@node("CalculateAge", "CalculateAgeAt")
def _age(compiler: Compiler, node: Node, scope: Scope) -> Closure:
    precision = node["precision"].lower()
    operands = _operands(compiler, node, scope)
    if node["type"] == "CalculateAge":
        operands.append(lambda run, _slots: run.moment)
    return _strict(lambda born, at: dates.age(born, at, precision), operands)


def _at_precision(of: Operator, node: Node) -> Operator:
    if "precision" not in node:
        return of
    precision = node["precision"].lower()
    return lambda left, right: of(left, right, precision)
