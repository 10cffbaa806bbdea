"""What the operations page shows of deliveries to the hospital, and a plan's page of its own.

Ids, codes and our own sentences only: what the other side wrote may be about a patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.hospital.answers import SKEW_S, Kind
from service.store.circuits import Circuit, Purpose
from service.store.deliveries import Standing
from service.web.moments import Moments
from service.web.words import Words

#: rows that are shown
ROWS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One patient of whom the hospital's server lacks something."""

    patient: str
    bundle: str
    sent: str
    state: str
    parked: bool
    #: what the last answer was and what to do, and its codes
    answer: str
    said: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with the server as a whole: until when it is left alone, and what to do."""

    title: str
    answer: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The section."""

    rows: tuple[Row, ...]
    #: for how many patients something is pending
    count: int
    troubles: tuple[Trouble, ...]
    #: a sentence about the server's clock, if it is wrong
    clock: str


def build(
    waiting: Sequence[Standing],
    count: int,
    circuits: Sequence[tuple[Purpose, Circuit]],
    when: Moments,
    words: Words,
) -> Deliveries:
    """Return the section.

    Args:
        waiting: whose delivery is pending, who needs somebody first.
        circuits: how the server's answers were, for each thing it is asked.
    """
    troubles = (_trouble(purpose, circuit, when, words) for purpose, circuit in circuits)
    skew_s = next((c.skew_s for _, c in circuits if c.skew_s is not None and abs(c.skew_s) > SKEW_S), None)
    return Deliveries(
        rows=tuple(_row(standing, when, words) for standing in waiting[:ROWS]),
        count=count,
        troubles=tuple(trouble for trouble in troubles if trouble is not None),
        clock=_clock(skew_s, when, words) if skew_s is not None else "",
    )


def of_plan(standing: Standing | None, when: Moments, words: Words) -> tuple[str, bool]:
    """Return how the delivery of a patient stands in a few words, and whether a person has to look."""
    if standing is None:
        return words("deliveries.plan.none"), False
    if standing.parked_at is not None:
        return words("deliveries.plan.parked"), True
    if not standing.pending:
        at = when.exact(standing.sent_at) if standing.sent_at else ""
        return words("deliveries.plan.acknowledged", at=at), False
    return words("deliveries.plan.waits" if standing.bundle else "deliveries.plan.not_sent"), False


def _row(standing: Standing, when: Moments, words: Words) -> Row:
    if standing.parked_at is not None:
        state, then = "parked", words("deliveries.after_person")
    elif standing.leased:
        state, then = "sending", ""
    else:
        state = "again" if standing.attempts else "waits"
        then = when.exact(standing.retry_at) if standing.retry_at else words("deliveries.at_once")
    return Row(
        patient=standing.patient,
        bundle=str(standing.bundle or ""),
        sent=when.exact(standing.sent_at) if standing.sent_at else words("deliveries.not_sent"),
        state=words(f"deliveries.state.{state}", attempts=standing.attempts),
        parked=standing.parked_at is not None,
        answer=words(f"hospital.answer.{standing.answer}") if standing.answer else "",
        said=standing.said,
        next=then,
    )


def _trouble(purpose: Purpose, circuit: Circuit, when: Moments, words: Words) -> Trouble | None:
    # A single bad answer to a Bundle stands in the row of its patient; what is asked back has no such row.
    shown = circuit.open_until is not None or purpose == "return"
    if not shown or circuit.answer in (None, Kind.TAKEN):
        return None
    until = when.exact(circuit.open_until) if circuit.open_until else ""
    return Trouble(
        title=words(f"deliveries.circuit.{purpose}", until=until, failures=circuit.failures) if until else "",
        answer=words(f"hospital.answer.{circuit.answer}"),
        said=circuit.said,
    )


def _clock(skew_s: float, when: Moments, words: Words) -> str:
    way = "ahead" if skew_s > 0 else "behind"
    return words(f"deliveries.clock.{way}", age=when.span(abs(skew_s)))
