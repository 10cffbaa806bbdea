"""Unit conversions go there and back, and mean what UCUM says.

https://ucum.org/ucum
"""

from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathways.cql import Quantity, units
from pathways.cql.comparison import equal, order

#: a unit -> so many of another, from the tables of UCUM 2.1, and by the definitions they cite
DEFINED = {
    "min": ("60", "s"),
    "h": ("60", "min"),
    "d": ("24", "h"),
    "wk": ("7", "d"),
    "a": ("365.25", "d"),
    "mo": ("30.4375", "d"),
    "L": ("1", "dm3"),
    "l": ("1", "L"),
    "t": ("1000", "kg"),
    "Hz": ("1", "/s"),
    "N": ("1", "kg.m/s2"),
    "Pa": ("1", "N/m2"),
    "bar": ("100000", "Pa"),
    "J": ("1", "N.m"),
    "W": ("1", "J/s"),
    "V": ("1", "J/(A.s)"),
    "cal": ("4.184", "J"),
    "U": ("1", "umol/min"),
    "kat": ("1", "mol/s"),
    "m[Hg]": ("133.322", "kPa"),
    "mm[Hg]": ("133.322", "Pa"),
    "m[H2O]": ("9.80665", "kPa"),
    "[in_i]": ("2.54", "cm"),
    "[ft_i]": ("12", "[in_i]"),
    "[yd_i]": ("3", "[ft_i]"),
    "[mi_i]": ("5280", "[ft_i]"),
    "[lb_av]": ("453.59237", "g"),
    "[oz_av]": ("0.0625", "[lb_av]"),
    "kgf": ("9.80665", "N"),
    "%": ("0.01", "1"),
    "[ppth]": ("0.001", "1"),
    "[ppm]": ("0.000001", "1"),
    "10*": ("10", "1"),
    "10*6": ("1000000", "1"),
    "kg": ("1000", "g"),
    "mg": ("0.001", "g"),
    "ug": ("0.001", "mg"),
    "ng": ("0.001", "ug"),
    "cm": ("0.01", "m"),
    "Tg": ("1000", "Gg"),
    "Gg": ("1000", "Mg"),
    "Mg": ("1000", "kg"),
    "hm": ("100", "m"),
    "dam": ("10", "m"),
    "dm": ("0.1", "m"),
    "pg": ("0.001", "ng"),
    "fg": ("0.001", "pg"),
    "mosm": ("0.001", "osm"),
    "meq": ("0.001", "eq"),
    "mcd": ("0.001", "cd"),
    "mA": ("0.001", "A"),
    "mK": ("0.001", "K"),
    "mrad": ("0.001", "rad"),
    "kbit": ("1000", "bit"),
    "k[IU]": ("1000", "[iU]"),
    "[IU]": ("1", "[iU]"),
    "ukat": ("60", "U"),
    "10^3": ("1000", "1"),
    "10*-3": ("0.001", "1"),
    "kcal": ("4.184", "kJ"),
    "ms": ("0.001", "s"),
    "weeks": ("7", "d"),
    "minutes": ("60", "seconds"),
    "second": ("1000", "milliseconds"),
    "[lbf_av]": ("4.4482216152605", "N"),
    "g/(m.s2)": ("1", "mPa"),
    "g/m/s2": ("1", "mPa"),
    "1/min": ("60", "/h"),
    "m2.m": ("1", "m3"),
    "m3/m2": ("1", "m"),
    "2.m": ("2", "m"),
    "{sessions}": ("1", "1"),
    "{sessions}/wk": ("1", "/wk"),
    "kg{dry}": ("1000", "g"),
    "m99": ("1", "m99"),
    "mmol": ("0.001", "mol"),
    "week": ("7", "day"),
    "year": ("12", "month"),
    "hours": ("1", "h"),
}
#: units that convert into each other
FAMILIES = (
    ("kg", "g", "mg", "ug", "[lb_av]", "[oz_av]", "t"),
    ("km", "m", "cm", "mm", "[in_i]", "[ft_i]", "[mi_i]"),
    ("ms", "s", "min", "h", "d", "wk", "second", "day"),
    ("L", "mL", "dL", "m3", "cm3"),
    ("mmol/L", "umol/mL", "mol/m3"),
    ("Pa", "kPa", "mm[Hg]", "bar", "N/m2"),
    ("Cel", "K", "[degF]"),
    ("year", "month"),
)
amounts = st.decimals("0.0001", "10000", places=4)
pairs = st.sampled_from([pair for family in FAMILIES for pair in combinations(family, 2)])
steadily = settings(max_examples=300, deadline=None, derandomize=True)


@pytest.mark.parametrize(("unit", "defined"), DEFINED.items())
def test_a_unit_is_what_ucum_defines_it_to_be(unit: str, defined: tuple[str, str]) -> None:
    amount, other = defined

    assert units.factor(unit, other) == Fraction(amount)
    assert units.factor(other, unit) == 1 / Fraction(amount)


@steadily
@given(amounts, pairs)
def test_a_conversion_goes_there_and_back(amount: Decimal, pair: tuple[str, str]) -> None:
    one, other = pair
    there = units.converted(amount, one, other)
    assert there is not None
    back = units.converted(there, other, one)

    assert back is not None
    assert abs(back - amount) < Decimal("1e-15") * max(amount, 1000)


