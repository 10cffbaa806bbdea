"""The control interface: `/sandbox/clock`, `/evaluate`, `/parameters`, `/data`.

It is for programs: it answers JSON, and an error as `{"error": sentence}`.
"""

import re
from typing import Any

from flask import Blueprint, current_app, request
from werkzeug.exceptions import HTTPException

from service import clock, errors, evaluation
from service.fhir.references import ID
from service.sandbox import answers, clocks, erasing, outcome, site
from service.sandbox.answers import NotDone, written
from service.store import parameters, resources

routes = Blueprint("sandbox", __name__, url_prefix="/sandbox")

#: an evaluation takes milliseconds; a worker that just starts takes longer
EVALUATION_S = 30

Answer = dict[str, Any]


@routes.errorhandler(NotDone)
def not_done(error: NotDone) -> tuple[Answer, int]:
    """Answer with the sentence that says why."""
    return {"error": error.sentence}, error.status


@routes.errorhandler(Exception)
def failed(error: Exception) -> tuple[Answer, int]:
    """Answer a fault of ours with the id under which the log has it."""
    if isinstance(error, HTTPException):
        return {"error": f"{error.name}."}, error.code or 500
    if errors.unavailable(error):
        return {"error": "The database cannot be reached now; try again."}, 503
    return {"error": f"An error of this service, recorded as {errors.record(error)}."}, 500


@routes.get("/clock")
def show_clock() -> Answer:
    """Show the service's instant, and whether it stands still."""
    with _here().database.transaction() as tx:
        return clocks.shown(clock.state(tx))


@routes.put("/clock")
def set_clock() -> Answer:
    """Stop the clock at an instant; with automatic evaluation, evaluate what is due by then."""
    read = answers.of(request.get_data(), known=("now", "evaluation"))
    now = answers.instant(read, "now")
    word = read.get("evaluation", "automatic")
    if word not in ("automatic", "held"):
        raise NotDone(422, "evaluation must be automatic or held.")
    here = _here()
    state = here.database.run(lambda tx: clocks.set_to(tx, now, held=word == "held"))
    if not state.held and not evaluation.drain(here.database, here.settings):
        raise NotDone(503, "The clock is set; not everything that is due was evaluated in time.")
    return clocks.shown(state)


@routes.delete("/clock")
def free_clock() -> Answer:
    """Go back to the machine's clock."""
    return clocks.shown(_here().database.run(clocks.free))


@routes.post("/evaluate")
def evaluate() -> Answer:
    """Evaluate one patient once, as a worker does, and answer when it is committed."""
    read = answers.of(request.get_data(), known=("patient",))
    patient = _patient(read.get("patient"))
    here = _here()
    with here.database.transaction() as tx:
        known = resources.current(tx, "Patient", patient, tenant=outcome.TENANT)
        if known is None or known.deleted:
            raise NotDone(404, "There is no such patient.")
        before = outcome.record(tx, patient)
    try:
        run = evaluation.evaluate_now(here.database, here.settings, patient, timeout_s=EVALUATION_S)
    except evaluation.Parked as parked:
        raise NotDone(500, f"The evaluation failed and waits for a person: {parked}.") from parked
    if run is None:
        raise NotDone(
            503,
            f"The evaluation was not committed within {EVALUATION_S} s; "
            "the log of the worker or /health/ready says why.",
        )
    with here.database.transaction() as tx:
        at = clock.now(tx)
        answer = outcome.answer(before, outcome.record(tx, patient))
    return {
        "patient": f"Patient/{patient}",
        "at": written(at),
        "transitions": list(answer.transitions),
        "outputs": list(answer.outputs),
        "stages": dict(answer.stages),
        "holds": {instance: list(holds) for instance, holds in answer.holds.items()},
    }


@routes.get("/parameters")
def show_parameters() -> Answer:
    """Show every parameter with its value, default, range and source."""
    with _here().database.transaction() as tx:
        return site.shown(tx)


@routes.put("/parameters")
def set_parameters() -> Answer:
    """Set the parameters named; what is not named goes to its default."""
    chosen = answers.of(request.get_data())
    here = _here()
    here.database.run(lambda tx: site.set_to(tx, chosen))
    return show_parameters()


@routes.delete("/data")
def clear() -> tuple[str, int]:
    """Remove all patient data and put the parameters at their defaults."""

    def work(tx: Any) -> None:
        erasing.erase(tx)
        if parameters.current(tx):
            parameters.set_(tx, {}, site.WHO, clock.now(tx))

    _here().database.run(work)
    return "", 204


def _here() -> Any:
    return current_app.extensions["hipway"]


def _patient(reference: object) -> str:
    kind, _, id_ = reference.partition("/") if isinstance(reference, str) else ("", "", "")
    if kind != "Patient" or not re.fullmatch(ID, id_):
        raise NotDone(422, "patient must be a reference, as Patient/gmt-v02.")
    return id_
