"""What the operations page shows of reading from the hospital's server: how far, by which calls, what not.

Ids, codes and our own sentences only: what the other side wrote may be about a patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.hospital.answers import SKEW_S, Kind
from service.hospital.settings import Hospital
from service.hospital.subscribing import ACTIVE, MISSED
from service.store.circuits import Circuit
from service.store.hospital_subscriptions import Subscription
from service.store.origins import Aside
from service.store.sources import Source, Window
from service.web.moments import Moments
from service.web.words import Words

#: rows of what is set aside that are shown
ROWS = 50
#: after so many pauses, and never sooner than this, a look is late
LATE_TIMES = 3
LATE_S = 300.0
#: of these kinds of answers something else is to be said where nothing was sent
OF_READING = frozenset(
    {
        Kind.SILENT,
        Kind.CUT_OFF,
        Kind.TOO_LONG,
        Kind.NOT_FHIR,
        Kind.FAILED_INSIDE,
        Kind.SERVER_ERROR,
        Kind.REFUSED,
        Kind.MIXED_UP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One thing that is said, and how good that is: good, wait or danger."""

    state: str
    text: str
    #: codes and elements
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One type that is read."""

    type: str
    #: by the server's own clock; empty: nothing was read yet
    reached: str
    #: empty: there is no Subscription
    subscription: Sentence | None
    called: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One resource that could not be taken in."""

    reference: str
    reason: str
    said: str
    since: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The section."""

    sentences: tuple[Sentence, ...]
    rows: tuple[Row, ...]
    held: tuple[Held, ...]
    #: how much is set aside
    count: int


def build(
    hospital: Hospital,
    source: Source | None,
    windows: Mapping[str, Window],
    subscriptions: Mapping[str, Subscription],
    circuit: Circuit,
    held: Sequence[Aside],
    count: int,
    when: Moments,
    words: Words,
) -> Reading:
    """Return the section.

    Args:
        source: None: the feeder has never begun.
        held: what is set aside, the newest first.
        count: how much that is in all.
    """
    calls = hospital.read == "subscription"
    sentences = (
        _last_look(hospital, source, when, words),
        *_trouble(circuit, when, words),
        *(_calls(source, subscriptions, when, words) if calls else (_polls(hospital, when, words),)),
        *_clock(circuit, when, words),
    )
    types = list(dict.fromkeys([*windows, *subscriptions]))
    return Reading(
        sentences=sentences,
        rows=tuple(
            _row(type_, windows.get(type_), subscriptions.get(type_), when, words) for type_ in sorted(types)
        ),
        held=tuple(_held(aside, when, words) for aside in held[:ROWS]),
        count=count,
    )


def _last_look(hospital: Hospital, source: Source | None, when: Moments, words: Words) -> Sentence:
    if source is None or source.looked_at is None or source.looked_s is None:
        return Sentence(state="wait", text=words("source.never"))
    late = source.looked_s > max(LATE_TIMES * hospital.read_s, LATE_S)
    key = "source.late" if late else "source.looked"
    at, age = when.exact(source.looked_at), when.span(max(0.0, source.looked_s))
    return Sentence(state="danger" if late else "good", text=words(key, at=at, age=age))


def _trouble(circuit: Circuit, when: Moments, words: Words) -> tuple[Sentence, ...]:
    if circuit.answer in (None, Kind.TAKEN):
        return ()
    said = answer(str(circuit.answer), words)
    if circuit.open_until is not None:
        until = when.exact(circuit.open_until)
        said = f"{words('source.circuit', until=until, failures=circuit.failures)} {said}"
    return (Sentence(state="danger", text=said, said=circuit.said),)


def answer(kind: str, words: Words) -> str:
    """Return what an answer was and what to do, where something was asked and nothing sent."""
    return words(f"source.answer.{kind}" if kind in OF_READING else f"hospital.answer.{kind}")


def _calls(
    source: Source | None, subscriptions: Mapping[str, Subscription], when: Moments, words: Words
) -> tuple[Sentence, ...]:
    last = max((s.hooked_at for s in subscriptions.values() if s.hooked_at), default=None)
    if source is not None and source.missed >= MISSED:
        at = when.exact(last) if last else words("source.call.never")
        return (Sentence(state="danger", text=words("source.silent", n=source.missed, last=at)),)
    if last is None:
        return (Sentence(state="wait", text=words("source.not_called")),)
    return (Sentence(state="good", text=words("source.called", at=when.exact(last))),)


def _polls(hospital: Hospital, when: Moments, words: Words) -> Sentence:
    return Sentence(state="good", text=words("source.polls", age=when.span(hospital.read_s)))


def _clock(circuit: Circuit, when: Moments, words: Words) -> tuple[Sentence, ...]:
    skew_s = circuit.skew_s
    if skew_s is None or abs(skew_s) <= SKEW_S:
        return ()
    way = "ahead" if skew_s > 0 else "behind"
    return (Sentence(state="wait", text=words(f"source.clock.{way}", age=when.span(abs(skew_s)))),)


def _row(
    type_: str, window: Window | None, subscription: Subscription | None, when: Moments, words: Words
) -> Row:
    return Row(
        type=type_,
        reached=when.exact(window.reached) if window and window.reached else "",
        subscription=_subscription(subscription, when, words) if subscription else None,
        called=when.exact(subscription.hooked_at) if subscription and subscription.hooked_at else "",
    )


def _subscription(subscription: Subscription, when: Moments, words: Words) -> Sentence:
    since = when.exact(subscription.since)
    if subscription.answer not in (None, Kind.TAKEN):
        text = answer(str(subscription.answer), words)
        return Sentence(state="danger", text=text, said=subscription.said)
    if subscription.status == ACTIVE:
        return Sentence(state="good", text=words("source.subscription.active", since=since))
    if subscription.status == "requested":
        return Sentence(state="wait", text=words("source.subscription.requested", since=since))
    key = "off" if subscription.status == "off" else "error"
    renewals = subscription.renewals
    return Sentence(state="danger", text=words(f"source.subscription.{key}", since=since, renewals=renewals))


def _held(aside: Aside, when: Moments, words: Words) -> Held:
    return Held(
        reference=f"{aside.type}/{aside.their_id}",
        reason=words(f"source.reason.{aside.reason}"),
        said=aside.said,
        since=when.exact(aside.since),
        next=when.exact(aside.retry_at) if aside.retry_at else words("source.after_change"),
    )
