"""Equality, equivalence and order, with unknown as the third answer.

https://cql.hl7.org/09-b-cqlreference.html#comparison-operators-4
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pathways.cql import temporal, units
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import Temporal
from pathways.cql.values import Code, Concept, Interval, Labelled, Quantity, Ratio, Tuple, Uncertainty

Truth = bool | None


def both(answers: Iterable[Truth]) -> Truth:
    """Return the conjunction: false if any is, else unknown if any is."""
    unknown = False
    for answer in answers:
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True


def opposite(answer: Truth) -> Truth:
    """Return the negation; unknown stays unknown."""
    return None if answer is None else not answer


def equal(left: Any, right: Any) -> Truth:
    """Return whether two values are the same, unknown where either is not fully known."""
    if left is None or right is None:
        return None
    kind = type(left)
    if kind is str or kind is bool:
        return bool(left == right) if type(right) is kind else False
    if isinstance(left, list) and isinstance(right, list):
        return _equal_lists(left, right)
    if isinstance(left, (int, Decimal, Temporal, Quantity, Uncertainty)):
        return _ordered_equal(left, right)
    if isinstance(left, Interval) and isinstance(right, Interval):
        from pathways.cql.intervals import end, start  # an interval's bounds are compared as values here

        return both((equal(start(left), start(right)), equal(end(left), end(right))))
    return _equal_structures(left, right)


def same(left: Any, right: Any) -> bool:
    """Return whether two values count as one in a list: equal, or both null."""
    return (left is None and right is None) or equal(left, right) is True


def equivalent(left: Any, right: Any) -> bool:
    """Return whether two values mean the same; never unknown, and two nulls do."""
    if left is None or right is None:
        return left is right
    if isinstance(left, Concept) or isinstance(right, Concept):
        others = _codes(right)
        for ours in _codes(left):
            for theirs in others:
                if equivalent(ours, theirs):
                    return True
        return False
    if isinstance(left, Code):
        return isinstance(right, Code) and left.code == right.code and left.system == right.system
    if isinstance(left, str):
        return isinstance(right, str) and _words(left) == _words(right)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return _equivalent_decimals(Decimal(left), Decimal(right))
    if isinstance(left, Temporal):
        return type(left) is type(right) and temporal.compare(left, right) == 0
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _equivalent_quantities(left, right)
    return _equivalent_structures(left, right)


def order(left: Any, right: Any, precision: str | None = None) -> int | None:
    """Return -1, 0 or 1 for two values of one ordered type, or None where unknown.

    Raises:
        Unanswerable: the values have no order.
    """
    if left is None or right is None:
        return None
    kind = type(left)
    if kind is type(right) and (kind is int or kind is Decimal or kind is str):
        return int(left > right) - int(left < right)
    if isinstance(left, Temporal):
        if type(left) is not type(right):
            raise Unanswerable("values of different types have no order")
        return temporal.compare(left, right, precision)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _order_quantities(left, right)
    if isinstance(left, Uncertainty) or isinstance(right, Uncertainty):
        return _order_uncertain(_spread(left), _spread(right))
    if isinstance(left, str) is not isinstance(right, str) or not isinstance(left, (int, str, Decimal)):
        raise Unanswerable("values of these types have no order")
    return int(left > right) - int(left < right)


def ranked(left: Any, right: Any) -> int:
    """Return the order of two values where there must be one, as in a sort: the vaguer first.

    Of dates that are the same as far as both are known, the less precise counts as the earlier; other
    values whose order is not known count as the same.
    """
    answer = order(left, right)
    if answer is None and isinstance(left, Temporal):
        return len(left.fields) - len(right.fields)
    return answer or 0


def less(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether left is before right in order."""
    if type(left) is type(right) is int:
        return bool(left < right)
    if type(left) is Uncertainty or type(right) is Uncertainty:
        return _certainly_less(left, right)
    answer = order(left, right, precision)
    return None if answer is None else answer < 0


