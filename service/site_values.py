"""A value of the site is changed: who, when and why, and everybody who is watched is evaluated again.

    new version · Provenance · a promise for each patient with a plan      one transaction

An evaluation reads the values in its own snapshot, so each rests on one version or the other, and its
decisions keep which. What was evaluated by the old ones has its promise still, and is evaluated again. No
step is taken back: corrections ask with the values of the time of the step (`pathways.corrections`).
"""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection

from fhir_profiles import canonical
from pathways.definition import Parameter
from service import clock, preview
from service.settings import Settings
from service.store import content, horizon, parameters, promises, resources
from service.store.resources import Write

#: how a version of the parameters is known
VERSIONS = canonical.identifiers("site-parameters")
_SPACE = uuid5(NAMESPACE_URL, VERSIONS)

#: Patients that are evaluated again in a second, about what one worker does.
PER_S = 50.0


def takes_two(parameter: Parameter, settings: Settings) -> bool:
    """Return whether another value holds only when a second person has confirmed it."""
    return parameter.two_people or not settings.sandbox


def change(
    tx: Connection,
    chosen: Mapping[str, object],
    *,
    said: str,
    who: Mapping[str, str],
    reason: str,
    confirmed: Mapping[str, str] | None = None,
    after: int,
    tenant: int,
) -> int:
    """Store a new version of the site's values, and return how many patients are evaluated again.

    Args:
        chosen: what the site has changed then, checked by `pathways.parameters`.
        said: the change in words, for the Provenance.
        who: who changes it, as a Reference.
        confirmed: the second person, where there was one.
        after: the version that was read.

    Raises:
        parameters.Changed: somebody else has changed a value since; nothing is stored.
    """
    horizon.announce(tx)
    at = clock.state(tx)
    second = confirmed["reference"] if confirmed else ""
    version = parameters.set_(
        tx, chosen, who["reference"], at.now, reason=reason, confirmed=second, after=after
    )
    body = provenance(version, said, who, reason, confirmed, content.instant(at.now))
    # A FHIR instant has milliseconds; the stored moment is the one that is shown.
    received = at.now.replace(microsecond=at.now.microsecond // 1000 * 1000)
    write = Write(type="Provenance", id=body["id"], body=body, owned=True)
    resources.save(tx, [write], tenant=tenant, now=received, sender=who["reference"])
    patients = preview.watched(tx, tenant=tenant)
    running = not at.is_set
    promises.want_all(tx, patients, tenant=tenant, now=at.now, per_s=PER_S if running else None)
    return len(patients)


def provenance_id(version: int) -> str:
    """Return the id of the Provenance of a version of the values."""
    return str(uuid5(_SPACE, str(version)))


def provenance(
    version: int,
    said: str,
    who: Mapping[str, str],
    reason: str,
    confirmed: Mapping[str, str] | None,
    at: str,
) -> dict[str, Any]:
    """Return who made a version of the values, when and why.

    http://hl7.org/fhir/R4/provenance.html
    """
    agents = [_agent("author", who), *([_agent("verifier", confirmed)] if confirmed else [])]
    return {
        "resourceType": "Provenance",
        "id": provenance_id(version),
        "target": [{"identifier": {"system": VERSIONS, "value": str(version)}, "display": said}],
        "recorded": at,
        "reason": [{"text": reason}],
        "agent": agents,
    }


def _agent(role: str, who: Mapping[str, str]) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return {"type": {"coding": [{"system": system, "code": role}]}, "who": dict(who)}
