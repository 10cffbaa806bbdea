"""Keywords of our own, for what JSON Schema cannot say. Each is met rarely, so that Python is fast enough."""

from datetime import date
from typing import Any


class _Keyword:
    """What the validator makes of a keyword: one object for each place in the schema where it stands."""

    def __init__(self, _parent: dict[str, Any], value: Any, _path: list[str | int]) -> None:
        self._value = value


class Whole(_Keyword):
    """`whole`: the number is written without a point or an exponent."""

    def validate(self, instance: Any) -> None:
        """Refuse 1.0 and 1e0, which JSON Schema takes for integers."""
        if not isinstance(instance, int):
            raise ValueError("a whole number is written without a point")


class Aligned(_Keyword):
    """`aligned`: the extensions of a repeated primitive stand beside its values, one for one.

    https://hl7.org/fhir/R4/json.html#primitive
    """

    def validate(self, instance: Any) -> None:
        """Refuse lists of different length, and places where neither list has anything."""
        beside = instance[f"_{self._value}"]
        values = instance.get(self._value, beside)
        if not isinstance(beside, list) or not isinstance(values, list):
            return
        if len(values) != len(beside) or any(a is b is None for a, b in zip(values, beside, strict=True)):
            raise ValueError("the lists are not aligned")


class Ordered(_Keyword):
    """`ordered`: a period does not end before it starts (per-1).

    Days are compared. Times on touching days are left to those who read zones.
    """

    def validate(self, instance: Any) -> None:
        """Refuse an end before the start."""
        start, end = instance.get("start"), instance.get("end")
        if not isinstance(start, str) or not isinstance(end, str):
            return
        length = min(len(start), len(end), len("YYYY-MM-DD"))
        if end[:length] < start[:length] and not _may_touch(start, end):
            raise ValueError("the end is before the start")


def _may_touch(start: str, end: str) -> bool:
    if "T" not in start or "T" not in end:
        return False
    try:
        return (date.fromisoformat(start[:10]) - date.fromisoformat(end[:10])).days < 2
    except ValueError:
        return True  # not dates at all, which is reported by itself


KEYWORDS: dict[str, Any] = {"whole": Whole, "aligned": Aligned, "ordered": Ordered}