def at_most(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether left is before right in order, or the same."""
    if type(left) is Uncertainty or type(right) is Uncertainty:
        return opposite(_certainly_less(right, left))
    answer = order(left, right, precision)
    return None if answer is None else answer <= 0


def greater(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether left is after right in order."""
    return less(right, left, precision)


def at_least(left: Any, right: Any, precision: str | None = None) -> Truth:
    """Return whether left is after right in order, or the same."""
    return at_most(right, left, precision)


def _ordered_equal(left: Any, right: Any) -> Truth:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal)):
        return bool(left == right)
    if isinstance(left, Uncertainty) or isinstance(right, Uncertainty):
        if not isinstance(left, (int, Uncertainty)) or not isinstance(right, (int, Uncertainty)):
            return False
        answer = _order_uncertain(_spread(left), _spread(right))
        return None if answer is None else answer == 0
    if type(left) is not type(right):
        return False
    answer = order(left, right)
    return None if answer is None else answer == 0


def _order_quantities(left: Quantity, right: Quantity) -> int | None:
    if left.value is None or right.value is None:
        return None
    ours, theirs = left.value, units.converted(right.value, right.unit, left.unit)
    if theirs is None:
        return None
    return (ours > theirs) - (ours < theirs)


def _spread(value: Any) -> Uncertainty:
    return value if isinstance(value, Uncertainty) else Uncertainty(value, value)


def _order_uncertain(left: Uncertainty, right: Uncertainty) -> int | None:
    if left.high < right.low:
        return -1
    if left.low > right.high:
        return 1
    return 0 if left.low == left.high == right.low == right.high else None


def _certainly_less(left: Any, right: Any) -> Truth:
    if left is None or right is None:
        return None
    ours, theirs = _spread(left), _spread(right)
    if ours.high < theirs.low:
        return True
    return False if ours.low >= theirs.high else None


def _equal_lists(left: list[Any], right: list[Any]) -> Truth:
    if len(left) != len(right):
        return False
    return both(_or_same(ours, theirs) for ours, theirs in zip(left, right, strict=True))


def _or_same(left: Any, right: Any) -> Truth:
    return True if left is None and right is None else equal(left, right)


def _equal_structures(left: Any, right: Any) -> Truth:
    if isinstance(left, Labelled):
        left = left.json
    if isinstance(right, Labelled):
        right = right.json
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        if left.keys() != right.keys():
            return False
        # The first element that differs, or may, decides: an unknown id is not made up for by a name.
        answers = (_or_same(left[name], right[name]) for name in left)
        return next((answer for answer in answers if answer is not True), True)
    if isinstance(left, Concept) and isinstance(right, Concept):
        return both(
            (_or_same(left.display, right.display), _equal_lists(list(left.codes), list(right.codes)))
        )
    if isinstance(left, Code) and isinstance(right, Code):
        return both(
            _or_same(getattr(left, name), getattr(right, name))
            for name in ("code", "system", "version", "display")
        )
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        return both(
            (_or_same(left.numerator, right.numerator), _or_same(left.denominator, right.denominator))
        )
    return bool(left == right)


def _equivalent_structures(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equivalent, left, right))
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        return left.keys() == right.keys() and all(equivalent(left[name], right[name]) for name in left)
    if isinstance(left, Interval) and isinstance(right, Interval):
        from pathways.cql.intervals import end, start

        return equivalent(start(left), start(right)) and equivalent(end(left), end(right))
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        return _equivalent_ratios(left, right)
    return equal(left, right) is True


def _codes(value: Any) -> tuple[Code, ...]:
    if isinstance(value, Concept):
        return value.codes
    return (value,) if isinstance(value, Code) else ()


def _words(text: str) -> str:
    # Case and the kind of white space do not matter to equivalence.
    return "".join(" " if sign.isspace() else sign for sign in text.casefold())


def _equivalent_decimals(left: Decimal, right: Decimal) -> bool:
    places = min(_places(left), _places(right))
    step = Decimal(1).scaleb(-places)
    return left.quantize(step, ROUND_HALF_UP) == right.quantize(step, ROUND_HALF_UP)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _equivalent_quantities(left: Quantity, right: Quantity) -> bool:
    if left.value is None or right.value is None:
        return left.value is right.value
    theirs = units.converted(right.value, units.definite(right.unit), units.definite(left.unit))
    return theirs is not None and _equivalent_decimals(left.value, theirs)


def _equivalent_ratios(left: Ratio, right: Ratio) -> bool:
    from pathways.cql.arithmetic import divide

    ours, theirs = divide(left.numerator, left.denominator), divide(right.numerator, right.denominator)
    return equivalent(ours, theirs)
