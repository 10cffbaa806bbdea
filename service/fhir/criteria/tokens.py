"""Codes, identifiers and flags.

http://hl7.org/fhir/R4/search.html#token
"""

from collections.abc import Iterable

from service.fhir import terminology
from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import plain, split
from service.fhir.criteria.sql import Sql
from service.fhir.terminology import Token
from service.store.indexing import reading
from service.store.indexing.shortening import shortened

MODIFIERS = ("missing", "not", "text", "of-type", "in", "not-in", "above", "below")

#: data types that hold codes of systems
_CODES = ("CodeableConcept", "Coding", "code")

#: below which properties the words of a token stand, by data type
_WORDS = {
    "CodeableConcept": (".text", ".coding.display"),
    "Coding": (".display",),
    "Identifier": (".type.text", ".type.coding.display"),
}
#: Without accents, case and double blanks. The database folds what is asked as well as what is there: it and
#: Python do not agree on every letter.
_FOLDED = (
    "btrim(regexp_replace(replace(lower(regexp_replace(normalize({}, NFKD), '[\\u0300-\\u036f]', '', 'g')), "
    "'\u00df', 'ss'), '\\s+', ' ', 'g'))"
)


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that one of the codes is there; with `not`, that none is.

    Raises:
        NotExchanged: a value cannot be read, or the modifier does not fit the parameter.
    """
    match asked.modifier:
        case "text":
            return _in_words(asked, choices)
        case "of-type":
            return _of_type(asked, choices)
        case "not":
            return sql.none_of(_coded(asked, choices))
        case "in":
            return _of_tokens(asked, _members(asked, choices))
        case "not-in":
            # What has no code at all is not in the set, either, as with `not`.
            return sql.none_of(_of_tokens(asked, _members(asked, choices)))
        case "above" | "below":
            return _of_tokens(asked, _related(asked, choices))
        case _:
            return _coded(asked, choices)


def row_matching(asked: Asked, choice: str, as_: str) -> Sql:
    """Return the condition of a row that it holds the token."""
    system, code = _token(asked, choice)
    if system is None:
        return Sql(f"{as_}.value = %s", (code,))
    if not code:
        return Sql(f"{as_}.system = %s", (system,))
    if system and system in _implied(asked):
        # A mere code is from the system to which its element is bound.
        return Sql(f"{as_}.value = %s AND {as_}.system = ANY(%s)", (code, [system, ""]))
    return Sql(f"{as_}.value = %s AND {as_}.system = %s", (code, system))


def _coded(asked: Asked, choices: list[str]) -> Sql:
    if asked.column:
        return _of_column(asked, choices)
    if all(len(split(choice, "|")) == 1 for choice in choices):
        codes = [shortened(plain(choice)) for choice in choices]
        return sql.row("search_value", asked.kept_as, Sql("s.value = ANY(%s)", (codes,)), of=asked.of)
    matches = sql.any_of(row_matching(asked, choice, "s") for choice in choices)
    return sql.row("search_value", asked.kept_as, matches, of=asked.of)


def _of_column(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition of `_id` or a status, whose system is that of its element."""
    codes, whole = [], False
    for choice in choices:
        system, code = _token(asked, choice)
        if system and system not in _implied(asked):
            continue
        whole = whole or not code
        codes.append(code)
    if whole:
        return Sql(f"{asked.column} IS NOT NULL")
    return Sql(
        f"coalesce({asked.column} = ANY(%s), FALSE)" if asked.modifier else f"{asked.column} = ANY(%s)",
        (codes,),
    )


def _token(asked: Asked, choice: str) -> tuple[str | None, str]:
    """Return system and code; no system: any."""
    parts = [plain(part) for part in split(choice, "|")]
    if len(parts) > 2 or not any(parts):
        raise asked.refused("is code, system|code, |code or system|")
    code = shortened(parts[-1])
    return (shortened(parts[0]), code) if len(parts) == 2 else (None, code)


