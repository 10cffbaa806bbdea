"""What became of one notification: every kind has one name, and one sentence that says what to do.

The sentences stand with the other texts of the pages, under `subscriptions.answer.<kind>`; those that a
subscriber is told stand here. Of what a subscriber answers only the status is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.hospital.answers import wait_s
from service.hospital.transport import Raw
from service.store import subscriptions
from service.store.subscriptions import ERROR, OFF


class Kind(StrEnum):
    """What became of it."""

    TAKEN = "taken"
    # nothing was sent
    NOT_ALLOWED = "not-allowed"
    NO_RIGHT = "no-right"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    # it was sent, and nobody knows
    SILENT = "silent"
    CUT_OFF = "cut-off"
    SERVER_ERROR = "server-error"
    # it was not taken
    MOVED = "moved"
    GONE = "gone"
    BUSY = "busy"
    REFUSED = "refused"
    # our own: a process ended, or erred, or nobody looked after it
    LOST = "lost"
    FAILED_HERE = "failed-here"
    GIVEN_UP = subscriptions.GIVEN_UP
    # a person of this service
    ENDED_HERE = subscriptions.ENDED_HERE


#: trying again does not help until somebody has changed something
FINAL = frozenset({Kind.NOT_ALLOWED, Kind.NO_RIGHT, Kind.MOVED, Kind.GONE})

#: what turns a Subscription off, though its owner has not asked for it
ENDING = frozenset({Kind.NO_RIGHT, Kind.GIVEN_UP, Kind.ENDED_HERE})

#: what stands in Subscription.error and in its status, for the subscriber
SAID: Mapping[Kind, str] = {
    Kind.NOT_ALLOWED: "the endpoint leads to an address that nothing is sent to; name a public one",
    Kind.NO_RIGHT: "the sender of this Subscription may no longer read",
    Kind.UNREACHABLE: "the endpoint cannot be reached",
    Kind.UNTRUSTED: "the certificate of the endpoint does not verify",
    Kind.SILENT: "the endpoint did not answer in time",
    Kind.CUT_OFF: "the connection to the endpoint ended before it had answered",
    Kind.SERVER_ERROR: "the endpoint answered with an error of its own",
    Kind.MOVED: "the endpoint points to another address, which is not followed; name that one",
    Kind.GONE: "the endpoint says that it is gone",
    Kind.BUSY: "the endpoint asked to be left alone for a while, too often",
    Kind.REFUSED: "the endpoint refused the notification",
    Kind.LOST: "the process that sends ended several times at this Subscription",
    Kind.FAILED_HERE: "the service itself failed before it had an answer",
    Kind.GIVEN_UP: f"it was in error for {subscriptions.KEPT_DAYS} days; ask for it anew",
    Kind.ENDED_HERE: "the operators of the service have turned it off; ask them before you ask for it anew",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one notification."""

    kind: Kind
    #: None: there was no answer
    status: int | None = None
    #: how long the subscriber wants to be left alone
    wait_s: float | None = None

    @property
    def taken(self) -> bool:
        """Return whether the subscriber has it."""
        return self.kind is Kind.TAKEN


def of_status(status: int) -> Kind:
    """Return what a status means."""
    if status < 300:
        return Kind.TAKEN
    if status < 400:
        return Kind.MOVED
    if status >= 500:
        return Kind.SERVER_ERROR
    return {408: Kind.SILENT, 410: Kind.GONE, 429: Kind.BUSY}.get(status, Kind.REFUSED)


def read(raw: Raw, now: datetime) -> Answer:
    """Return what an answer means.

    Args:
        now: the machine's own clock, for one that says until when to wait.
    """
    kind = of_status(raw.status)
    told = wait_s(raw.headers.get("retry-after", ""), now) if raw.status in (429, 503) else None
    if told is not None:
        kind = Kind.BUSY
    return Answer(kind=kind, status=raw.status, wait_s=told)


def sentence(status: str, answer: str | None) -> str:
    """Return why a Subscription is in error, or off though its owner has not asked for it; empty: it is not.

    Args:
        answer: of the last attempt; None: there was none.
    """
    if answer is None or not (status == ERROR or (status == OFF and answer in ENDING)):
        return ""
    return SAID.get(Kind(answer), "")
