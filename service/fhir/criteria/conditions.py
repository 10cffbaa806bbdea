"""A criterion as SQL: which parameter is meant, and how its values are compared.

    code=a,b                     a row of this resource
    subject:Patient.name=peter   a resource that this one refers to
    _has:Observation:patient:code=a   a resource that refers to this one

http://hl7.org/fhir/R4/search.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fhir_profiles.r4.search_parameters import Parameter
from service.fhir.criteria import (
    composites,
    dates,
    narratives,
    numbers,
    positions,
    references,
    sql,
    strings,
    tokens,
    uris,
)
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import split
from service.fhir.criteria.sql import Sql
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.terminology import Terminology
from service.store.indexing import parameters

#: modifiers by the kind of a parameter; of a reference also the types it leads to
MODIFIERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "token": tokens.MODIFIERS,
        "string": strings.MODIFIERS,
        "date": dates.MODIFIERS,
        "number": numbers.MODIFIERS,
        "quantity": numbers.MODIFIERS,
        "uri": uris.MODIFIERS,
        "reference": references.MODIFIERS,
        "special": positions.MODIFIERS,
        "narrative": narratives.MODIFIERS,
        "composite": ("missing",),
    }
)

#: One inside the other: more are refused, each costs a join.
DEEPEST = 4
#: Ways from one type to another in the criteria of one search: each is a sub-select, and a reference that
#: leads to anything is one for each type.
MOST_WAYS = 200
#: values of one criterion
MOST_CHOICES = 500


class Unknown(NotExchanged):
    """There is no such parameter: a client may ask for such ones to be passed over."""


@dataclass(slots=True)
class Ways:
    """How many ways from one type to another the criteria of one search have gone so far."""

    gone: int = 0

    def go(self, asked: Asked) -> None:
        """Go a further one.

        Raises:
            NotExchanged: there are too many.
        """
        self.gone += 1
        if self.gone > MOST_WAYS:
            text = (
                f"{asked.name} leads to so many types that more than {MOST_WAYS} ways would be gone; "
                f"say at each chain which type is meant, as in subject:Patient.name"
            )
            raise NotExchanged(Issue(code="too-costly", text=text))


def parameters_of(type_: str) -> Mapping[str, Parameter]:
    """Return the search parameters of a type by name."""
    found = parameters.of(type_)
    if type_ in references.ALSO_OF_A_PATIENT:
        one = found["patient"]
        return {
            **found,
            "patient": Parameter(name="patient", kind="reference", places=one.places, targets=("Patient",)),
        }
    return found


def condition(
    type_: str,
    name: str,
    value: str,
    *,
    base: str,
    types: tuple[str, ...],
    ways: Ways,
    terminology: Terminology,
    of: str = "r",
    depth: int = 0,
) -> Sql:
    """Return the condition that the criterion sets to the resource of an alias.

    Args:
        name: as it is written, with modifiers and chains.
        base: the service's own base.
        types: everything that is kept.
        ways: those of the whole search.
        terminology: by which codes are compared with sets of codes.
        depth: how many chains it stands within.

    Raises:
        Unknown: the type has no such parameter.
        NotExchanged: the modifier is not offered, or the value cannot be read.
    """
    if depth > DEEPEST:
        text = f"chains are followed over at most {DEEPEST} references"
        raise NotExchanged(Issue(code="too-costly", text=text))
    if name.startswith("_has:"):
        return _has(
            type_,
            name,
            value,
            base=base,
            types=types,
            ways=ways,
            terminology=terminology,
            of=of,
            depth=depth,
        )
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    parameter = _known(type_, code)
    asked = Asked(
        type=type_, parameter=parameter, modifier=modifier, base=base, of=of, terminology=terminology
    )
    if dot:
        return _chain(asked, rest, value, types=types, ways=ways, depth=depth)
    if not value:
        # Left out, it would widen the answer to everybody's; an empty variable must not do that.
        raise asked.refused("has no value")
    _check_modifier(asked, types)
    if modifier == "missing":
        return _missing(asked, value)
    choices = split(value, ",")
    if len(choices) > MOST_CHOICES or not all(choices):
        raise asked.refused(f"has up to {MOST_CHOICES} values between commas, and none of them is empty")
    return _compared(asked, choices, types)


def targets(asked: Asked, types: tuple[str, ...]) -> tuple[str, ...]:
    """Return the types to which a reference leads, or the one it is confined to."""
    found = asked.parameter.targets or types
    return (asked.modifier,) if asked.modifier else tuple(type_ for type_ in found if type_ in types)


def _compared(asked: Asked, choices: list[str], types: tuple[str, ...]) -> Sql:
    match asked.parameter.kind:
        case "token":
            return tokens.matching(asked, choices)
        case "string":
            return strings.matching(asked, choices)
        case "date":
            return dates.matching(asked, choices)
        case "number" | "quantity":
            return numbers.matching(asked, choices)
        case "uri":
            return uris.matching(asked, choices)
        case "special":
            return positions.matching(asked, choices)
        case "narrative":
            return narratives.matching(asked, choices)
        case "reference":
            return references.matching(asked, choices, types)
        case _:
            return composites.matching(asked, choices, types)


def _known(type_: str, code: str) -> Parameter:
    found = parameters_of(type_)
    if code not in found:
        names = ", ".join(sorted({*found, "_count"}))
        raise Unknown(Issue(code="not-supported", text=f"{type_} is searched by {names}"))
    return found[code]


def _check_modifier(asked: Asked, types: tuple[str, ...]) -> None:
    offered = MODIFIERS[asked.parameter.kind]
    leads_to = targets(Asked(type=asked.type, parameter=asked.parameter, modifier="", base=""), types)
    if asked.parameter.kind == "reference" and asked.modifier in leads_to:
        return
    if asked.modifier and asked.modifier not in offered:
        words = ", ".join(f":{word}" for word in offered)
        also = " and the types it leads to" if asked.parameter.kind == "reference" else ""
        text = f"{asked.name} has {f'the modifiers {words}{also}' if offered else 'no modifiers'}"
        raise NotExchanged(Issue(code="not-supported", text=text))


def _missing(asked: Asked, value: str) -> Sql:
    if value not in ("true", "false"):
        raise asked.refused("with :missing is true or false")
    if asked.column:
        there = Sql(f"{asked.column} IS NULL")
    elif asked.parameter.kind == "reference":
        there = references.missing(asked)
    elif asked.parameter.kind == "composite":
        raise asked.refused("is made of others; ask for those with :missing")
    else:
        row = sql.row(sql.TABLES[asked.parameter.kind], asked.kept_as, Sql("TRUE"), of=asked.of)
        there = sql.none_of(row)
    return there if value == "true" else sql.none_of(there)


def _chain(asked: Asked, rest: str, value: str, *, types: tuple[str, ...], ways: Ways, depth: int) -> Sql:
    """Return the condition about what a reference leads to: of the types that have the next parameter."""
    if asked.parameter.kind != "reference":
        raise asked.refused("is no reference, so nothing follows it after a dot")
    leads_to = targets(Asked(type=asked.type, parameter=asked.parameter, modifier="", base=""), types)
    if asked.modifier and asked.modifier not in leads_to:
        raise asked.refused("leads to other types")
    next_ = rest.partition(".")[0].partition(":")[0]
    found = [type_ for type_ in targets(asked, types) if next_ == "_has" or next_ in parameters_of(type_)]
    if not found:
        text = f"nothing that {asked.name} leads to is searched by what follows the dot; see metadata"
        raise Unknown(Issue(code="not-supported", text=text))

    inner = _inner(asked, rest, value, types=types, ways=ways, depth=depth)
    return references.chained(asked, found, inner)


def _has(
    type_: str,
    name: str,
    value: str,
    *,
    base: str,
    types: tuple[str, ...],
    ways: Ways,
    terminology: Terminology,
    of: str,
    depth: int,
) -> Sql:
    parts = name.split(":", 3)
    if len(parts) != 4 or parts[1] not in types:
        text = "_has is _has:Type:reference:parameter=value"
        raise NotExchanged(Issue(code="value", text=text))
    _, other, code, rest = parts
    parameter = _known(other, code)
    if parameter.kind != "reference" or (parameter.targets and type_ not in parameter.targets):
        text = f"{code} of {other} does not lead to {type_}"
        raise NotExchanged(Issue(code="value", text=text))
    asked = Asked(
        type=other, parameter=parameter, modifier="", base=base, of=f"{of}h", terminology=terminology
    )

    inner = _inner(asked, rest, value, types=types, ways=ways, depth=depth)
    return references.referring(asked, of, type_, inner)


def _inner(
    asked: Asked, rest: str, value: str, *, types: tuple[str, ...], ways: Ways, depth: int
) -> Callable[[str, str], Sql]:
    """Return what makes the condition about the other end of a reference, given its type and its alias."""

    def inner(type_: str, of: str) -> Sql:
        ways.go(asked)
        return condition(
            type_,
            rest,
            value,
            base=asked.base,
            types=types,
            ways=ways,
            terminology=asked.terminology,
            of=of,
            depth=depth + 1,
        )

    return inner
