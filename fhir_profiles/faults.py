"""A fault of a resource, and how the validator's errors become faults a sender can act on."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import jsonschema_rs

from fhir_profiles.r4 import schemas
from fhir_profiles.r4.primitives import Schema

Path = Sequence[str | int]

# Reading more of a hopeless resource finds nothing its sender needs first.
_MAX_ERRORS = 1000
# A longer list of codes is a page of its own in the specification.
_MAX_CODES = 15
# What an element may be called; any other name is not repeated, for it may be data.
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")

_CONTAINERS = {"object": "an object", "array": "a list"}

# Keywords whose fault needs no look at the data: its code, and its words.
_SIMPLE = {
    "contains": ("code-invalid", "expected {expected}"),
    "minItems": ("structure", "empty; leave the element out"),
    "maxItems": ("structure", "at most {maxItems} may be given"),
    "ordered": ("invariant", "the end is not before the start (per-1)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a resource, fit for an OperationOutcome: no value of the data is in it.

    `expression` is like `Observation.component[1].valueQuantity.value`, `code` is an R4 issue type.
    """

    expression: str
    code: str
    text: str

    def within(self, container: str) -> "Fault":
        """Return the fault as one of a resource that lies at `container`, its type replaced by that place."""
        _, point, below = self.expression.partition(".")
        return replace(self, expression=f"{container}{point}{below}")


def explain(
    errors: Iterable[jsonschema_rs.ValidationError], resource: dict[str, Any], kind: str
) -> Iterator[Fault]:
    """Yield one fault for each thing wrong, in the order found; none where R4 allows all of it."""
    definitions = schemas.definitions(kind)
    seen: set[str] = set()
    wrong = (error for error in errors if not is_allowed(error, resource))
    # What a list as a whole lacks is a fault only where nothing in it is one.
    found_wrong = sorted(islice(wrong, _MAX_ERRORS), key=lambda error: error.kind.name == "contains")
    for error in found_wrong:
        path = error.instance_path
        found = _Found(
            error=error,
            path=path,
            value=_at(resource, path),
            schema=_at(definitions, error.schema_path[1:-1]),
        )
        for where, code, text in _read(found):
            expression = express(kind, where)
            # Two rules may catch one wrong value; the first says enough.
            told = expression in seen
            if error.kind.name == "contains":
                told = any(each.startswith(expression) for each in seen)
            if not told:
                seen.add(expression)
                yield Fault(expression=expression, code=code, text=text)
    if found_wrong and not seen:
        # Nobody has put it into words, which makes it no more valid.
        yield Fault(expression=kind, code="structure", text="this is not as R4 has it")


def is_allowed(error: jsonschema_rs.ValidationError, resource: dict[str, Any]) -> bool:
    """Return whether what the schemas refuse is allowed by R4: an extension alone in place of a value.

    The schemas say of what is required that it is there, and of a list of values that none is null.
    https://hl7.org/fhir/R4/json.html#primitive
    """
    path = error.instance_path
    value = _at(resource, path)
    if value is None:
        return _has_extension_beside(resource, path)
    if error.kind.name != "required" or "dependentRequired" in error.schema_path:
        return False
    name = str(error.kind.value)
    # What a resource is, is no element: it has no extensions.
    return isinstance(value, dict) and f"_{name}" in value and name != "resourceType"


def express(kind: str, path: Path) -> str:
    """Return the path as a FHIRPath-like expression that starts with the type."""
    return kind + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


