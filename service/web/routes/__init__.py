"""One file for each page; importing them registers their routes."""

from service.web.routes import (
    acting,
    audit,
    careplan,
    cover,
    decide,
    inbox,
    keys,
    language,
    live,
    mapping,
    operations,
    owner,
    pathway,
    patients,
    sandbox,
    worklist,
)

__all__ = [
    "acting",
    "audit",
    "careplan",
    "cover",
    "decide",
    "inbox",
    "keys",
    "language",
    "live",
    "mapping",
    "operations",
    "owner",
    "pathway",
    "patients",
    "sandbox",
    "worklist",
]
