"""What a FHIR server's answer means: every kind, good or bad, has one name and one sentence.

The sentences stand with the other texts of the pages, under `hospital.answer.<kind>`; each says what to
do. Of what the other side writes only codes, paths and the references we sent ourselves are kept: its words
may be about a patient.

http://hl7.org/fhir/R4/http.html
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from fhir_profiles import reading

Json = dict[str, Any]

#: nobody is made to wait longer, or asked again sooner, than this
LONGEST_WAIT_S = 3600.0
#: a clock that differs by less is a clock like others
SKEW_S = 120.0

#: of what another side says, all that is kept
CODE = re.compile(r"[a-z][a-z-]{1,30}")
PATH = re.compile(r"[A-Za-z][\w.\[\]]{0,120}")
NUMBER = re.compile(r"HAPI-\d{4}")
REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")


class Kind(StrEnum):
    """What an answer was."""

    TAKEN = "taken"
    # the server was not reached, or is not who it says
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    # it was asked, and what it did is not known
    SILENT = "silent"
    CUT_OFF = "cut-off"
    TOO_LONG = "too-long"
    NOT_FHIR = "not-fhir"
    FAILED_INSIDE = "failed-inside"
    SERVER_ERROR = "server-error"
    # it did nothing
    MOVED = "moved"
    NO_TOKEN = "no-token"  # noqa: S105 - a name
    NO_TOKEN_FOR_CLOCK = "no-token-for-clock"  # noqa: S105
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    GONE = "gone"
    BUSY = "busy"
    CONFLICT = "conflict"
    REFUSED = "refused"
    # it answered with something that was not asked for
    MIXED_UP = "mixed-up"
    # the rest of an answer is said to be at another address
    ELSEWHERE = "elsewhere"
    # both sides changed the same, or the other what it may not
    DIFFERENT = "different"
    # what came back is not valid here
    NOT_TAKEN_BACK = "not-taken-back"
    # our own: the process ended, or erred
    LOST = "lost"
    FAILED_HERE = "failed-here"


#: after these it is not known whether what was sent is stored; a read settles it
UNCERTAIN = frozenset(
    {Kind.SILENT, Kind.CUT_OFF, Kind.TOO_LONG, Kind.NOT_FHIR, Kind.FAILED_INSIDE, Kind.SERVER_ERROR}
)

#: of these trying again does not help until somebody has looked
FINAL = frozenset({Kind.GONE, Kind.MIXED_UP, Kind.DIFFERENT, Kind.NOT_TAKEN_BACK})

#: they may be about one type or one resource alone
OF_ONE = frozenset({Kind.FORBIDDEN, Kind.NOT_FOUND, Kind.TOO_LONG, Kind.NOT_FHIR})

#: they are about what was sent, not about the server
OF_WHAT_WAS_SENT = FINAL | {Kind.CONFLICT, Kind.REFUSED, Kind.LOST, Kind.FAILED_HERE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, as far as it is used."""

    kind: Kind
    #: None: there was no answer
    status: int | None = None
    #: codes, paths and references; never the other side's words
    said: str = ""
    #: what was asked for; empty unless the kind is `TAKEN`
    body: Json = field(default_factory=dict, repr=False)
    #: a FHIR server said it, not something in front of one
    fhir: bool = False
    #: how long the server wants to be left alone
    wait_s: float | None = None
    #: by how much its clock is ahead of ours; None: it did not say
    skew_s: float | None = None
    #: what time it was there; None: it did not say
    date: datetime | None = None

    @property
    def taken(self) -> bool:
        """Return whether it is what was asked for."""
        return self.kind is Kind.TAKEN

    @property
    def of_server(self) -> bool:
        """Return whether it says something of the server as a whole, whatever was sent."""
        return not self.taken and self.kind not in OF_WHAT_WAS_SENT

    @property
    def of_all(self) -> bool:
        """Return whether another question now would fare no better."""
        return self.of_server and self.kind not in OF_ONE


BY_STATUS: Mapping[int, Kind] = {
    401: Kind.UNAUTHENTICATED,
    403: Kind.FORBIDDEN,
    404: Kind.NOT_FOUND,
    408: Kind.SILENT,
    409: Kind.CONFLICT,
    410: Kind.GONE,
    412: Kind.CONFLICT,
    429: Kind.BUSY,
}


def read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    expected: str,
    sent: Collection[str] = (),
    now: datetime,
) -> Answer:
    """Return what an answer that arrived whole means.

    Args:
        headers: by lower-case name.
        expected: the resource type of a good answer.
        sent: references that we sent; only these are recognised in what it says.
        now: the machine's own clock, with which the server's is compared.
    """
    resource = _resource(body)
    kind = _kind(status, headers, resource, expected)
    date = _date(headers.get("date", ""))
    return Answer(
        kind=kind,
        status=status,
        said="" if kind is Kind.TAKEN else said(resource, sent),
        body=resource if kind is Kind.TAKEN and resource else {},
        fhir=resource is not None,
        wait_s=wait_s(headers.get("retry-after", ""), date or now) if kind is Kind.BUSY else None,
        skew_s=(date - now).total_seconds() if date else None,
        date=date,
    )


def _kind(status: int, headers: Mapping[str, str], resource: Json | None, expected: str) -> Kind:
    if 200 <= status < 300:
        if resource is None:
            return Kind.NOT_FHIR
        if resource.get("resourceType") == "OperationOutcome" and expected != "OperationOutcome":
            return Kind.FAILED_INSIDE
        return Kind.TAKEN if resource.get("resourceType") == expected else Kind.NOT_FHIR
    if status < 400:
        return Kind.MOVED
    if status == 503 and "retry-after" in headers:
        return Kind.BUSY
    if status >= 500:
        return Kind.SERVER_ERROR
    return BY_STATUS.get(status, Kind.REFUSED)


def _resource(body: bytes) -> Json | None:
    try:
        found = reading.read(body)
    except reading.Unreadable:
        return None
    return found if isinstance(found.get("resourceType"), str) else None


def said(resource: Json | None, sent: Collection[str]) -> str:
    """Return what may be shown of an OperationOutcome: codes, paths, and references that we sent."""
    issues = (resource or {}).get("issue")
    if not isinstance(issues, list):
        return ""
    kept: dict[str, None] = {}
    for issue in issues[:5]:
        if isinstance(issue, Mapping):
            kept |= dict.fromkeys(_said(issue, sent))
    return ", ".join(list(kept)[:8])


def _said(issue: Mapping[str, Any], sent: Collection[str]) -> Iterator[str]:
    code, paths, details = issue.get("code"), issue.get("expression"), issue.get("details")
    if isinstance(code, str) and CODE.fullmatch(code):
        yield code
    for path in paths[:3] if isinstance(paths, list) else ():
        if isinstance(path, str) and PATH.fullmatch(path):
            yield path
    text = str(issue.get("diagnostics") or (details if isinstance(details, Mapping) else {}).get("text"))[
        :5000
    ]
    yield from NUMBER.findall(text)
    yield from (reference for reference in REFERENCE.findall(text) if reference in sent)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else None


def wait_s(text: str, now: datetime) -> float | None:
    """Return the seconds of a Retry-After, which are a number or a date by the server's own clock.

    None: they are neither.

    https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
    """
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    elif (date := _date(text)) is not None:
        seconds = (date - now) / timedelta(seconds=1)
    else:
        return None
    return min(max(seconds, 1.0), LONGEST_WAIT_S)
