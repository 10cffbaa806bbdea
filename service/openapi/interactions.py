"""The FHIR interactions: what each takes beside the parts of its path, and how it may be answered.

http://hl7.org/fhir/R4/http.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.fhir import idempotency
from service.openapi.parameters import ANSWER, ONE, SEARCH, WRITE

_OF_ONE = ("ETag", "Last-Modified")
_STORED = ("ETag", "Last-Modified", "Location", "Evaluation-Due")

#: a reader is refused with these, a writer with more
_READS = (400, 404, 406)
_WRITES = (400, 403, 404, 406, 409, 412, 413, 415, 422, 429)

HISTORY = ("_since", "_count", "_page", *ANSWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """An answer to what was carried out."""

    text: str
    shape: str | None = "Resource"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One interaction, under the name of the function that carries it out."""

    #: the section of http.html that defines it
    section: str
    parameters: tuple[str, ...] = ()
    #: as `bodies.of` knows it
    body: str | None = None
    good: Mapping[int, Good] = field(default_factory=dict)
    refused: tuple[int, ...] = _READS
    #: takes any search parameter of the type as well
    searches: bool = False


_FOUND = Good(text="The resources that match, a page of them.", shape="Bundle")
_VERSIONS = Good(text="Versions, the newest first, a page of them.", shape="Bundle")
_READ = {
    200: Good(text="The resource.", headers=_OF_ONE),
    304: Good(text="The client has this version.", shape=None, headers=_OF_ONE),
}
_CHANGED = {200: Good(text="The resource as it is stored now.", headers=_STORED)}
_PUT = {**_CHANGED, 201: Good(text="It is new.", headers=_STORED)}
_REMOVED = {
    200: Good(text="It is no longer there; Prefer: return=OperationOutcome asked for this.", headers=_OF_ONE),
    204: Good(text="It is no longer there.", shape=None, headers=_OF_ONE),
}

#: the query is the condition, so nothing else stands in it
_CONDITIONAL = ("identifier", "If-Match", "Prefer")

INTERACTIONS: Mapping[str, Interaction] = {
    "metadata": Interaction(
        section="capabilities",
        parameters=ANSWER,
        good={200: Good(text="What this service does.", shape="CapabilityStatement")},
        refused=(400, 406),
    ),
    "read": Interaction(
        section="read",
        parameters=(*ONE, "If-None-Match", "If-Modified-Since"),
        good=_READ,
        refused=(*_READS, 410, 412),
    ),
    "vread": Interaction(
        section="vread",
        parameters=(*ONE, "If-None-Match", "If-Modified-Since"),
        good=_READ,
        refused=(*_READS, 410, 412),
    ),
    "history": Interaction(section="history", parameters=("_at", *HISTORY, "Prefer"), good={200: _VERSIONS}),
    "history_of_type": Interaction(section="history", parameters=(*HISTORY, "Prefer"), good={200: _VERSIONS}),
    "history_of_system": Interaction(
        section="history", parameters=(*HISTORY, "Prefer"), good={200: _VERSIONS}, refused=(400, 406)
    ),
    "search": Interaction(
        section="search", parameters=(*SEARCH, "Prefer"), good={200: _FOUND}, searches=True
    ),
    "search_by_form": Interaction(
        section="search",
        parameters=(*SEARCH, "Prefer"),
        body="Form",
        good={200: _FOUND},
        refused=(*_READS, 413),
        searches=True,
    ),
    "search_compartment": Interaction(
        section="vsearch", parameters=(*SEARCH, "Prefer"), good={200: _FOUND}, searches=True
    ),
    "create": Interaction(
        section="create",
        parameters=("If-None-Exist", idempotency.HEADER, *WRITE),
        body="Resource",
        good={
            200: Good(text="There is one with this identifier; or the key was used.", headers=_STORED),
            201: Good(text="It is stored.", headers=_STORED),
        },
        refused=_WRITES,
    ),
    "update": Interaction(
        section="update", parameters=("If-Match", *WRITE), body="Stored", good=_PUT, refused=_WRITES
    ),
    "conditional_update": Interaction(
        section="cond-update", parameters=_CONDITIONAL, body="Resource", good=_PUT, refused=_WRITES
    ),
    "patch": Interaction(
        section="patch",
        parameters=("If-Match", *WRITE),
        body="JsonPatch",
        good=_CHANGED,
        refused=(*_WRITES, 410),
    ),
    "conditional_patch": Interaction(
        section="patch",
        parameters=_CONDITIONAL,
        body="JsonPatch",
        good=_CHANGED,
        refused=(*_WRITES, 410),
    ),
    "delete": Interaction(
        section="delete",
        parameters=("If-Match", *WRITE),
        good=_REMOVED,
        refused=(400, 403, 404, 406, 409, 412, 422, 429),
    ),
    "conditional_delete": Interaction(
        section="delete",
        parameters=_CONDITIONAL,
        good=_REMOVED,
        refused=(400, 403, 404, 406, 409, 412, 422, 429),
    ),
    "transaction": Interaction(
        section="transaction",
        parameters=(idempotency.HEADER, *WRITE),
        body="Visit",
        good={
            200: Good(
                text="Stored, with what became of each entry; of a batch, how each was answered.",
                shape="Bundle",
                headers=("Evaluation-Due", idempotency.REPLAYED),
            )
        },
        refused=(*_WRITES, 410),
    ),
}
