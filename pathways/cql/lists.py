"""Lists: membership, sets, positions, and the aggregates over them.

Two nulls count as one element in set operations and in `distinct`.

https://cql.hl7.org/09-b-cqlreference.html#list-operators-2
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

from pathways.cql import arithmetic, intervals
from pathways.cql.comparison import Truth, equal, opposite, ranked, same
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import Temporal
from pathways.cql.values import Code, Interval, Labelled, Quantity, Uncertainty

_PLAIN = (str, int)
# The elements of a tuple or a resource whose groups tell it from others.
_TELLING = (str, int, Decimal, Temporal, Code, Uncertainty)
# More comparisons than this take seconds: lists of values that must all be compared are too long.
_MOST_COMPARED = 500_000
# One list may be in another many times, so that little becomes much when they are made one.
_MOST_TOGETHER = 1_000_000


class _Members:
    """Values in groups outside of which nothing is the same, so that few must be compared."""

    def __init__(self, items: Sequence[Any] = ()) -> None:
        self._groups: dict[Any, list[Any]] = {}
        self._compared = 0
        for item in items:
            self.add(item)

    def add(self, value: Any) -> None:
        self._groups.setdefault(_group(value), []).append(value)

    def same_as(self, value: Any) -> int:
        """Return how many are the same as the value."""
        group = self._groups.get(_group(value), ())
        self._compared += len(group)
        if self._compared > _MOST_COMPARED:
            raise Unanswerable("lists too long to compare each element with each")
        return sum(same(item, value) for item in group)


def _group(value: Any) -> Any:
    """Return a key that values have in common if they are the same; others may share it."""
    if isinstance(value, Labelled):
        value = value.json
    if isinstance(value, bool):
        return bool, value
    if value is None or isinstance(value, (str, int, float, Decimal)):
        return value
    if isinstance(value, Temporal):
        return type(value), value.at_home()
    if isinstance(value, Code):
        return Code, value.code
    if isinstance(value, Uncertainty):
        return value.low
    if isinstance(value, Interval):
        return Interval, _group(intervals.start(value)), _group(intervals.end(value))
    if isinstance(value, dict):
        return dict, frozenset(
            (name, _group(each)) for name, each in value.items() if isinstance(each, _TELLING)
        )
    return type(value)


def contains(items: Sequence[Any], value: Any) -> bool:
    """Return whether the value is in the list; a null is in it when a null is."""
    return any(same(item, value) for item in items)


def properly_contains(items: Sequence[Any], value: Any) -> Truth:
    """Return whether the value is in the list with others, unknown where a null or vague one decides."""
    answers = [item is None if value is None else equal(item, value) for item in items]
    is_in = any_known(answers)
    return is_in and opposite(None if None in answers and False not in answers else False not in answers)


def any_known(answers: Sequence[Truth]) -> Truth:
    """Return whether some answer is true, unknown if it may be."""
    if True in answers:
        return True
    return None if None in answers else False


def includes(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Return whether everything in the right list is in the left one."""
    members = _Members(left)
    return all(members.same_as(item) for item in right)


