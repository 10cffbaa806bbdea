"""Criteria of which several parts must hold of one element.

http://hl7.org/fhir/R4/search.html#composite
"""

from service.fhir.criteria import dates, numbers, references, sql, strings, tokens, uris
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import split
from service.fhir.criteria.sql import Sql
from service.store.indexing import parameters


def matching(asked: Asked, choices: list[str], types: tuple[str, ...]) -> Sql:
    """Return the condition that one element holds all parts of one of the values.

    Raises:
        NotExchanged: a value has another number of parts, or one that cannot be read.
    """
    return sql.any_of(_together(asked, choice, types) for choice in choices)


def _together(asked: Asked, choice: str, types: tuple[str, ...]) -> Sql:
    values = split(choice, "$")
    components = asked.parameter.components
    if len(values) != len(components) or not all(values):
        words = "$".join(name for name, _ in components)
        raise asked.refused(f"is {words}")
    tables, conditions, found = [], [], list[object]()
    for number, ((name, beside), value) in enumerate(zip(components, values, strict=True)):
        as_ = f"c{number}"
        part = Asked(
            type=asked.type,
            parameter=parameters.of(asked.type)[name],
            modifier="",
            base=asked.base,
            of=asked.of,
        )
        matches = _row(part, value, as_, types)
        tables.append(f"{sql.TABLES[part.parameter.kind]} {as_}")
        same = f" AND {as_}.part = c0.part" if number and beside and components[0][1] else ""
        is_named = sql.named(as_, part.kept_as)
        conditions.append(f"{sql.of_resource(as_, asked.of)} AND {is_named.text} AND ({matches.text}){same}")
        found += [*is_named.values, *matches.values]
    fence = sql.FENCE if asked.of == "r" else ""
    text = f"EXISTS (SELECT FROM {', '.join(tables)} WHERE {' AND '.join(conditions)} {fence})"
    return Sql(text, tuple(found))


def _row(part: Asked, value: str, as_: str, types: tuple[str, ...]) -> Sql:
    match part.parameter.kind:
        case "string":
            return strings.row_matching(part, value, as_)
        case "date":
            return dates.row_matching(part, value, as_)
        case "number" | "quantity":
            return numbers.row_matching(part, value, as_)
        case "uri":
            return uris.row_matching(part, value, as_)
        case "reference":
            return references.row_matching(part, value, as_, types)
        case _:
            return tokens.row_matching(part, value, as_)
