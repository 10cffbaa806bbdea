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
