"""One file for each FHIR interaction; importing them registers their routes."""

from service.fhir.routes import (
    apply,
    capabilities,
    create,
    delete,
    elsewhere,
    everything,
    history,
    patch,
    read,
    search,
    subscription,
    subscription_operations,
    transaction,
    update,
    validate,
    why,
)

__all__ = [
    "apply",
    "capabilities",
    "create",
    "delete",
    "elsewhere",
    "everything",
    "history",
    "patch",
    "read",
    "search",
    "subscription",
    "subscription_operations",
    "transaction",
    "update",
    "validate",
    "why",
]
