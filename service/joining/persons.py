"""The Patients of two records that are one: what they say of each other.

The one that goes keeps its content, is no longer active, and names the other; the one that stays carries
the identifiers of both, so that whoever knows the old one finds it.

http://hl7.org/fhir/R4/patient.html#links
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.fhir import references

Json = Mapping[str, Any]

REPLACED_BY = "replaced-by"
REPLACES = "replaces"

#: what is told where the two differ; a person looks which is right
COMPARED = ("birthDate", "gender", "deceasedBoolean", "deceasedDateTime", "multipleBirthInteger")


def replaced(patient: Json, target: str) -> dict[str, Any]:
    """Return the Patient that goes."""
    return _linked({**patient, "active": False}, target, REPLACED_BY)


def added(target: Json, source: Json) -> dict[str, Any]:
    """Return what the Patient that stays is given: the link, and the identifiers that it does not carry."""
    carried = {_token(identifier) for identifier in _list(target, "identifier")}
    return {
        "link": [_link(str(source["id"]), REPLACES)],
        "identifier": [
            {**identifier, "use": "old"}
            for identifier in _list(source, "identifier")
            if _token(identifier) not in carried
        ],
    }


def replacing(patient: Json, given: Iterable[Mapping[str, Sequence[Json]]]) -> dict[str, Any]:
    """Return the Patient that stays with what joinings have given it, where that is not there.

    Args:
        given: of each joining, as `added` returns it.
    """
    result = dict(patient)
    for one in given:
        carried = {_token(identifier) for identifier in _list(result, "identifier")}
        more = [i for i in one["identifier"] if _token(i) not in carried]
        if more:
            result["identifier"] = [*_list(result, "identifier"), *more]
        for link in one["link"]:
            if not any(_same_link(link, there) for there in _list(result, "link")):
                result["link"] = [*_list(result, "link"), link]
    return result


def alone(patient: Json, given: Mapping[str, Sequence[Json]]) -> dict[str, Any]:
    """Return the Patient that stayed without what a joining had given it."""
    gone = {_token(identifier) for identifier in given["identifier"]}
    kept = {
        "identifier": [
            i for i in _list(patient, "identifier") if _token(i) not in gone or i.get("use") != "old"
        ],
        "link": [
            there
            for there in _list(patient, "link")
            if not any(_same_link(link, there) for link in given["link"])
        ],
    }
    return _without_empty({**patient, **kept})


def restored(patient: Json, before: Json, target: str) -> dict[str, Any]:
    """Return the Patient that went as it stands for itself again.

    Args:
        patient: as it is now.
        before: as it was when it was joined.
    """
    ours = _link(target, REPLACED_BY)
    links = [link for link in _list(patient, "link") if not _same_link(ours, link)]
    # That it was inactive before for another reason is not forgotten; a hospital that sent the joining with
    # the Patient says that it is active by sending it again.
    active = {"active": before["active"]} if "active" in before else {}
    rest = {name: value for name, value in patient.items() if name != "active"}
    was_linked = any(_same_link(ours, link) for link in _list(before, "link"))
    return _without_empty({**rest, **({} if was_linked else active), "link": links})


def is_replaced(patient: Json) -> bool:
    """Return whether the Patient says that another one replaces it, in whatever form it names that one."""
    return any(link.get("type") == REPLACED_BY for link in _list(patient, "link"))


def replaced_by(patient: Json) -> str | None:
    """Return the id of the Patient that this one says it is replaced by; None where it says nothing.

    Args:
        patient: its references settled.
    """
    for link in _list(patient, "link"):
        other = references.local(str(link.get("other", {}).get("reference", "")))
        if link.get("type") == REPLACED_BY and other and other[0] == "Patient":
            return other[1]
    return None


def differing(source: Json, target: Json) -> list[str]:
    """Return of which elements the two say different things."""
    return [n for n in COMPARED if n in source and n in target and source[n] != target[n]] + [
        n for n in ("deceasedBoolean", "deceasedDateTime") if source.get(n) and not _dead(target)
    ]


def tokens(patient: Json, *, use: str | None = None) -> set[tuple[str, str]]:
    """Return system and value of each identifier, or of each with this use."""
    return {
        _token(identifier)
        for identifier in _list(patient, "identifier")
        if use is None or identifier.get("use") == use
    }


def _dead(patient: Json) -> bool:
    return bool(patient.get("deceasedBoolean") or patient.get("deceasedDateTime"))


def _linked(patient: Json, other: str, kind: str) -> dict[str, Any]:
    link = _link(other, kind)
    if any(_same_link(link, there) for there in _list(patient, "link")):
        return dict(patient)
    return {**patient, "link": [*_list(patient, "link"), link]}


def _link(other: str, kind: str) -> dict[str, Any]:
    return {"other": {"reference": f"Patient/{other}"}, "type": kind}


def _same_link(one: Json, other: Json) -> bool:
    if one == other:
        return True
    named = one.get("other", {}).get("reference")
    same = named is not None and named == other.get("other", {}).get("reference")
    return bool(same and one.get("type") == other.get("type"))


def _token(identifier: Json) -> tuple[str, str]:
    return str(identifier.get("system") or ""), str(identifier.get("value") or "")


def _list(patient: Json, name: str) -> list[Any]:
    found = patient.get(name)
    return found if isinstance(found, list) else []


def _without_empty(patient: Json) -> dict[str, Any]:
    return {name: value for name, value in patient.items() if value != []}
