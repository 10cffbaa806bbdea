"""`/views`: the present filters of the worklist, saved under a name of one's own; renamed; deleted."""

import unicodedata
from typing import Any
from urllib.parse import urlencode

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import log
from service.store import saved_views
from service.web import visit, worklist
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT
from service.web.worklist import Filters

Answer = Response | tuple[str, int]


@pages.post("/views")
def save_view() -> Answer:
    """Save the filters of the form under a name."""
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
    assert seen.acting is not None
    person, name, filters = seen.acting.reference, _name(), _filters()
    if not name:
        return problem("no_view_name", 422)
    try:
        with visit.database().transaction() as tx:
            saved_views.add(tx, person, name, urlencode(filters.query), tenant=TENANT)
    except saved_views.NameTaken:
        return problem("view_name_taken", 409)
    except saved_views.TooMany:
        return problem("too_many_views", 409)
    log.get().info("view_saved", who=person)
    return _back(filters)


@pages.post("/views/<int:key>/rename")
def rename_view(key: int) -> Answer:
    """Give one of one's views another name."""
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
    assert seen.acting is not None
    name = _name()
    if not name:
        return problem("no_view_name", 422)
    try:
        with visit.database().transaction() as tx:
            renamed = saved_views.rename(tx, _known(key), seen.acting.reference, name, tenant=TENANT)
    except saved_views.NameTaken:
        return problem("view_name_taken", 409)
    if not renamed:
        return problem("no_view", 404)
    log.get().info("view_renamed", who=seen.acting.reference, view=key)
    return _back(_filters())


@pages.post("/views/<int:key>/delete")
def delete_view(key: int) -> Answer:
    """Delete one of one's views; the rows it showed stay where they are."""
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
    assert seen.acting is not None
    with visit.database().transaction() as tx:
        removed = saved_views.remove(tx, _known(key), seen.acting.reference, tenant=TENANT)
    if not removed:
        return problem("no_view", 404)
    log.get().info("view_deleted", who=seen.acting.reference, view=key)
    return _back(_filters())


def _known(key: int) -> int:
    """Return a number that the database can hold; no view has the number 0."""
    return key if key < 2**63 else 0


def _name() -> str:
    """Return the name of the form, with single blanks; empty if it is none, or too long."""
    name = " ".join(unicodedata.normalize("NFC", request.form.get("name", "")).split())
    return name if name.isprintable() and len(name) <= saved_views.LONGEST else ""


def _filters() -> Filters:
    """Return the filters that the form was shown under."""
    return worklist.read_filters(request.form, "all")


def _back(filters: Filters) -> Response:
    query: dict[str, Any] = {**filters.query}
    return redirect(url_for("web.show_worklist", **query), code=303)
