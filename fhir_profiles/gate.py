"""The gate: what is wrong with a resource, judged by the strict schemas of R4.

One fault in the data gives one `Fault`. Texts say what was expected and hold no value of the data. A valid
resource costs one pass of compiled code; only a refused one is looked at again in Python.

https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from jsonschema_rs import Draft202012Validator as Validator
from jsonschema_rs import ValidationError

from fhir_profiles import invariants
from fhir_profiles.faults import Fault, explain, is_allowed
from fhir_profiles.r4 import schemas

__all__ = ["MAX_FAULTS", "Fault", "check"]

# Enough to repair a resource by; a body that is wrong in a million places is not worth a million answers.
MAX_FAULTS = 100
# Of a resource with more values than this, the first fault is told alone.
_MAX_EXPLAINED = 5000
# Of one with more than this, an extension in place of a value is not told from a fault.
_MAX_SEARCHED = 50_000


def check(resource: dict[str, Any]) -> tuple[Fault, ...]:
    """Return the faults of the resource and of the resources inside it; empty if it is valid R4."""
    return tuple(islice(_faults(resource), MAX_FAULTS))


def _faults(resource: dict[str, Any]) -> Iterator[Fault]:
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in schemas.RESOURCES:
        code = "required" if kind is None else "value"
        yield Fault(expression="Resource.resourceType", code=code, text="resourceType names a resource of R4")
        return
    yield from _shape(resource, kind)
    for expression, inner in _inside(resource, kind):
        yield from (fault.within(expression) for fault in _faults(inner))


def _shape(resource: dict[str, Any], kind: str) -> Iterator[Fault]:
    validator = schemas.validator(kind)
    if not _passes(validator, resource):
        # The validator knows exact Decimals only, not the ones that remember how they were spelled.
        plain = _plain(resource)
        errors = _errors(validator, plain)
        if errors is None:
            text = f"of more than {_MAX_SEARCHED} values none may be missing, nor an extension alone"
            yield Fault(expression=kind, code="too-costly", text=text)
            return
        faults = list(explain(errors, plain, kind))
        if faults:
            yield from faults
            return
    yield from invariants.check(resource, kind)


def _passes(validator: Validator, resource: dict[str, Any]) -> bool:
    try:
        return validator.is_valid(resource)
    except ValueError:
        return False  # a value that is not JSON to the validator, handed to a keyword of ours


def _errors(validator: Validator, resource: dict[str, Any]) -> Iterable[ValidationError] | None:
    """Return the errors, or the first of a large resource; None where that is none and there may be many."""
    # The validator collects every error before it hands out the first, at some 20 microseconds each.
    size = _size(resource)
    if size <= _MAX_EXPLAINED:
        return validator.iter_errors(resource)
    try:
        validator.validate(resource)
    except ValidationError as first:
        if not is_allowed(first, resource):
            return (first,)
        return validator.iter_errors(resource) if size <= _MAX_SEARCHED else None
    return ()


def _size(resource: dict[str, Any]) -> int:
    """Return how many values the resource has, resources inside it left out, or enough to be too large."""
    size = 0
    pending: list[Any] = [resource]
    while pending and size <= _MAX_SEARCHED:
        inner = pending.pop()
        if isinstance(inner, dict):
            inner = () if size and "resourceType" in inner else inner.values()
        size += len(inner)
        pending += [value for value in inner if isinstance(value, dict | list)]
    return size


def _inside(resource: dict[str, Any], container: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources inside a resource, each with where it lies."""
    places: Iterator[tuple[str, Any]] = _listed(resource, container, "contained")
    if container == "Bundle":
        places = _entries(resource)
    elif container == "Parameters":
        places = _parameters(resource, container, "parameter")
    for expression, inner in places:
        # What is no resource at all was reported by the schema of its container.
        kind = inner.get("resourceType") if isinstance(inner, dict) else None
        if isinstance(kind, str) and kind in schemas.RESOURCES:
            yield expression, inner


def _entries(bundle: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for expression, entry in _listed(bundle, "Bundle", "entry"):
        yield f"{expression}.resource", entry.get("resource")
        response = entry.get("response")
        if isinstance(response, dict):
            yield f"{expression}.response.outcome", response.get("outcome")


def _parameters(parent: dict[str, Any], where: str, name: str) -> Iterator[tuple[str, Any]]:
    for expression, parameter in _listed(parent, where, name):
        yield f"{expression}.resource", parameter.get("resource")
        yield from _parameters(parameter, expression, "part")


def _listed(parent: dict[str, Any], where: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    items = parent.get(name)
    for at, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield f"{where}.{name}[{at}]", item


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return Decimal(value) if isinstance(value, Decimal) else value
