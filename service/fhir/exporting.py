"""What an export is asked for, and the manifest that tells where its files are.

http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_profiles.r4 import search_parameters
from service.fhir import subset
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import TYPES
from service.fhir.subset import Shape
from service.store import content, search_index
from service.store.export_files import File
from service.store.exports import Export

MEDIA_TYPE = "application/fhir+ndjson"
FORMATS = (MEDIA_TYPE, "application/ndjson", "ndjson")

PARAMETERS = ("_elements", "_outputFormat", "_since", "_type", "_typeFilter")
#: beneath `base`: where an export stands, and its files
PATH = "_export"

_KICK_OFF = re.compile(r"(Patient/|Group/[^/]+/)?\$export(\?.*)?$")


def check_format(text: str | None) -> None:
    """Refuse a form of files that is not written.

    Raises:
        NotExchanged: it is another than NDJSON.
    """
    # a plus in a query means a space there, and people write it all the same
    if text is not None and text.replace(" ", "+") not in FORMATS:
        raise NotExchanged(Issue(code="not-supported", text=f"_outputFormat is {', '.join(FORMATS)}"))


def types_of(texts: Iterable[str], *, of_patients: bool) -> tuple[str, ...]:
    """Return the types that are written: those that are named, or all.

    Raises:
        NotExchanged: one is not kept, or none of them belongs to patients where only that is asked for.
    """
    named = _separated(texts)
    if not named:
        return TYPES
    if unknown := [type_ for type_ in named if type_ not in TYPES]:
        text = f"{len(unknown)} of the types in _type are not kept here; see metadata"
        raise NotExchanged(Issue(code="not-supported", text=text))
    if of_patients and not any(map(_belongs, named)):
        text = "none of the types in _type belongs to patients; ask for them with [base]/$export"
        raise NotExchanged(Issue(code="not-supported", text=text))
    return named


def elements_of(texts: Iterable[str], types: Sequence[str]) -> tuple[str, ...]:
    """Return the elements that are written, as they were given; empty: whole resources.

    Raises:
        NotExchanged: one is no element of any of the types.
    """
    elements = _separated(texts)
    for element in elements:
        type_, dot, name = element.rpartition(".")
        if dot and type_ not in types:
            text = "_elements names a type that is not written; an element is Type.name or name"
            raise NotExchanged(Issue(code="value", text=text))
        if not any(subset.has(each, name) for each in ((type_,) if dot else types)):
            text = (
                "_elements names something that is no element of the types; an element is Type.name or name"
            )
            raise NotExchanged(Issue(code="value", text=text))
    return elements


def shape_of(type_: str, elements: Iterable[str]) -> Shape:
    """Return which part of the resources of a type is written; of a type without an element the whole."""
    split = [element.rpartition(".") for element in elements]
    own = [name for of, dot, name in split if of == type_ or (not dot and subset.has(type_, name))]
    return Shape(elements=tuple(own))


def manifest(export: Export, files: Iterable[File], *, base: str, requires_token: bool) -> dict[str, Any]:
    """Return where the files of a finished export are.

    Args:
        base: the service's own base, with a slash at the end.
    """
    by_kind: dict[str, list[dict[str, Any]]] = {"output": [], "deleted": [], "error": []}
    for file in files:
        url = f"{base}{PATH}/{export.id}/{name_of(file)}"
        by_kind[file.kind].append({"type": file.type, "url": url, "count": file.lines})
    if export.asked.since is None:
        del by_kind["deleted"]
    return {
        "transactionTime": content.instant(export.asked.last),
        "request": export.asked.request,
        "requiresAccessToken": requires_token,
        **by_kind,
    }


def base_of(export: Export) -> str:
    """Return the service's own base as whoever asked for the export has it, with a slash at the end."""
    return _KICK_OFF.sub("", export.asked.request)


def name_of(file: File) -> str:
    """Return the last part of the address of a file."""
    return f"{file.type}.{file.number}.ndjson"


def members(group: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the patients who are members of a Group, whoever has left it excepted."""
    named = (
        str(member["entity"].get("reference", ""))
        for member in group.get("member", ())
        if member.get("inactive") is not True
    )
    return tuple(dict.fromkeys(each.partition("/")[2] for each in named if each.startswith("Patient/")))


def _belongs(type_: str) -> bool:
    return (
        type_ == "Patient"
        or type_ in search_index.PATIENT_ELEMENTS
        or type_ in search_parameters.in_patient_compartment()
    )


def _separated(texts: Iterable[str]) -> tuple[str, ...]:
    """Return what stands between commas; given several times it is as if it stood in one."""
    parts = (part.strip() for text in texts for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
