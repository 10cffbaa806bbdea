"""`/api`: what can a program ask, and what is answered?

Everything is read and tried here without any other host: the document is made by this process, and what is
tried is sent by the browser as any other request, with the rights of whoever sends it.
"""

from flask import current_app, request

from service.openapi import document
from service.web import api, visit
from service.web.pages import pages, problem

#: the words of each group
TAGS = {
    document.FHIR: "fhir",
    document.OPERATIONS: "operations",
    document.CDS: "cds",
    document.HOSPITAL: "hospital",
    document.HEALTH: "health",
    document.SANDBOX: "sandbox",
    document.PAGES: "pages",
    document.ITSELF: "itself",
}

#: it takes whatever the chosen type has
SEARCH = "fhir.search"


@pages.get("/api")
def show_api() -> str:
    """Show every request that this service answers."""
    groups = [(TAGS[tag], operations) for tag, operations in api.by_tag(document.kept(current_app))]
    with visit.begin() as (_, seen):
        return visit.page(seen, "api.html", groups=groups)


@pages.get("/api/<operation>")
def show_operation(operation: str) -> str | tuple[str, int]:
    """Show what one request takes and how it is answered, and let it be tried."""
    kept = document.kept(current_app)
    found = next((each for each in api.operations(kept) if each.id == operation), None)
    if found is None:
        return problem("no_page", 404)
    body = found.body(request.args.get("media", ""))
    # Where a body comes in several shapes, each example is about a type of its own.
    about = body.type if body and len(found.bodies) > 1 else ""
    asked = request.args.get("type", "")
    type_ = asked or ("Patient" if found.id == SEARCH else about)
    listed = api.search_parameters(kept, type_) if found.id == SEARCH else []
    with visit.begin() as (_, seen):
        return visit.page(
            seen,
            "operation.html",
            operation=found,
            group=TAGS[found.tag],
            type=type_,
            asked=asked,
            body=body,
            fields=found.filled(type_),
            listed=listed,
        )
