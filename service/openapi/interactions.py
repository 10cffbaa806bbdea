"""The FHIR interactions: what each takes beside the parts of its path, and how it may be answered.

http://hl7.org/fhir/R4/http.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.fhir import exporting, idempotency, subscribing
from service.openapi.answers import FHIR, JSON
from service.openapi.parameters import ANSWER, ONE, SEARCH, WRITE

_OF_ONE = ("ETag", "Last-Modified")
_STORED = ("ETag", "Last-Modified", "Location", "Evaluation-Due")

#: a reader is refused with these, a writer with more
_READS = (400, 404, 406)
_WRITES = (400, 403, 404, 406, 409, 412, 413, 415, 422, 429)

HTTP = "http://hl7.org/fhir/R4/http.html"
EXPORT = "http://hl7.org/fhir/uv/bulkdata/STU2/export.html"

HISTORY = ("_since", "_count", "_page", *ANSWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """An answer to what was carried out."""

    text: str
    shape: str | None = "Resource"
    headers: tuple[str, ...] = ()
    media: str = FHIR


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One interaction, under the name of the function that carries it out."""

    #: the section that defines it
    section: str
    #: the page that has the section
    page: str = HTTP
    parameters: tuple[str, ...] = ()
    #: as `bodies.of` knows it
    body: str | None = None
    good: Mapping[int, Good] = field(default_factory=dict)
    refused: tuple[int, ...] = _READS
    #: takes any search parameter of the type as well
    searches: bool = False
    #: the search parameters that it takes, by name, with their kinds, where they are not those of its type
    criteria: Mapping[str, str] = field(default_factory=dict)


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

_SUBSCRIPTIONS = Good(text="The Subscriptions of whoever asks that match, a page of them.", shape="Bundle")
_OF_SUBSCRIPTIONS = ("_count", "_page", *ANSWER, "Prefer")
#: nothing of a record is written, so nothing of it stands in the way
_SUBSCRIBES = (400, 406, 413, 415, 422, 429)

#: the query is the condition, beside what shapes the answer
_CONDITIONAL = ("identifier", "If-Match", *WRITE)

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
        refused=(*_READS, 413, 415),
        searches=True,
    ),
    "search_compartment": Interaction(
        section="vsearch", parameters=(*SEARCH, "Prefer"), good={200: _FOUND}, searches=True
    ),
    "search_compartment_by_form": Interaction(
        section="vsearch",
        parameters=(*SEARCH, "Prefer"),
        body="Form",
        good={200: _FOUND},
        refused=(*_READS, 413, 415),
        searches=True,
    ),
    "create": Interaction(
        section="create",
        parameters=("If-None-Exist", "identifier", idempotency.HEADER, *WRITE),
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
        body="Patch",
        good=_CHANGED,
        refused=(*_WRITES, 410),
    ),
    "conditional_patch": Interaction(
        section="patch",
        parameters=_CONDITIONAL,
        body="Patch",
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
    "export_status": Interaction(
        section="bulk-data-status-request",
        page=EXPORT,
        parameters=ANSWER,
        good={
            200: Good(text="Where its files are.", shape="Manifest", headers=("Expires",), media=JSON),
            202: Good(text="It is being written.", shape=None, headers=("X-Progress", "Retry-After")),
        },
    ),
    "export_file": Interaction(
        section="bulk-data-output-file-request",
        page=EXPORT,
        good={
            200: Good(text="The file.", shape="Lines", headers=("Expires",), media=exporting.MEDIA_TYPE),
        },
    ),
    "cancel_export": Interaction(
        section="bulk-data-delete-request",
        page=EXPORT,
        parameters=ANSWER,
        good={202: Good(text="It is ended, and its files are removed.", shape="OperationOutcome")},
    ),
    "create_subscription": Interaction(
        section="create",
        parameters=(idempotency.HEADER, *WRITE),
        body="Subscription",
        good={
            201: Good(
                text="It is stored, and a handshake follows; or the key was used.",
                shape="Subscription",
                headers=(*_OF_ONE, "Location", idempotency.REPLAYED),
            )
        },
        refused=_SUBSCRIBES,
    ),
    "read_subscription": Interaction(
        section="read",
        parameters=(*ONE, "If-None-Match", "If-Modified-Since"),
        good={**_READ, 200: Good(text="The Subscription.", shape="Subscription", headers=_OF_ONE)},
        refused=(*_READS, 412),
    ),
    "update_subscription": Interaction(
        section="update",
        parameters=("If-Match", *WRITE),
        body="StoredSubscription",
        good={
            200: Good(
                text="The Subscription as it is stored now; there was one before.",
                shape="Subscription",
                headers=(*_OF_ONE, "Location"),
            )
        },
        refused=(*_SUBSCRIBES, 404, 412),
    ),
    "delete_subscription": Interaction(
        section="delete",
        parameters=("If-Match", *ANSWER),
        good={204: Good(text="It is no longer there.", shape=None)},
        refused=(*_READS, 412),
    ),
    "search_subscriptions": Interaction(
        section="search",
        parameters=_OF_SUBSCRIPTIONS,
        good={200: _SUBSCRIPTIONS},
        refused=(400, 406),
        criteria=subscribing.PARAMETERS,
    ),
    "search_subscriptions_by_form": Interaction(
        section="search",
        parameters=_OF_SUBSCRIPTIONS,
        body="Form",
        good={200: _SUBSCRIPTIONS},
        refused=(400, 406, 413, 415),
        criteria=subscribing.PARAMETERS,
    ),
}
