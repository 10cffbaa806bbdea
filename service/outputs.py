"""What the engine writes is valid R4, or it is not stored.

    output -> the strict gate: every element and every value
           -> the fhir.resources model: the first output of each shape

A shape is which elements there are and what kinds of values they have. The model takes fifteen times as long
as the gate, and says nothing of the values of a known shape that the gate does not say.
"""

from decimal import Decimal
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from fhir_profiles import gate
from fhir_profiles.reading import Spelled

Json = dict[str, Any]

#: kinds of values of which one is as good as another to a model
_PLAIN = frozenset({bool, float, Decimal, Spelled, type(None)})

#: far more than the definitions can make; beyond it all are forgotten and learnt anew
_MOST_SHAPES = 10_000

#: shapes whose models found nothing wrong
_valid: set[object] = set()


class NotRenderable(Exception):
    """An output is not valid R4. Nothing was stored; the resource's type and id are named."""


def check(resource: Json) -> None:
    """Refuse an output that is not valid R4. What is stored is our dict, not the model's.

    Raises:
        NotRenderable: naming type, id and places.
    """
    places = [fault.expression for fault in gate.check(resource)] or _by_model(resource)
    if places:
        raise NotRenderable(f"{resource['resourceType']}/{resource['id']}: {'; '.join(places)}")


def _by_model(resource: Json) -> list[str]:
    shape = _shape(resource)
    if shape in _valid:
        return []
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        return [".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)]
    if len(_valid) >= _MOST_SHAPES:
        _valid.clear()
    _valid.add(shape)
    return []


def _shape(value: Any) -> object:
    """Return what is equal for values of which the model says the same.

    A resource's shape begins with its type, for that is a value which the model goes by.
    """
    kind = type(value)
    if kind is str:
        return str
    if kind is dict:
        inner = tuple([(name, _shape(each)) for name, each in value.items()])
        return (value["resourceType"], inner) if "resourceType" in value else inner
    if kind is list:
        return frozenset([_shape(each) for each in value])
    if kind is int:
        # A whole number may have to be positive, or not negative.
        return kind, value > 0, value < 0
    # What is no JSON has a shape that nothing else has.
    return kind if kind in _PLAIN else object()
