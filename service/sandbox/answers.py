"""What the control interface reads and answers: JSON objects, errors as one sentence."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_profiles import reading


class NotDone(Exception):
    """The sandbox does not do what it was asked for; nothing has changed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def of(body: bytes, *, known: Collection[str] | None = None) -> dict[str, Any]:
    """Return the object of a request.

    Args:
        known: the members it may have; None: any.

    Raises:
        NotDone: 400 for what is not a JSON object, 422 for a member nobody knows.
    """
    try:
        read = reading.read(body)
    except reading.Unreadable as error:
        raise NotDone(error.status, f"The request is not readable JSON: {error.detail}") from error
    unknown = sorted(set(read) - set(known)) if known is not None else []
    if unknown:
        raise NotDone(422, f"There is no {' and no '.join(unknown)}; known are {', '.join(known or ())}.")
    return read


def instant(read: Mapping[str, Any], name: str) -> datetime:
    """Return an instant with a zone, in UTC.

    Raises:
        NotDone: it is missing or something else.
    """
    value = read.get(name)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise NotDone(422, f"{name} must be an instant with a zone, as 2026-02-16T09:00:00Z.")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise NotDone(422, f"{name} is outside the calendar in UTC.") from None


def written(moment: datetime) -> str:
    """Return the instant as FHIR writes it in UTC."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
