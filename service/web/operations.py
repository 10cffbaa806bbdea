"""What `/operations` shows: each part of the automation with its limit, and whom it does not get done.

Ids only: whoever keeps the service running need not know who a patient is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service import automation
from service.automation import CHAIN, LATE_S, LIMITS_S, Automation, Part
from service.broker import FULL
from service.store.promises import Standing
from service.web.moments import Moments
from service.web.words import Words

#: rows of the queue that are shown
ROWS = 50

State = Literal["good", "danger", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of the flow, what it may be at most, and how long it has been more."""

    code: str
    title: str
    state: State
    value: str
    limit: str
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One patient whose evaluation is due: whether it is being done, waits, or is tried again."""

    patient: str
    unread: int
    due: str
    doing: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The page."""

    figures: tuple[Figure, ...]
    queue: tuple[Row, ...]
    #: than the rows that are shown
    more: bool
    parked: tuple[Standing, ...]


def build(
    seen: Automation,
    messages: int | None,
    queue: Sequence[Standing],
    parked: Sequence[Standing],
    when: Moments,
    words: Words,
) -> Operations:
    """Return the page.

    Args:
        messages: what the broker holds for the workers; None: it cannot be reached.
        queue: whose evaluation is due or failed and is tried again, the longest waiting first; one more
            than is shown tells that there are more.
        parked: who was given up.
    """
    figures = (
        _oldest(seen, when, words),
        _parked(seen, parked, when, words),
        *(_part(seen, part, when, words) for part in CHAIN),
        _messages(messages, words),
    )
    return Operations(
        figures=figures,
        queue=tuple(_row(standing, when, words) for standing in queue[:ROWS]),
        more=len(queue) > ROWS,
        parked=tuple(parked),
    )


def _oldest(seen: Automation, when: Moments, words: Words) -> Figure:
    waiting = seen.waiting
    late = seen.trouble("late")
    return Figure(
        code="oldest",
        title=words("ops.oldest"),
        state="danger" if late else "good",
        value=words.count("ops.oldest.value", waiting.count, age=when.span(waiting.late_s))
        if waiting.count
        else words("ops.oldest.none"),
        limit=words("ops.limit", limit=when.span(LATE_S)),
        since=words("ops.since", since=when.exact(late.since)) if late and late.since else "",
    )


def _parked(seen: Automation, parked: Sequence[Standing], when: Moments, words: Words) -> Figure:
    # Of all tenants the count, of this one the list: an alarm must not depend on who looks.
    since = min((standing.parked_at for standing in parked if standing.parked_at), default=None)
    return Figure(
        code="parked",
        title=words("ops.parked"),
        state="danger" if seen.waiting.parked else "good",
        value=words.count("ops.parked.value", seen.waiting.parked),
        limit=words("ops.parked.limit"),
        since=words("ops.since", since=when.exact(since)) if since else "",
    )


def _part(seen: Automation, part: Part, when: Moments, words: Words) -> Figure:
    age = seen.ages.get(part)
    silent = automation.silent(seen.ages, part)
    hidden = seen.silent_before(part)
    if age is None:
        value = words("ops.never")
    elif age < 0:
        value = words("ops.ahead")
    else:
        value = words("ops.ago", age=when.span(age))
    trouble = seen.trouble(part)
    return Figure(
        code=part,
        title=words(f"ops.{part}"),
        # It is seen through the part before it: while that one is silent its own silence says nothing.
        state="good" if not silent else "unknown" if hidden else "danger",
        value=value,
        limit=words("ops.limit", limit=when.span(LIMITS_S[part])),
        since=words("ops.since", since=when.exact(trouble.since)) if trouble and trouble.since else "",
    )


def _messages(messages: int | None, words: Words) -> Figure:
    return Figure(
        code="messages",
        title=words("ops.messages"),
        state="danger" if messages is None or messages >= FULL else "good",
        value=words("ops.messages.unreachable") if messages is None else str(messages),
        limit=words("ops.limit", limit=FULL),
    )


def _row(standing: Standing, when: Moments, words: Words) -> Row:
    if standing.lease_until is not None:
        doing = words("ops.doing", attempt=standing.attempts)
    elif standing.failed_reason:
        doing = words("ops.again", attempts=standing.attempts)
    else:
        doing = words("ops.waits")
    return Row(
        patient=standing.patient,
        unread=standing.arrivals,
        due=when.exact(standing.due_at) if standing.due_at else words("ops.no_date"),
        doing=doing,
        reason=standing.failed_reason or "",
    )