def properly_includes(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Return whether the left list includes the right one and more."""
    return includes(left, right) and not includes(right, left)


def distinct(items: Sequence[Any]) -> list[Any]:
    """Return the list without repetitions, in the order of first occurrence."""
    if all(type(item) in _PLAIN for item in items) and len({type(item) for item in items}) < 2:
        return list(dict.fromkeys(items))
    kept, members = [], _Members()
    for item in items:
        if not members.same_as(item):
            kept.append(item)
            members.add(item)
    return kept


def union(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Return what is in either list, once."""
    return distinct([*left, *right])


def intersect(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Return what is in both lists, once."""
    members = _Members(right)
    return [item for item in distinct(left) if members.same_as(item)]


def difference(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Return what is in the left list only, once."""
    members = _Members(right)
    return [item for item in distinct(left) if not members.same_as(item)]


def flattened(lists: Sequence[Any]) -> list[Any]:
    """Return the elements of the lists in one list."""
    if sum(len(inner) for inner in lists if inner is not None) > _MOST_TOGETHER:
        raise Unanswerable("lists too long to make one of them")
    return [item for inner in lists if inner is not None for item in inner]


def exists(items: Sequence[Any] | None) -> bool:
    """Return whether the list has an element that is not null."""
    return items is not None and any(item is not None for item in items)


def single(items: Sequence[Any]) -> Any:
    """Return the only element, null for none.

    Raises:
        Unanswerable: there are several.
    """
    if len(items) > 1:
        raise Unanswerable("singleton from a list of several")
    return items[0] if items else None


def at(items: Sequence[Any] | str, index: int | None) -> Any:
    """Return the element at the zero-based index, null when there is none."""
    return items[index] if index is not None and 0 <= index < len(items) else None


def index_of(items: Sequence[Any], value: Any) -> int | None:
    """Return the zero-based index of the value, -1 when it is not there, null for null."""
    if value is None:
        return None
    return next((index for index, item in enumerate(items) if equal(item, value) is True), -1)


def portion(items: Sequence[Any], start: int | None, end: int | None) -> list[Any]:
    """Return the elements from start up to, not including, end."""
    begin = 0 if start is None else start
    stop = len(items) if end is None else end
    return list(items[begin:stop]) if 0 <= begin < stop else []


def values(items: Sequence[Any] | None) -> list[Any]:
    """Return the elements that are not null."""
    return [] if items is None else [item for item in items if item is not None]


def total(items: Sequence[Any]) -> Any:
    """Return the sum, null of nothing."""
    known = values(items)
    return reduce(_added, known) if known else None


def product(items: Sequence[Any]) -> Any:
    """Return the product, null of nothing."""
    known = values(items)
    return (
        reduce(lambda left, right: None if left is None else arithmetic.multiply(left, right), known)
        if known
        else None
    )


def smallest(items: Sequence[Any]) -> Any:
    """Return the least element, null of nothing."""
    known = values(items)
    return reduce(lambda kept, item: item if ranked(item, kept) < 0 else kept, known) if known else None


def greatest(items: Sequence[Any]) -> Any:
    """Return the greatest element, null of nothing."""
    known = values(items)
    return reduce(lambda kept, item: item if ranked(kept, item) < 0 else kept, known) if known else None


def mean(items: Sequence[Any]) -> Any:
    """Return the mean, null of nothing."""
    known = values(items)
    return _over(total(known), len(known))


def median(items: Sequence[Any]) -> Any:
    """Return the middle of the ordered values, or the mean of the two in the middle."""
    return _on_numbers(items, statistics.median)


def modes(items: Sequence[Any]) -> Any:
    """Return the most frequent value; of several as frequent, the first met."""
    known = values(items)
    if not known:
        return None
    if all(type(item) in _PLAIN for item in known):
        return Counter(known).most_common(1)[0][0]
    return max(known, key=_Members(known).same_as)


def geometric_mean(items: Sequence[Any]) -> Any:
    """Return the nth root of the product of n values."""
    known = values(items)
    if not known:
        return None
    return arithmetic.power(Decimal(total_product(known)), Decimal(1) / len(known))


def total_product(items: Sequence[Any]) -> Any:
    """Return the product of numbers without a limit on its size."""
    return reduce(lambda left, right: Decimal(left) * Decimal(right), items)


def variance(items: Sequence[Any]) -> Any:
    """Return the sample variance, null of fewer than two values."""
    return _on_numbers(items, statistics.variance, needs=2)


def population_variance(items: Sequence[Any]) -> Any:
    """Return the population variance."""
    return _on_numbers(items, statistics.pvariance)


def deviation(items: Sequence[Any]) -> Any:
    """Return the sample standard deviation, null of fewer than two values."""
    return _on_numbers(items, statistics.stdev, needs=2)


def population_deviation(items: Sequence[Any]) -> Any:
    """Return the population standard deviation."""
    return _on_numbers(items, statistics.pstdev)


def all_true(items: Sequence[Truth] | None) -> bool:
    """Return whether no element is false; nothing known counts as true."""
    return not any(item is False for item in items or ())


def any_true(items: Sequence[Truth] | None) -> bool:
    """Return whether some element is true."""
    return any(item is True for item in items or ())


def _added(left: Any, right: Any) -> Any:
    return None if left is None else arithmetic.add(left, right)


def _over(value: Any, count: int) -> Any:
    return None if value is None else arithmetic.divide(value, Decimal(count))


def _on_numbers(items: Sequence[Any], of: Any, *, needs: int = 1) -> Any:
    known = values(items)
    if len(known) < needs:
        return None
    if isinstance(known[0], Quantity):
        first = known[0]
        numbers = [item.value for item in known if item.unit == first.unit]
        if len(numbers) < len(known):
            raise Unanswerable("quantities of different units")
        # Squares would need a unit of their own; CQL keeps the unit of the values.
        return Quantity(arithmetic.number(Decimal(of(numbers))), first.unit)
    return arithmetic.number(Decimal(of([Decimal(item) for item in known])))
