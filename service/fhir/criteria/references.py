"""References to other resources, and criteria about what they lead to.

http://hl7.org/fhir/R4/search.html#reference
http://hl7.org/fhir/R4/search.html#chaining
http://hl7.org/fhir/R4/search.html#has
"""

import re
from collections.abc import Callable, Iterable

from fhir_profiles.r4.search_parameters import Parameter
from service.fhir import references
from service.fhir.criteria import sql, uris
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import plain
from service.fhir.criteria.sql import Sql
from service.fhir.criteria.tokens import row_matching as token_matching
from service.store.indexing import reading
from service.store.indexing.shortening import shortened
from service.store.search_index import PATIENT_ELEMENTS

MODIFIERS = ("missing", "identifier")

#: types about a patient that do not say so in one element: by their column, whatever they refer to
ALSO_OF_A_PATIENT = ("AuditEvent", "Provenance")

_LOCAL = re.compile(rf"(?P<type>{references.TYPE})/(?P<id>{references.ID})")


def matching(asked: Asked, choices: list[str], types: tuple[str, ...]) -> Sql:
    """Return the condition that one of the references is there.

    Args:
        types: what is kept here, for a parameter that may lead to anything.

    Raises:
        NotExchanged: a value is no reference, or one to a type to which the parameter does not lead.
    """
    if asked.modifier == "identifier":
        names = [name + reading.IDENTIFIER for name in asked.kept_as]
        matches = sql.any_of(token_matching(asked, choice, "s") for choice in choices)
        return sql.row("search_value", names, matches, of=asked.of)
    wanted = [_wanted(asked, choice, types) for choice in choices]
    patients = [one.removeprefix("Patient/") for many in wanted for one in many if one.startswith("Patient/")]
    if only_by_column(asked.type, asked.parameter):
        return Sql(f"{asked.of}.patient = ANY(%s)", (patients,))
    others = [one for many in wanted for one in many if not (by_column(asked) and one.startswith("Patient/"))]
    found = [_rows(asked, others)] if others else []
    if patients and by_column(asked):
        found.append(Sql(f"{asked.of}.patient = ANY(%s)", (patients,)))
    return sql.any_of(found)


def row_matching(asked: Asked, choice: str, as_: str, types: tuple[str, ...]) -> Sql:
    """Return the condition of a row that it holds the reference."""
    wanted = [shortened(one) for one in _wanted(asked, choice, types)]
    return Sql(f"{as_}.value = ANY(%s)", (wanted,))


def chained(asked: Asked, targets: Iterable[str], inner: Callable[[str, str], Sql]) -> Sql:
    """Return the condition that something the parameter refers to fulfils another one.

    Args:
        targets: the types it may be of.
        inner: makes the condition of a type and an alias.
    """
    found = []
    as_ = f"{asked.of}t"
    for type_ in targets:
        there = f"{as_}.tenant = {asked.of}.tenant AND {as_}.type = %s AND NOT {as_}.deleted"
        wanted = inner(type_, as_)
        if by_column(asked) and type_ == "Patient":
            text = (
                f"EXISTS (SELECT FROM resource {as_} WHERE {there} AND {as_}.id = {asked.of}.patient "
                f"AND {wanted.text})"
            )
            found.append(Sql(text, (type_, *wanted.values)))
        if only_by_column(asked.type, asked.parameter):
            continue
        is_named = sql.named(f"{as_}s", asked.kept_as)
        # Said both ways, so that either may be looked for first.
        same = f"{as_}s.value = %s || {as_}.id AND {as_}.id = substr({as_}s.value, %s)"
        text = (
            f"EXISTS (SELECT FROM search_value {as_}s JOIN resource {as_} ON {there} AND {same} "
            f"WHERE {as_}s.key = {asked.of}.key AND {as_}s.tenant = {asked.of}.tenant "
            f"AND {as_}s.type = {asked.of}.type AND {is_named.text} AND {wanted.text})"
        )
        values = (type_, f"{type_}/", len(type_) + 2, *is_named.values, *wanted.values)
        found.append(Sql(text, values))
    return sql.any_of(found)


