"""Whose data are in an answer: noted while it is made, written down before it leaves.

A row is written in a transaction of its own and committed before the answer is sent; where it cannot be
written, nothing is shown. Answers without data of a patient leave no row here; to turn a Subscription off,
which is about no patient, writes its own.

http://hl7.org/fhir/R4/auditevent.html
"""

from collections.abc import Iterable

from flask import current_app, g, has_request_context, request
from werkzeug.wrappers import Response

from service.store import accesses, driver
from service.store.database import Database

#: methods that only read
READS = ("GET", "HEAD")


def note(patients: Iterable[str | None], reference: str | None = None) -> None:
    """Note whose data the answer to this request holds.

    Args:
        patients: ids; None is no patient.
        reference: `Type/id`, where one resource was asked for.
    """
    if not has_request_context():
        # A command of this machine reads as the operator, of whom no request tells.
        return
    _noted().update(patient for patient in patients if patient)
    if reference is not None:
        g.accessed_reference = reference


def by(who: str) -> None:
    """Note who acts, as a reference; empty: nobody was chosen."""
    g.accessed_by = who


def write(response: Response, *, tenant: int) -> None:
    """Write down what was noted."""
    noted = _noted()
    if noted:
        database: Database = current_app.extensions["hipway"].database
        with database.transaction() as tx, driver.together(tx):
            accesses.add(
                tx,
                tenant=tenant,
                who=g.get("accessed_by", ""),
                action=accesses.READ if _only_reads() else accesses.EXECUTE,
                place=str(request.url_rule),
                reference=g.get("accessed_reference"),
                patients=noted,
                status=response.status_code,
            )
            driver.commit_along(tx)


def _only_reads() -> bool:
    return request.method in READS or request.path.endswith("/_search")


def _noted() -> set[str]:
    if "accessed" not in g:
        g.accessed = set()
    found: set[str] = g.accessed
    return found
