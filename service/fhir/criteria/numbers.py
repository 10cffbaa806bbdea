"""Numbers and quantities. What is asked for is as precise as it is written; what is stored is exact.

http://hl7.org/fhir/R4/search.html#number
http://hl7.org/fhir/R4/search.html#quantity
"""

import re
from decimal import Decimal

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked, prefixed
from service.fhir.criteria.escaping import plain, split
from service.fhir.criteria.sql import Sql
from service.store.indexing import quantities

MODIFIERS = ("missing",)

#: more digits, or a larger exponent, no measurement has
_NUMBER = re.compile(r"[-+]?(?P<whole>\d{1,30})(\.(?P<fraction>\d{1,30}))?([eE](?P<exponent>[-+]?\d{1,3}))?")


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that a number matches one of the values."""
    matches = sql.any_of(row_matching(asked, choice, "s") for choice in choices)
    return sql.row("search_number", asked.kept_as, matches, of=asked.of)


def row_matching(asked: Asked, choice: str, as_: str) -> Sql:
    """Return the condition of a row that its number matches.

    Raises:
        NotExchanged: it is no number, or no number with a unit.
    """
    number, *unit = [plain(part) for part in split(choice, "|")]
    if unit and (asked.parameter.kind == "number" or len(unit) != 2):
        raise asked.refused("is a number, and a quantity is number|system|code or number||code")
    prefix, value, half = _read(asked, number)
    if not unit or not unit[1]:
        return _compared(prefix, f"{as_}.low", f"{as_}.high", value, half)
    system, code = unit
    if not system:
        compared = _compared(prefix, f"{as_}.low", f"{as_}.high", value, half)
        text = f"({as_}.code = %s OR {as_}.unit = %s) AND {compared.text}"
        return Sql(text, (code, code, *compared.values))
    base, factor = quantities.based(system, code)
    value, half = (quantities.in_base(each, factor) or Decimal(0) for each in (value, half))
    compared = _compared(prefix, f"{as_}.base_low", f"{as_}.base_high", value, half)
    return Sql(f"{as_}.base = %s AND {compared.text}", (base, *compared.values))


def _compared(prefix: str, low: str, high: str, value: Decimal, half: Decimal) -> Sql:
    """Return how the number of the resource, or its range, lies to the value."""
    around = (value - half, value + half)
    within = f"({low} >= %s AND {high} < %s)"
    match prefix:
        case "eq":
            return Sql(within, around)
        case "ne":
            return Sql(f"NOT {within}", around)
        case "gt":
            return Sql(f"{high} > %s", (value,))
        case "lt":
            return Sql(f"{low} < %s", (value,))
        case "ge":
            return Sql(f"{high} >= %s", (value,))
        case "le":
            return Sql(f"{low} <= %s", (value,))
        case "sa":
            return Sql(f"{low} > %s", (value,))
        case "eb":
            return Sql(f"{high} < %s", (value,))
        case _:
            tenth = abs(value) / 10
            return Sql(f"({high} >= %s AND {low} <= %s)", (value - tenth, value + tenth))


def _read(asked: Asked, text: str) -> tuple[str, Decimal, Decimal]:
    """Return prefix, value, and half of what its last digit counts."""
    prefix, number = prefixed(asked, text.replace(" ", "+"), "a number")
    match = _NUMBER.fullmatch(number)
    if match is None:
        raise asked.refused("is a number, as 5.4 or 5.40e-3")
    digits = len(match["fraction"] or "")
    if match["exponent"] and not digits:
        # The specification reads 1e2 as [95, 105): a power of ten is meant to one digit more.
        digits = 1
    half = Decimal("0.5").scaleb(int(match["exponent"] or 0) - digits)
    return prefix, Decimal(number), half
