"""One file for each FHIR interaction; importing them registers their routes."""

from service.fhir.routes import (
    capabilities,
    create,
    delete,
    elsewhere,
    history,
    patch,
    read,
    search,
    transaction,
    update,
    why,
)

__all__ = [
    "capabilities",
    "create",
    "delete",
    "elsewhere",
    "history",
    "patch",
    "read",
    "search",
    "transaction",
    "update",
    "why",
]