_Finding = tuple[Path, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An error of the validator, with the part of the data and of the schema it is about."""

    error: jsonschema_rs.ValidationError
    path: Path
    value: Any
    schema: Schema

    @property
    def expected(self) -> str:
        return str(self.schema.get("title", "another value"))


def _read(found: _Found) -> Iterator[_Finding]:
    keyword = found.error.kind.name
    if found.value is None:
        yield from _null(found, keyword)
    elif keyword in _READERS:
        yield from _READERS[keyword](found)
    elif keyword in _SIMPLE:
        code, text = _SIMPLE[keyword]
        yield found.path, code, text.format_map({"expected": found.expected, **found.schema})
    else:
        yield found.path, "value", f"expected {found.expected}"


def _null(found: _Found, keyword: str) -> Iterator[_Finding]:
    if keyword in ("type", "enum", "const"):
        yield found.path, "structure", "null is not allowed; leave the element out"


def _missing(found: _Found) -> Iterator[_Finding]:
    name = str(found.error.kind.value)
    if "dependentRequired" in found.error.schema_path:
        yield [*found.path, name], "invariant", found.expected
        return
    # An empty object is one fault, not one for each thing it lacks.
    if found.value:
        yield [*found.path, name], "required", f"{name} is required"


def _missing_choice(found: _Found) -> Iterator[_Finding]:
    choices = _names(found.schema["anyOf"])
    if found.value and isinstance(found.value, dict):
        name = f"{_stem(choices)}[x]"
        yield [*found.path, name], "required", f"one of {', '.join(choices)} is required"


def _two_choices(found: _Found) -> Iterator[_Finding]:
    if not isinstance(found.value, dict):
        return  # its type is the fault
    choices = _names(found.schema["oneOf"])
    given = [name for name in choices if name in found.value or f"_{name}" in found.value]
    yield [*found.path, given[-1]], "structure", f"at most one {_stem(choices)}[x] may be given"


def _unknown(found: _Found) -> Iterator[_Finding]:
    owner = found.error.schema_path[1]
    names = found.error.kind.as_dict()["unexpected"]
    for name in names:
        where = [*found.path, name] if _NAME.fullmatch(name) else found.path
        yield where, "structure", f"{owner} has no such element in R4"


def _not_listed(found: _Found) -> Iterator[_Finding]:
    codes = found.schema.get("enum", [])
    listed = f": {', '.join(codes)}" if 0 < len(codes) <= _MAX_CODES else ""
    yield found.path, "code-invalid", f"expected {found.expected}{listed}"


def _excluded(found: _Found) -> Iterator[_Finding]:
    if "title" in found.schema:
        yield found.path, "value", f"expected {found.expected}"
    elif isinstance(found.value, dict):
        yield found.path, "invariant", "an extension has a value or extensions, not both (ext-1)"


def _too_little(found: _Found) -> Iterator[_Finding]:
    if "url" in found.value and found.error.schema_path[1] == "Extension":
        yield found.path, "invariant", "an extension has a value or extensions (ext-1)"
    elif found.error.schema_path[1] != "Extension" or not found.value:
        yield found.path, "structure", "empty; leave the element out"


def _not_aligned(found: _Found) -> Iterator[_Finding]:
    name = f"_{found.schema['aligned']}"
    yield [*found.path, name], "structure", "extensions stand beside the values, one for one"


def _wrong_type(found: _Found) -> Iterator[_Finding]:
    kinds = found.schema["type"]
    wanted = kinds if isinstance(kinds, str) else kinds[0]
    if wanted in _CONTAINERS:
        yield found.path, "structure", f"expected {_CONTAINERS[wanted]}"
    else:
        yield found.path, "value", f"expected {found.expected}"


def _has_extension_beside(resource: dict[str, Any], path: Path) -> bool:
    if len(path) < 2 or not isinstance(path[-1], int):
        return False
    beside = _at(resource, path[:-2]).get(f"_{path[-2]}")
    return isinstance(beside, list) and len(beside) > path[-1] and isinstance(beside[path[-1]], dict)


def _names(alternatives: list[Schema]) -> list[str]:
    """Return the element names that the alternatives ask for, without those of their extensions."""
    return [
        each["required"][0] if "required" in each else each["anyOf"][0]["required"][0]
        for each in alternatives
        if "not" not in each
    ]


def _stem(choices: Sequence[str]) -> str:
    """Return what the names of a choice begin with: `value` of valueString and valueInteger."""
    first, last = min(choices), max(choices)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    capitals = [at for at in range(1, same + 1) if at < len(first) and first[at].isupper()]
    return first[: capitals[-1]] if capitals else first[:same]


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


_READERS: dict[str, Callable[[_Found], Iterator[_Finding]]] = {
    "additionalProperties": _unknown,
    "aligned": _not_aligned,
    "anyOf": _missing_choice,
    "const": _not_listed,
    "enum": _not_listed,
    "minProperties": _too_little,
    "not": _excluded,
    "oneOf": _two_choices,
    "required": _missing,
    "type": _wrong_type,
}
