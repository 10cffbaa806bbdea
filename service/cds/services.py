"""The services there are, and what each asks a record to send along.

The templates ask for no more than the rules read: of observations and procedures those with a code of the
pathways' input tables, or with a local one that a ConceptMap of the site turns into such a code.

https://cds-hooks.hl7.org/2.0/#discovery
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_profiles import canonical
from service.fhir.translation import Translations

PATIENT = "{{context.patientId}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: what it is called on, and what it does."""

    id: str
    hook: str
    title: str
    description: str


VIEW = Service(
    id="hipway-patient-view",
    hook="patient-view",
    title="hipway: what the pathway proposes",
    description=(
        "What the care pathways of this service would propose for the patient now, and why: each proposal "
        "with the conditions, values and dates it rests on, and a draft of the order. Nothing is stored."
    ),
)
SIGN = Service(
    id="hipway-order-sign",
    hook="order-sign",
    title="hipway: what speaks against signing",
    description=(
        "Of the orders about to be signed, those that a care pathway of this service advises not to sign "
        "now, and why: something is missing before, the plan is on hold, or the proposal was superseded. "
        "Nothing is stored."
    ),
)
SERVICES: Mapping[str, Service] = {service.id: service for service in (VIEW, SIGN)}

#: without one of these nothing is said: what is not known must not be read as "no"
REQUIRED = ("patient", "observations", "procedures", "reports")
#: what else is read where it is sent
OPTIONAL = ("structures", "decisions")
KEYS = (*REQUIRED, *OPTIONAL)

USAGE = (
    f"The prefetch keys {', '.join(REQUIRED)} are required, complete and not paged; null where there is "
    f"nothing. {' and '.join(OPTIONAL)} are read where they are sent."
)


def discovery(codes: Collection[tuple[str, str]], translations: Translations) -> dict[str, Any]:
    """Return what a client learns about the services.

    Args:
        codes: every code of the input tables.
        translations: of the site.
    """
    templates = prefetch(_tokens(codes, translations))
    return {
        "services": [
            {
                "hook": service.hook,
                "title": service.title,
                "description": service.description,
                "id": service.id,
                "prefetch": templates,
                "usageRequirements": USAGE,
            }
            for service in SERVICES.values()
        ]
    }


def prefetch(tokens: str) -> dict[str, str]:
    """Return the templates, which read what has one of the codes."""
    return {
        "patient": f"Patient/{PATIENT}",
        "observations": f"Observation?patient={PATIENT}&code={tokens}",
        "procedures": f"Procedure?patient={PATIENT}&code={tokens}",
        # of any code: a report that is withdrawn takes its results with it
        "reports": f"DiagnosticReport?patient={PATIENT}",
        "structures": f"BodyStructure?patient={PATIENT}",
        "decisions": f"Task?patient={PATIENT}&code={canonical.DECISIONS}|&_include=Task:owner",
    }


def _tokens(codes: Collection[tuple[str, str]], translations: Translations) -> str:
    """Return the codes as a search writes them: of a system of ours all at once, of others one by one."""
    local = (
        source
        for source, targets in translations.items()
        if any((target.get("system"), target.get("code")) in codes for target in targets)
    )
    return ",".join(sorted({_token(system, code) for system, code in {*codes, *local}}))


def _token(system: str, code: str) -> str:
    if system.startswith(canonical.BASE):
        return f"{system}|"
    return f"{system}|{code}".replace(",", "\\,")