def referring(asked: Asked, to: str, type_: str, inner: Callable[[str, str], Sql]) -> Sql:
    """Return the condition that something refers to the resource by the parameter and fulfils another one.

    Args:
        asked: the parameter of what refers.
        to: the alias of the resource.
        type_: its type.
    """
    as_ = asked.of
    wanted = inner(asked.type, as_)
    there = f"{as_}.tenant = {to}.tenant AND {as_}.type = %s AND NOT {as_}.deleted"
    found = []
    if by_column(asked) and type_ == "Patient":
        text = (
            f"EXISTS (SELECT FROM resource {as_} WHERE {there} AND {as_}.patient = {to}.id AND {wanted.text})"
        )
        found.append(Sql(text, (asked.type, *wanted.values)))
    if not only_by_column(asked.type, asked.parameter):
        is_named = sql.named(f"{as_}s", asked.kept_as)
        text = (
            f"EXISTS (SELECT FROM search_value {as_}s JOIN resource {as_} ON {as_}.key = {as_}s.key "
            f"AND {there} WHERE {as_}s.tenant = {to}.tenant AND {as_}s.type = %s AND {is_named.text} "
            f"AND {as_}s.value = %s || {to}.id AND {wanted.text})"
        )
        values = (asked.type, asked.type, *is_named.values, f"{type_}/", *wanted.values)
        found.append(Sql(text, values))
    return sql.any_of(found)


def missing(asked: Asked) -> Sql:
    """Return the condition that there is no reference."""
    if only_by_column(asked.type, asked.parameter):
        return Sql(f"{asked.of}.patient IS NULL")
    row = sql.none_of(sql.row("search_value", asked.kept_as, Sql("TRUE"), of=asked.of))
    return sql.all_of([Sql(f"{asked.of}.patient IS NULL"), row]) if by_column(asked) else row


def by_column(asked: Asked) -> bool:
    """Return whether references to a patient are in the column that says whom the resource is about."""
    if asked.type in ALSO_OF_A_PATIENT:
        return asked.name == "patient"
    elements = [(element,) for element in PATIENT_ELEMENTS.get(asked.type, ())]
    return any(place.path in elements for place in asked.parameter.places)


def only_by_column(type_: str, parameter: Parameter) -> bool:
    """Return whether the parameter is the patient a resource is about, and nothing besides."""
    return parameter.name == "patient" and (type_ in ALSO_OF_A_PATIENT or type_ in PATIENT_ELEMENTS)


def _rows(asked: Asked, wanted: list[str]) -> Sql:
    if any(place.of != "Reference" for place in asked.parameter.places):
        matches = sql.any_of(uris.of_canonical(one, "s") for one in wanted)
    else:
        matches = Sql("s.value = ANY(%s)", ([shortened(one) for one in wanted],))
    return sql.row("search_value", asked.kept_as, matches, of=asked.of)


def _wanted(asked: Asked, choice: str, types: tuple[str, ...]) -> list[str]:
    """Return the references that are meant: an id alone is one of any type to which the parameter leads."""
    text = plain(choice).removeprefix(asked.base)
    targets = asked.parameter.targets or types
    if asked.modifier:
        targets = (asked.modifier,)
    text = references.without_version(text) if _LOCAL.match(text) else text
    if match := _LOCAL.fullmatch(text):
        if match["type"] not in targets and asked.parameter.targets:
            raise asked.refused(f"leads to {' or '.join(targets)}")
        return [text] if match["type"] in targets else []
    if re.fullmatch(references.ID, text):
        return [f"{type_}/{text}" for type_ in targets]
    if ":" not in text:
        raise asked.refused("is Type/id, the id alone, or a url")
    return [text]