def _implied(asked: Asked) -> frozenset[str]:
    return frozenset(system for place in asked.parameter.places for system in place.systems)


def _members(asked: Asked, choices: list[str]) -> frozenset[Token]:
    """Return the codes of value sets."""
    _check_codes(asked)
    named = [plain(choice).removeprefix(asked.base) for choice in choices]
    return terminology.bounded(token for one in named for token in asked.terminology.members(one))


def _related(asked: Asked, choices: list[str]) -> frozenset[Token]:
    """Return codes and what is above or below them.

    R4 names the modifiers by what is asked for: below a code is what the code subsumes.
    """
    _check_codes(asked)
    found = list[Token]()
    for choice in choices:
        parts = [plain(part) for part in split(choice, "|")]
        if len(parts) != 2 or not all(parts):
            raise asked.refused(f"with :{asked.modifier} is system|code")
        system, code = parts
        known = asked.terminology
        codes = known.below(system, code) if asked.modifier == "below" else known.above(system, code)
        found += [(system, each) for each in codes]
    return terminology.bounded(found)


def _check_codes(asked: Asked) -> None:
    codes = [place for place in asked.parameter.places if place.of in _CODES]
    if not codes:
        raise asked.refused(f"has no codes of a system, so it has no :{asked.modifier}")
    if all(place.of == "code" for place in codes) and not all(place.systems for place in codes):
        # A mere code says no system, and would be in no set, whatever it is.
        raise asked.refused(f"has codes whose system is not known here, so it has no :{asked.modifier}")


def _of_tokens(asked: Asked, tokens: Iterable[Token]) -> Sql:
    """Return the condition that one of the codes is there, each of its own system."""
    by_system: dict[str, list[str]] = {}
    for system, code in sorted(tokens):
        by_system.setdefault(system, []).append(shortened(code))
    if asked.column:
        codes = [code for system in by_system if system in _implied(asked) for code in by_system[system]]
        return Sql(f"coalesce({asked.column} = ANY(%s), FALSE)", (codes,))
    found = []
    for system, codes in by_system.items():
        # A mere code is from the system to which its element is bound.
        systems = [shortened(system), ""] if system in _implied(asked) else [shortened(system)]
        found.append(Sql("s.value = ANY(%s) AND s.system = ANY(%s)", (codes, systems)))
    return sql.row("search_value", asked.kept_as, sql.any_of(found), of=asked.of)


def _of_type(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that an identifier of a type has a value."""
    if any(place.of != "Identifier" for place in asked.parameter.places):
        raise asked.refused("is no identifier, so it has no :of-type")
    found = []
    for choice in choices:
        parts = [plain(part) for part in split(choice, "|")]
        if len(parts) != 3 or not all(parts[1:]):
            raise asked.refused("with :of-type is system|code|value")
        typed = f"{parts[0]}|{parts[1]}"
        found.append(Sql("s.system = %s AND s.value = %s", (shortened(typed), shortened(parts[2]))))
    names = [name + reading.OF_TYPE for name in asked.kept_as]
    return sql.row("search_value", names, sql.any_of(found), of=asked.of)


def _in_words(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that a text or display begins so. It is read from the body: no row holds it."""
    ways = {
        "$." + ".".join(place.path) + end
        for place in asked.parameter.places
        for end in _WORDS.get(place.of, ())
    }
    if not ways:
        raise asked.refused("has no words, so it has no :text")
    begins = [plain(choice) for choice in choices]
    if not all(reading.folded(begin) for begin in begins):
        raise asked.refused("has no letters to search for")
    there, wanted = _FOLDED.format("t #>> '{}'"), _FOLDED.format("b")
    found = [
        Sql(
            f"EXISTS (SELECT FROM jsonb_path_query({asked.of}.body::jsonb, '{way}') AS t "  # noqa: S608
            f"WHERE EXISTS (SELECT FROM unnest(%s::text[]) AS b WHERE starts_with({there}, {wanted})))",
            (begins,),
        )
        for way in sorted(ways)
    ]
    return sql.any_of(found)
