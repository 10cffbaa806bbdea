"""`/sandbox`: what happens if time passes? The forms of a person over the sandbox control.

They do what `service.sandbox` does for programs, and say what happened in words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import request
from sqlalchemy import Connection

from fhir_profiles import reading
from service import broker, clock, digits, evaluation
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.sandbox import clocks, erasing, site
from service.sandbox.answers import NotDone
from service.store import parameters, standings
from service.web import queries, visit
from service.web.forms import Foreign
from service.web.pages import pages, problem
from service.web.visit import TENANT, Visit

#: A Bundle posted on the page is usually evaluated long before, and so are a few patients after the clock
#: was moved; of many the page shows how far they are.
PATIENCE_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluating:
    """How far the patients are whom the clock has made due. Read from their promises, so it can be left."""

    #: evaluated at the moment at which the clock stands
    done: int
    #: due and not evaluated
    left: int

    @property
    def total(self) -> int:
        """Return how many there are."""
        return self.done + self.left


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What happened, in words."""

    good: bool
    title: str
    lines: tuple[str, ...] = ()


Answer = tuple[str, int]


@pages.get("/sandbox")
def show_sandbox() -> Answer:
    """Show the controls of the sandbox."""
    return _page(None, 200)


@pages.get("/sandbox/progress")
def show_progress() -> str:
    """Return the part of the page that says how far the evaluation is; it asks again until all is done."""
    with visit.begin() as (tx, seen):
        return visit.page(seen, "_evaluating.html", evaluating=_evaluating(tx, seen))


def _evaluating(tx: Connection, seen: Visit) -> Evaluating | None:
    """Return how far the evaluation is; None while it is held, and where no moment was set to count from."""
    if seen.clock.held or not seen.clock.is_set:
        return None
    return Evaluating(done=standings.done_since(tx, seen.clock.now), left=seen.waiting.count)


@pages.post("/sandbox/clock/by")
def move_clock() -> Answer:
    """Move the clock by some days."""
    amount = digits.read(request.form.get("days", ""), most=3) or 0
    return _act(lambda tx, seen: _set(tx, seen.clock.now + timedelta(days=amount), held=seen.clock.held))


@pages.post("/sandbox/clock/to")
def set_clock() -> Answer:
    """Move the clock to a date and time of the site."""
    return _act(lambda tx, seen: _set(tx, _chosen(seen), held=seen.clock.held))


@pages.post("/sandbox/clock/real")
def real_clock() -> Answer:
    """Go back to the machine's clock."""

    def work(tx: Connection, seen: Visit) -> str:
        clocks.free(tx)
        return seen.words("clock.is_real")

    return _act(work)


@pages.post("/sandbox/evaluation")
def hold_evaluation() -> Answer:
    """Hold the evaluation, or let it run by itself. Both stop the clock where it is."""
    held = request.form.get("held") == "1"

    def work(tx: Connection, seen: Visit) -> str:
        clocks.set_to(tx, clock.now(tx), held=held)
        return seen.words("evaluation.is_held" if held else "evaluation.is_automatic")

    return _act(work)


@pages.post("/sandbox/erase")
def delete_data() -> Answer:
    """Remove all patient data; parameters go back to their defaults."""

    def work(tx: Connection, seen: Visit) -> str:
        erasing.erase(tx)
        if parameters.current(tx):
            parameters.set_(tx, {}, site.WHO, seen.clock.now)
        return seen.words("delete.done")

    return _act(work)


@pages.post("/sandbox/bundle")
def post_bundle() -> Answer:
    """Post a Bundle as text, on the same path as a hospital, and say what became of it."""
    refused = _refused()
    if refused is not None:
        return refused
    text = request.form.get("bundle", "")
    with visit.begin() as (_, seen):
        said = seen
    try:
        accepted = transaction.accept(
            visit.database(), reading.read(text.encode()), tenant=TENANT, sender="sandbox page"
        )
    except reading.Unreadable as error:
        return _page(_not_stored(said, (error.detail,)), error.status, text)
    except Refusal as error:
        lines = tuple(f"{issue.expression or issue.code}: {issue.text}" for issue in error.issues)
        return _page(_not_stored(said, lines), 422, text)
    return _page(Said(good=True, title=_stored(said, accepted), lines=_evaluated(said, accepted)), 200)


def _stored(seen: Visit, accepted: transaction.Accepted) -> str:
    created = sum(line["response"]["status"].startswith("201") for line in accepted.response.get("entry", ()))
    return seen.words("post.stored", new=created, same=len(accepted.stored) - created)


def _evaluated(seen: Visit, accepted: transaction.Accepted) -> tuple[str, ...]:
    """Return when the patient is evaluated; if at once, after waiting for it a little."""
    if accepted.patient is None or accepted.due is None:
        return (seen.words("post.nobody"),) if accepted.patient is None else ()
    if accepted.due.at > seen.clock.now or seen.clock.held:
        return (seen.words("post.later", at=seen.when.exact(accepted.due.at)),)
    broker.wake(seen.settings, TENANT, accepted.patient)
    try:
        done = evaluation.wait(visit.database(), accepted.patient, tenant=TENANT, timeout_s=PATIENCE_S)
    except evaluation.Parked:
        return (seen.words("alarm.parked.text"),)
    return (seen.words("post.evaluated" if done else "clock.behind"),)


def _not_stored(seen: Visit, lines: tuple[str, ...]) -> Said:
    return Said(good=False, title=seen.words("post.refused"), lines=lines)


def _act(work: Callable[[Connection, Visit], str]) -> Answer:
    """Check the form, do the work in a transaction, evaluate what is due, and say what happened."""
    refused = _refused()
    if refused is not None:
        return refused
    try:
        title = visit.database().run(lambda tx: work(tx, visit.read(tx)))
    except NotDone as error:
        return _page(Said(good=False, title=error.sentence), error.status)
    with visit.begin() as (_, seen):
        settings, held, words = seen.settings, seen.clock.held, seen.words
    lines: tuple[str, ...] = ()
    if not held and not evaluation.drain(visit.database(), settings, timeout_s=PATIENCE_S):
        lines = (words("clock.evaluating"),)
    return _page(Said(good=True, title=title, lines=lines), 200)


def _set(tx: Connection, to: datetime, *, held: bool) -> str:
    clocks.set_to(tx, to, held=held)
    return visit.read(tx).words("clock.moved", at=visit.read(tx).when.exact(to))


def _chosen(seen: Visit) -> datetime:
    """Return the date and time of the form, which is in the zone of the site.

    Raises:
        NotDone: it is none.
    """
    try:
        to = datetime.fromisoformat(request.form.get("to", ""))
    except ValueError:
        raise NotDone(422, seen.words("clock.unreadable")) from None
    return (to if to.tzinfo else to.replace(tzinfo=seen.when.zone)).astimezone(UTC)


def _refused() -> Answer | None:
    with visit.begin() as (_, seen):
        try:
            seen.forms.check(request)
        except Foreign:
            return problem("old_form", 422)
    return None


def _page(said: Said | None, status: int, bundle: str = "") -> Answer:
    with visit.begin() as (tx, seen):
        return visit.page(
            seen,
            "sandbox.html",
            token=seen.forms.token,
            said=said,
            bundle=bundle,
            evaluating=_evaluating(tx, seen),
            patients=queries.patient_count(tx, tenant=TENANT),
        ), status
