"""Which versions are at work: the service, its schema, and the definitions with their hashes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from pathways.definition import Pathway
from service.store import parameters, schema
from service.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One installed pathway."""

    name: str
    canonical: str
    status: str
    #: of its translated rules
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What is installed."""

    service: str
    #: of the database, and the one this version of the service needs
    schema: str
    needed: str
    #: of the site's values
    values: int
    definitions: tuple[Definition, ...]


def installed(tx: Connection, pathways: Sequence[Pathway]) -> Versions:
    """Return which versions are at work."""
    return Versions(
        service=VERSION,
        schema=schema.revision(tx) or "",
        needed=schema.head(),
        values=parameters.latest(tx).number,
        definitions=tuple(
            Definition(
                name=pathway.name,
                canonical=pathway.canonical,
                status=pathway.status,
                digest=pathway.elm_hash,
            )
            for pathway in pathways
        ),
    )
