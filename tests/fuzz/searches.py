"""Queries at random: search parameters with values of their kinds, modifiers, chains, what comes along."""

import random
from collections.abc import Mapping

from fhir_profiles import canonical
from fuzz import spoiling
from fuzz.grammar import DAY, NUMBER, TEXT, Grammar
from service.fhir.criteria import conditions
from service.fhir.searching import TYPES
from service.store.indexing import parameters

Query = list[tuple[str, str]]

_PREFIXES = ("", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_MODIFIERS = (TEXT, "not", "missing", "in", "exact", "identifier", "Patient", "of-type", "text", "above", "")
_SETS = (canonical.value_set("pathway-stage"), canonical.value_set("red-flag"), "ValueSet/f-1")
#: types that are asked more often: those the pathways live on
OFTEN = (
    "Patient",
    "Observation",
    "Task",
    "CarePlan",
    "ServiceRequest",
    "Condition",
    "Practitioner",
    "Encounter",
)


def type_(chance: random.Random) -> str:
    """Return a type."""
    return chance.choice(OFTEN if chance.random() < 0.5 else TYPES)


def query(of: str, chance: random.Random) -> Query:
    """Return the query of a search of the type; most are understood."""
    asked = [_criterion(of, chance) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
    for shaping in (_count, _sort, _along, _shape, _total):
        if chance.random() < 0.25:
            asked += shaping(of, chance)
    return asked


def spoilt(asked: Query, chance: random.Random) -> Query:
    """Return the query with one or two of its parts spoilt."""
    asked = list(asked) or [("_id", "f-1")]
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(asked))
        name, value = asked[at]
        match chance.randrange(6):
            case 0:
                asked[at] = (spoiling.word(chance), value)
            case 1:
                asked[at] = (f"{name}:{chance.choice(_MODIFIERS)}", value)
            case 2:
                asked[at] = (name, value + spoiling.word(chance))
            case 3:
                asked *= chance.choice((2, 2, 2, 45))
            case _:
                asked[at] = (name, spoiling.word(chance))
    return asked


def _criterion(of: str, chance: random.Random, depth: int = 0) -> tuple[str, str]:
    known = conditions.parameters_of(of)
    name = chance.choice(sorted(known))
    kind = known[name].kind
    if kind == "reference" and depth < 3 and chance.random() < 0.4:
        target = chance.choice(known[name].targets or ("Patient",))
        if target in TYPES:
            inner, value = _criterion(target, chance, depth + 1)
            return f"{name}:{target}.{inner}", value
    if depth < 2 and chance.random() < 0.06:
        other, by = _referring(of, chance)
        if other:
            inner, value = _criterion(other, chance, depth + 1)
            return f"_has:{other}:{by}:{inner}", value
    words = conditions.MODIFIERS.get(kind, ())
    if words and chance.random() < 0.2:
        word = chance.choice(words)
        given = {"missing": "true"}
        if chance.random() < 0.5:
            given |= dict.fromkeys(("in", "not-in"), chance.choice(_SETS))
            given |= dict.fromkeys(("above", "below"), f"{canonical.STAGES}|imaging")
        return f"{name}:{word}", given.get(word) or _value(of, name, kind, chance)
    return name, ",".join(_value(of, name, kind, chance) for _ in range(chance.choice((1, 1, 1, 2, 4))))


def _referring(of: str, chance: random.Random) -> tuple[str, str]:
    other = type_(chance)
    by = [
        name
        for name, each in conditions.parameters_of(other).items()
        if each.kind == "reference" and of in each.targets
    ]
    return (other, chance.choice(sorted(by))) if by else ("", "")


def _value(of: str, name: str, kind: str, chance: random.Random) -> str:
    it = Grammar(chance)
    if name == "_id":
        return it.id()
    match kind:
        case "date":
            return chance.choice(_PREFIXES) + chance.choice(
                (DAY, "2026", "2026-01-05T08:40:00Z", "1873-04", f"{DAY}T10:00Z")
            )
        case "number":
            return chance.choice(_PREFIXES) + chance.choice(("1", NUMBER, "0.5", "1e3", "-2"))
        case "quantity":
            unit = chance.choice(
                ("", "|http://unitsofmeasure.org|mg", "||kg", "|http://unitsofmeasure.org|Cel", f"||{TEXT}")
            )
            return chance.choice(_PREFIXES) + chance.choice(("1", NUMBER, "5.4e-3")) + unit
        case "reference":
            return chance.choice((f"Patient/{it.id()}", it.id(), f"{type_(chance)}/{it.id()}", it.uri()))
        case "token":
            return chance.choice(
                (f"{TEXT}1", f"{it.uri()}|{TEXT}1", f"{it.uri()}|", f"|{TEXT}", "final", "true")
            )
        case "uri":
            return it.uri()
        case "special":
            unit = chance.choice(("", "|5", "|1000|m", "|3|[mi_us]", f"|1|{TEXT}", "|-1"))
            return f"{chance.choice(('0', '50.9', '-90', '91'))}|{chance.choice(('0', '-180', NUMBER))}{unit}"
        case "narrative":
            words = (TEXT, "hip or", "not", "(", ")", f'"{TEXT} {TEXT}"', f"{TEXT}*", f"-{TEXT}")
            return " ".join(chance.choice(words) for _ in range(chance.choice((1, 1, 2, 4))))
        case "composite":
            return "$".join(_value(of, "", each, chance) for each in _parts(of, name))
        case _:
            return it.text().replace(",", "\\,")


def _parts(of: str, name: str) -> list[str]:
    found: Mapping[str, object] = parameters.of(of)
    parts = getattr(found.get(name), "parts", None) or ("token", "token")
    return [getattr(each, "kind", "token") for each in parts]


def _count(_of: str, chance: random.Random) -> Query:
    return [("_count", chance.choice(("0", "1", "2", "10", "1000", "5000")))]


def _sort(of: str, chance: random.Random) -> Query:
    names = chance.sample(sorted(conditions.parameters_of(of)), 2)
    return [("_sort", ",".join(chance.choice(("", "-")) + name for name in names[: chance.choice((1, 2))]))]


def _along(of: str, chance: random.Random) -> Query:
    names = [name for name, each in conditions.parameters_of(of).items() if each.kind == "reference"]
    reverse = chance.random() < 0.4
    other, by = _referring(of, chance) if reverse else (of, chance.choice(sorted(names) or [""]))
    word = "_revinclude" if reverse else "_include"
    value = f"{other}:{by}" if by else f"{of}:*"
    return [(word + chance.choice(("", "", ":iterate")), value)]


def _shape(_of: str, chance: random.Random) -> Query:
    return [
        chance.choice(
            (("_summary", "true"), ("_summary", "count"), ("_summary", "text"), ("_elements", "id,meta"))
        )
    ]


def _total(_of: str, chance: random.Random) -> Query:
    return [("_total", chance.choice(("none", "estimate", "accurate")))]
