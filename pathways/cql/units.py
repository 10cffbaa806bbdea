"""Units of measure: the part of UCUM that clinical quantities use, and CQL's calendar words.

A unit is a factor on base dimensions. Units of the same dimensions convert into each other; the
engine refuses a literal with a unit it cannot read, and calls a comparison with one unknown.

Degrees Celsius and Fahrenheit are an offset away from kelvin, so they convert alone and not within products.
Osmoles, equivalents and international units convert into their multiples only; of what they are is not known.

https://ucum.org/ucum
"""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

Dimensions = tuple[tuple[str, int], ...]

# Calendar words mean what UCUM means up to weeks; a calendar month or year is not a fixed number of days.
CALENDAR = {
    **{word: word for word in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")},
    **{
        f"{word}s": word
        for word in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    },
}
_AS_UCUM = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
_AS_CALENDAR = {
    "a": "year",
    "mo": "month",
    "wk": "week",
    "d": "day",
    "h": "hour",
    "min": "minute",
    "s": "second",
    "ms": "millisecond",
}

_PREFIXES = {
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "da": 1,
    "d": -1,
    "c": -2,
    "m": -3,
    "u": -6,
    "n": -9,
    "p": -12,
    "f": -15,
}

_DAY = 86_400
# atom: (factor, dimensions, may carry a prefix)
_ATOMS: dict[str, tuple[Fraction, dict[str, int], bool]] = {
    "m": (Fraction(1), {"m": 1}, True),
    "g": (Fraction(1), {"g": 1}, True),
    "s": (Fraction(1), {"s": 1}, True),
    "A": (Fraction(1), {"A": 1}, True),
    "K": (Fraction(1), {"K": 1}, True),
    "Cel": (Fraction(1), {"Cel": 1}, False),
    "[degF]": (Fraction(1), {"[degF]": 1}, False),
    "cd": (Fraction(1), {"cd": 1}, True),
    "mol": (Fraction(1), {"mol": 1}, True),
    "osm": (Fraction(1), {"osm": 1}, True),
    "eq": (Fraction(1), {"eq": 1}, True),
    "rad": (Fraction(1), {"rad": 1}, True),
    "bit": (Fraction(1), {"bit": 1}, True),
    "[iU]": (Fraction(1), {"[iU]": 1}, True),
    "[IU]": (Fraction(1), {"[iU]": 1}, True),
    "[arb'U]": (Fraction(1), {"[arb'U]": 1}, False),
    "[pH]": (Fraction(1), {"[pH]": 1}, False),
    "%": (Fraction(1, 100), {}, False),
    "[ppth]": (Fraction(1, 1000), {}, False),
    "[ppm]": (Fraction(1, 1_000_000), {}, False),
    "10*": (Fraction(10), {}, False),
    "10^": (Fraction(10), {}, False),
    "min": (Fraction(60), {"s": 1}, False),
    "h": (Fraction(3600), {"s": 1}, False),
    "d": (Fraction(_DAY), {"s": 1}, False),
    "wk": (Fraction(7 * _DAY), {"s": 1}, False),
    "mo": (Fraction(2_629_800), {"s": 1}, False),
    "a": (Fraction(31_557_600), {"s": 1}, False),
    "L": (Fraction(1, 1000), {"m": 3}, True),
    "l": (Fraction(1, 1000), {"m": 3}, True),
    "t": (Fraction(1_000_000), {"g": 1}, True),
    "Hz": (Fraction(1), {"s": -1}, True),
    "N": (Fraction(1000), {"g": 1, "m": 1, "s": -2}, True),
    "Pa": (Fraction(1000), {"g": 1, "m": -1, "s": -2}, True),
    "bar": (Fraction(100_000_000), {"g": 1, "m": -1, "s": -2}, True),
    "J": (Fraction(1000), {"g": 1, "m": 2, "s": -2}, True),
    "W": (Fraction(1000), {"g": 1, "m": 2, "s": -3}, True),
    "V": (Fraction(1000), {"g": 1, "m": 2, "s": -3, "A": -1}, True),
    "cal": (Fraction(4184), {"g": 1, "m": 2, "s": -2}, True),
    "U": (Fraction(1, 60_000_000), {"mol": 1, "s": -1}, True),
    "kat": (Fraction(1), {"mol": 1, "s": -1}, True),
    "m[Hg]": (Fraction(133_322_000), {"g": 1, "m": -1, "s": -2}, True),
    "m[H2O]": (Fraction(9_806_650), {"g": 1, "m": -1, "s": -2}, True),
    "deg": (Fraction(31415926535897932, 1_800_000_000_000_000_000), {"rad": 1}, False),
    "[in_i]": (Fraction(254, 10_000), {"m": 1}, False),
    "[ft_i]": (Fraction(3048, 10_000), {"m": 1}, False),
    "[yd_i]": (Fraction(9144, 10_000), {"m": 1}, False),
    "[mi_i]": (Fraction(1_609_344, 1000), {"m": 1}, False),
    "[lb_av]": (Fraction(45_359_237, 100_000), {"g": 1}, False),
    "[oz_av]": (Fraction(45_359_237, 1_600_000), {"g": 1}, False),
    "kgf": (Fraction(9_806_650, 1000), {"g": 1, "m": 1, "s": -2}, False),
    "[lbf_av]": (Fraction(4_448_221_615_260_5, 10_000_000_000), {"g": 1, "m": 1, "s": -2}, False),
}


# The size of a degree in kelvin, and where its scale begins.
_SCALES: dict[str | None, tuple[Fraction, Fraction]] = {
    "Cel": (Fraction(1), Fraction(27_315, 100)),
    "[degF]": (Fraction(5, 9), Fraction(45_967, 180)),
}
# No unit in use has a larger power; one of a billion would be a number that no memory holds.
_MOST_POWER = 99


def known(unit: str) -> bool:
    """Return whether the unit can be read."""
    return unit in CALENDAR or _reading(unit) is not None


def calendar_unit(unit: str | None) -> str | None:
    """Return the calendar word ("day") for a word or UCUM code of time, or None."""
    if unit is None:
        return None
    return CALENDAR.get(unit) or _AS_CALENDAR.get(unit)


@lru_cache(maxsize=1024)
def factor(source: str | None, target: str | None) -> Fraction | None:
    """Return what a value in the source unit is multiplied by to be in the target unit.

    None when the two do not convert, or one of them cannot be read. A calendar month or year
    converts only into the other, never into days.
    """
    one, other = _plain(source), _plain(target)
    if one == other:
        return Fraction(1)
    if {one, other} <= {"year", "month"}:
        return Fraction(12) if one == "year" else Fraction(1, 12)
    if one in ("year", "month") or other in ("year", "month"):
        return None
    ours, theirs = _reading(one), _reading(other)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return None
    return ours[0] / theirs[0]


def converted(value: Decimal, source: str | None, target: str | None) -> Decimal | None:
    """Return the value in the target unit, or None when the units do not convert."""
    if source != target and (source in _SCALES or target in _SCALES):
        return _converted_temperature(value, source, target)
    times = factor(source, target)
    if times is None:
        return None
    return value * times.numerator / times.denominator if times != 1 else value


def _converted_temperature(value: Decimal, source: str | None, target: str | None) -> Decimal | None:
    size, zero = _SCALES.get(source) or (factor(source, "K"), Fraction(0))
    other_size, other_zero = _SCALES.get(target) or (factor(target, "K"), Fraction(0))
    if size is None or other_size is None:
        return None
    found = (Fraction(value) * size + zero - other_zero) / other_size
    return Decimal(found.numerator) / found.denominator


def canonical(unit: str) -> tuple[Fraction, str] | None:
    """Return by what a value in the unit is multiplied to be in base units, and the name of these.

    None when the unit cannot be read. Units with the same name convert into each other.
    """
    read = _reading(unit)
    return (read[0], ".".join(f"{name}{power}" for name, power in read[1]) or "1") if read else None


def definite(unit: str | None) -> str:
    """Return the UCUM code for a calendar word, taking a calendar year for a mean one."""
    plain = _plain(unit)
    return {"year": "a", "month": "mo"}.get(plain, plain)


def product(left: str | None, right: str | None) -> tuple[Fraction, str]:
    """Return the unit of a product, and the factor that comes of writing it with few atoms."""
    return _combined(definite(left), definite(right), over=False)


def quotient(left: str | None, right: str | None) -> tuple[Fraction, str]:
    """Return the unit of a quotient, and the factor that comes of writing it with few atoms."""
    return _combined(definite(left), definite(right), over=True)


def _plain(unit: str | None) -> str:
    word = CALENDAR.get(unit or "1")
    if word is None:
        return unit or "1"
    return _AS_UCUM.get(word, word)


def _combined(left: str, right: str, *, over: bool) -> tuple[Fraction, str]:
    if right == "1":
        return Fraction(1), left
    if over:
        same = factor(left, right)
        if same is not None:
            return same, "1"
        return Fraction(1), f"{left}/{_one_term(right)}"
    if left == "1":
        return Fraction(1), right
    ours, theirs = re.fullmatch(r"([A-Za-z]+)(\d*)", left), re.fullmatch(r"([A-Za-z]+)(\d*)", right)
    if ours and theirs and ours[1] == theirs[1]:
        return Fraction(1), f"{ours[1]}{int(ours[2] or 1) + int(theirs[2] or 1)}"
    # What is divided by a unit and multiplied by it again is without it.
    parts = left.rsplit("/", 1)
    if len(parts) == 2 and (same := factor(right, parts[1])) is not None:
        return same, parts[0]
    return Fraction(1), f"{left}.{right}"


def _one_term(unit: str) -> str:
    return f"({unit})" if re.search(r"[./]", unit) else unit


@lru_cache(maxsize=1024)
def _reading(unit: str) -> tuple[Fraction, Dimensions] | None:
    tokens = re.findall(r"\(|\)|\.|/|(?:10[*^]|\[[^\]]*\]|\{[^}]*\}|[A-Za-z%']|\d|[+-](?=\d))+", unit)
    if not tokens or "".join(tokens) != unit:
        return None
    try:
        times, dimensions = _expression(tokens)
    except (KeyError, IndexError, ValueError, ZeroDivisionError, RecursionError):
        return None
    if tokens:
        return None
    return times, tuple(sorted((name, power) for name, power in dimensions.items() if power))


def _expression(tokens: list[str]) -> tuple[Fraction, dict[str, int]]:
    times, dimensions = Fraction(1), dict[str, int]()
    sign = 1
    if tokens[0] == "/":
        tokens.pop(0)
        sign = -1
    while True:
        term = tokens.pop(0)
        if term == "(":
            part, powers = _expression(tokens)
            if tokens.pop(0) != ")":
                raise ValueError
        else:
            part, powers = _component(term)
        times *= part**sign
        for name, power in powers.items():
            dimensions[name] = dimensions.get(name, 0) + sign * power
        if not tokens or tokens[0] == ")":
            return times, dimensions
        sign = {".": 1, "/": -1}[tokens.pop(0)]


def _component(token: str) -> tuple[Fraction, dict[str, int]]:
    token = re.sub(r"\{[^}]*\}", "", token) or "1"
    if token.isdigit():
        return Fraction(int(token)), {}
    match = re.fullmatch(r"(10[*^]|.*?[^\d+-])([+-]?\d+)?", token)
    if match is None:
        raise ValueError
    times, powers = _atom(match[1])
    exponent = int(match[2] or 1)
    if abs(exponent) > _MOST_POWER:
        raise ValueError
    return times**exponent, {name: power * exponent for name, power in powers.items()}


def _atom(name: str) -> tuple[Fraction, dict[str, int]]:
    if name in _ATOMS:
        times, powers, _ = _ATOMS[name]
        return times, powers
    for size in (2, 1):
        exponent = _PREFIXES.get(name[:size])
        if exponent is not None and name[size:] in _ATOMS:
            times, powers, may = _ATOMS[name[size:]]
            if may:
                return times * Fraction(10) ** exponent, powers
    raise KeyError
