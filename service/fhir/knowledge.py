"""What only the pathways and the profiles know, asked in one place."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text

from fhir_profiles import canonical
from pathways import catalogue
from service.fhir import translation
from service.store import content

Json = Mapping[str, Any]

#: the code system of clinician decisions
DECISION_SYSTEM = canonical.DECISIONS

Translations = dict[tuple[str, str], tuple[Json, ...]]

# By database and tenant, with the state of the ConceptMaps they were made of. Maps change once in months and
# are read with every Bundle.
_translations: WeakKeyDictionary[Engine, dict[int, tuple[object, Translations]]] = WeakKeyDictionary()


def urgent(resource: Json) -> bool:
    """Return whether the resource must not wait for the rest of the visit."""
    return catalogue.urgent(resource)


def translations(tx: Connection, state: tuple[object, ...], *, tenant: int) -> Translations:
    """Return what the site's ConceptMaps translate.

    Args:
        state: `Site.concept_maps`; while it is the same, so are the translations.
    """
    of_database = _translations.setdefault(tx.engine, {})
    cached = of_database.get(tenant)
    if cached is None or cached[0] != state:
        statement = (
            "SELECT body FROM resource WHERE tenant = :tenant AND type = 'ConceptMap' AND NOT deleted "
            "ORDER BY seq"
        )
        bodies = tx.execute(text(statement), {"tenant": tenant}).scalars()
        cached = of_database[tenant] = (state, translation.of(content.read(body) for body in bodies))
    return cached[1]
