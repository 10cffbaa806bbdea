"""One file for each page; importing them registers their routes."""

from service.web.routes import (
    acting,
    careplan,
    cover,
    decide,
    inbox,
    keys,
    language,
    live,
    operations,
    owner,
    pathway,
    patients,
    sandbox,
    worklist,
)

__all__ = [
    "acting",
    "careplan",
    "cover",
    "decide",
    "inbox",
    "keys",
    "language",
    "live",
    "operations",
    "owner",
    "pathway",
    "patients",
    "sandbox",
    "worklist",
]
