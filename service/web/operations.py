"""What `/operations` shows: each part of the automation with its limit, and whom it does not get done.

Ids only: whoever keeps the service running need not know who a patient is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service import automation
from service.automation import CHAIN, LATE_S, LIMITS_S, Automation, Part
from service.broker import FULL
from service.store.deliveries import Undelivered
from service.store.sendings import Sender
from service.store.standings import OfKind, Standing
from service.web.moments import Moments
from service.web.words import Words

#: rows of the queue that are shown
ROWS = 50
HOUR_S = 3600

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
    kind: str
    unread: int
    due: str
    doing: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """Somebody who sends: when they did last, with what answer, and whether that is too long ago."""

    name: str
    #: empty: nothing was sent
    last: str
    ago: str
    status: int | None
    #: when something of theirs was stored last; empty: not within the time that is kept
    stored: str
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The page."""

    figures: tuple[Figure, ...]
    kinds: tuple[OfKind, ...]
    senders: tuple[Sending, ...]
    queue: tuple[Row, ...]
    #: than the rows that are shown
    more: bool
    parked: tuple[Standing, ...]


def build(
    seen: Automation,
    messages: int | None,
    queue: Sequence[Standing],
    parked: Sequence[Standing],
    kinds: Sequence[OfKind],
    lacking: Undelivered | None,
    senders: Sequence[Sender],
    silence_hours: int,
    when: Moments,
    words: Words,
) -> Operations:
    """Return the page.

    Args:
        lacking: what the hospital's server does not have; None: there is no such server.
        silence_hours: whoever has not sent for longer is silent.
        messages: what the broker holds for the workers; None: it cannot be reached.
        queue: whose evaluation is due or failed and is tried again, the longest waiting first; one more
            than is shown tells that there are more.
        parked: who was given up.
    """
    parts = {part: _part(seen, part, when, words) for part in CHAIN}
    first = CHAIN[0]
    silent = [sender for sender in senders if sender.age_s > silence_hours * HOUR_S]
    # Those first that say whether all flows, then what shows where to look.
    beside = (_part(seen, part, when, words, limit_s) for part, limit_s in seen.beside_s.items())
    figures = (
        _oldest(seen, when, words),
        _undelivered(lacking, when, words),
        *beside,
        _messages(messages, words),
        parts.pop(first),
        _silent(senders, silent, silence_hours, when, words),
        _parked(seen, parked, when, words),
        *parts.values(),
    )
    return Operations(
        figures=figures,
        kinds=tuple(kinds),
        senders=tuple(_sender(sender, sender in silent, when) for sender in senders),
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


def _undelivered(lacking: Undelivered | None, when: Moments, words: Words) -> Figure:
    since = lacking.oldest_at if lacking else None
    late_s = max(0.0, (when.now - since).total_seconds()) if since else 0.0
    late = late_s > LATE_S or (lacking is not None and lacking.parked > 0)
    return Figure(
        code="undelivered",
        title=words("ops.undelivered"),
        state="danger" if late else "good",
        value=words.count("ops.undelivered.value", lacking.patients, age=when.span(late_s))
        if lacking and lacking.patients
        else words("ops.oldest.none"),
        limit=words("ops.limit", limit=when.span(LATE_S)),
        since=words("ops.since", since=when.exact(since)) if since and late else "",
    )


def _silent(
    senders: Sequence[Sender], silent: Sequence[Sender], hours: int, when: Moments, words: Words
) -> Figure:
    # The clock of the database has told when somebody sent, also where a sandbox has set another.
    longest = max(silent, key=lambda sender: sender.age_s, default=None)
    return Figure(
        code="senders",
        title=words("ops.senders.silent"),
        state="danger" if silent else "good",
        value=words("ops.senders.value", silent=len(silent), all=len(senders)),
        limit=words("ops.limit", limit=when.span(hours * HOUR_S)),
        since=words("ops.since", since=when.exact(longest.at)) if longest else "",
    )


def _sender(sender: Sender, silent: bool, when: Moments) -> Sending:
    return Sending(
        name=sender.name,
        last=when.exact(sender.at) if sender.status is not None else "",
        ago=when.span(sender.age_s),
        status=sender.status,
        stored=when.exact(sender.stored_at) if sender.stored_at else "",
        silent=silent,
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


def _part(seen: Automation, part: Part, when: Moments, words: Words, limit_s: float | None = None) -> Figure:
    age = seen.ages.get(part)
    silent = automation.silent(seen.ages, part, limit_s)
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
        limit=words("ops.limit", limit=when.span(LIMITS_S[part] if limit_s is None else limit_s)),
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
        kind=standing.kind,
        unread=standing.arrivals,
        due=when.exact(standing.due_at) if standing.due_at else words("ops.no_date"),
        doing=doing,
        reason=standing.failed_reason or "",
    )