@steadily
@given(amounts, amounts, pairs)
def test_quantities_are_ordered_as_their_amounts_in_one_unit(
    left: Decimal, right: Decimal, pair: tuple[str, str]
) -> None:
    one, other = pair
    ours = order(Quantity(left, one), Quantity(right, other))
    in_one_unit = units.converted(right, other, one)
    assert in_one_unit is not None

    assert ours == (left > in_one_unit) - (left < in_one_unit)
    assert order(Quantity(left, one), Quantity(left, one)) == 0
    assert equal(Quantity(left, one), Quantity(right, one)) is (left == right)


@pytest.mark.parametrize("family", FAMILIES)
def test_units_of_other_families_do_not_convert(family: tuple[str, ...]) -> None:
    for other in FAMILIES:
        if other is not family and {"s", "year"} != {family[1], other[0]}:
            assert units.converted(Decimal(1), family[0], other[0]) is None


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "",
            "m m",
            "m.",
            ".m",
            "m//s",
            "(m",
            "m)",
            "()",
            "furlong",
            "kk",
            "m100",
            "m-100",
            "10*100",
            "kmin",
        ),
        *("m%", "kCel", "dad", "m[Hg]]", "{open", "[in_i", "m+", "2x", "/", "m/", "k", "mg/0"),
    ],
)
def test_what_is_no_unit_is_not_known(unit: str) -> None:
    assert units.known(unit) is False
    assert units.factor(unit or "furlong", "m") is None
    assert units.factor("m", unit or "furlong") is None


@pytest.mark.parametrize("unit", ["m99", "m-99", "10*99", "{score}", "1", "days", "((m))", "m/(s)"])
def test_what_is_a_unit_is_known(unit: str) -> None:
    assert units.known(unit) is True


@pytest.mark.parametrize(
    ("left", "right", "times", "unit"),
    [
        *(("m", "m", 1, "m2"), ("m", "m2", 1, "m3"), ("m2", "m3", 1, "m5"), ("m", "s", 1, "m.s")),
        *(("1", "m", 1, "m"), ("m", "1", 1, "m"), ("m", None, 1, "m"), (None, "m", 1, "m")),
        *(("m/s", "s", 1, "m"), ("m/s", "min", 60, "m"), ("m/s", "kg", 1, "m/s.kg"), ("1", "1", 1, "1")),
        *(("week", "m", 1, "wk.m"), ("year", "m", 1, "a.m"), ("month", "month", 1, "mo2")),
        *(
            ("N", "N", 1, "N2"),
            ("N2", "N", 1, "N3"),
            ("N", "N2", 1, "N3"),
            ("g/m/s", "s", 1, "g/m"),
            ("m.s", "m", 1, "m.s.m"),
        ),
    ],
)
def test_the_unit_of_a_product(left: str | None, right: str | None, times: int, unit: str) -> None:
    assert units.product(left, right) == (Fraction(times), unit)


@pytest.mark.parametrize(
    ("left", "right", "times", "unit"),
    [
        *(("m", "m", 1, "1"), ("km", "m", 1000, "1"), ("m", "s", 1, "m/s"), ("1", "s", 1, "1/s")),
        *(("m", "1", 1, "m"), ("g", "m.s", 1, "g/(m.s)"), ("g", "m/s", 1, "g/(m/s)"), ("1", "1", 1, "1")),
        *(("day", "hour", 24, "1"), ("m", "year", 1, "m/a"), ("m2", "m", 1, "m2/m"), (None, None, 1, "1")),
    ],
)
def test_the_unit_of_a_quotient(left: str | None, right: str | None, times: int, unit: str) -> None:
    assert units.quotient(left, right) == (Fraction(times), unit)


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        *(("days", "day"), ("day", "day"), ("d", "day"), ("wk", "week"), ("h", "hour"), ("min", "minute")),
        *(("s", "second"), ("ms", "millisecond"), ("a", "year"), ("mo", "month"), ("g", None), (None, None)),
    ],
)
def test_a_calendar_word_or_the_code_for_it(unit: str | None, word: str | None) -> None:
    assert units.calendar_unit(unit) == word


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        *(("0", "Cel", "K", "273.15"), ("32", "[degF]", "Cel", "0"), ("212", "[degF]", "K", "373.15")),
        *(("0", "K", "[degF]", "-459.67"), ("1000", "mK", "Cel", "-272.15"), ("0", "Cel", "mK", "273150")),
        *(
            ("5", "Cel", "Cel", "5"),
            ("5", "Cel", "g", None),
            ("5", "g", "[degF]", None),
            ("5", "Cel", None, None),
        ),
        *(
            ("5", None, "Cel", None),
            ("5", None, None, "5"),
            ("5", "year", "a", None),
            ("5", "d", "month", None),
        ),
        *(
            ("3", "2.m", "m", "6"),
            ("2", "year", "months", "24"),
            ("6", "months", "year", "0.5"),
            ("5", "mo", "month", None),
        ),
    ],
)
def test_a_value_in_another_unit(
    value: str, source: str | None, target: str | None, result: str | None
) -> None:
    assert units.converted(Decimal(value), source, target) == (None if result is None else Decimal(result))
