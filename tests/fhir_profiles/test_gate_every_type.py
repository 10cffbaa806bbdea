"""Each of twenty-eight kinds of defect is refused on every type that is kept, at its place.

https://hl7.org/fhir/R4/validation.html
"""

from collections import defaultdict

import pytest
from defects import DEFECTS, Place, resources, spoilt

from fhir_profiles import gate
from service.fhir.searching import TYPES

#: elements of a type on which each kind of defect is tried; there are more in few types
ELEMENTS = 6


def test_there_are_twenty_eight_kinds_of_defect() -> None:
    assert len(DEFECTS) == 28


def expression(kind: str, place: Place, *, above: int) -> str:
    """Return where a place is, or what is so many steps above it."""
    steps = place.path[: len(place.path) - above]
    return kind + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


@pytest.mark.parametrize("kind", TYPES)
def test_each_kind_of_defect_is_refused_at_its_place(kind: str) -> None:
    assert any(resources(kind))
    tried: dict[str, int] = defaultdict(int)

    for name, place, resource in spoilt(kind, most=ELEMENTS):
        faults = gate.check(resource)
        # A choice and what is missing are said where they are missed, an unknown element beside the others.
        above = len(place.path) if name == "an unknown element" else 1
        near = expression(kind, place, above=above)
        assert faults, (name, place.path)
        assert any(fault.expression.startswith(near) for fault in faults), (name, place.path, faults)
        tried[name] += 1

    assert set(tried) == set(DEFECTS)
