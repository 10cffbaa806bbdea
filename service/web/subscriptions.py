"""What the operations page shows of the Subscriptions of other systems.

Of an endpoint the host alone: the rest of its address may be as good as a password.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.store import content
from service.store.heartbeats import HERALD
from service.store.subscriptions import ACTIVE, ERROR, OFF, Subscription
from service.subscriptions import terms
from service.web.moments import Moments
from service.web.words import Words

#: rows that are shown
ROWS = 50
#: seconds of silence after which the process that tells is taken for stopped; it says so every five
SILENT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One Subscription."""

    id: str
    owner: str
    topic: str
    host: str
    #: how it is: good, danger, wait or muted
    grade: str
    state: str
    #: what became of the last attempt and what to do; empty where it was taken
    answer: str
    status: int | None
    #: when something was taken last
    succeeded: str
    waiting: int
    next: str
    #: a person may have it tried at once, and may turn it off
    may_retry: bool
    may_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriptions:
    """The section."""

    rows: tuple[Row, ...]
    #: how many there are
    count: int
    #: that nobody tells, since when; empty: somebody does, or need not
    silent: str


def build(
    known: Sequence[Subscription], count: int, ages: Mapping[str, float], when: Moments, words: Words
) -> Subscriptions:
    """Return the section.

    Args:
        known: those that need somebody first.
        ages: seconds since each part was seen, by its name.
    """
    live = any(one.status != OFF for one in known)
    age = ages.get(HERALD)
    if not live or (age is not None and abs(age) <= SILENT_S):
        silent = ""
    elif age is None:
        silent = words("subscriptions.silent.never")
    else:
        silent = words("subscriptions.silent", age=when.span(abs(age)))
    return Subscriptions(
        rows=tuple(_row(one, when, words) for one in known[:ROWS]), count=count, silent=silent
    )


def _row(one: Subscription, when: Moments, words: Words) -> Row:
    asked = terms.stored(one.body)
    failing = one.answer is not None and one.answer != "taken"
    late = one.status == ACTIVE and failing
    if one.leased:
        then = words("subscriptions.now")
    elif one.status == ERROR:
        then = words("subscriptions.after_person")
    else:
        then = when.exact(one.retry_at) if one.retry_at else ""
    grades = {ERROR: "danger", OFF: "muted", ACTIVE: "wait" if late else "good"}
    return Row(
        id=one.id,
        owner=one.owner,
        topic=words(f"subscriptions.topic.{asked.topic.name}"),
        host=urlsplit(str(content.read(one.body)["channel"]["endpoint"])).netloc,
        grade=grades.get(one.status, "wait"),
        state=words("subscriptions.state.again", attempts=one.attempts)
        if late
        else words(f"subscriptions.state.{one.status}"),
        answer=words(f"subscriptions.answer.{one.answer}") if failing else "",
        status=one.http_status if failing else None,
        succeeded=when.exact(one.succeeded_at) if one.succeeded_at else "",
        waiting=one.waiting,
        next=then,
        may_retry=one.status == ERROR or one.retry_at is not None,
        may_end=one.status != OFF,
    )
