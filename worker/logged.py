"""The decisions of an evaluation, as the log keeps them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pathways.basis import basis
from pathways.definition import Pathway
from pathways.edition import ENGINE
from pathways.steps import Outcome
from service.store.decisions import Row


def logged(
    pathway: Pathway,
    outcome: Outcome,
    *,
    tenant: int,
    patient: str,
    run: UUID,
    profile: str,
    changed: Mapping[str, Any],
    due: datetime | None,
    zones: str,
) -> list[Row]:
    """Return a row for each step.

    Args:
        patient: the id alone.
        run: the evaluation.
        profile: of the site's values.
        changed: those of the site's values that differ from their default.
        due: when the evaluation should have been.
        zones: the edition of the time zone data.
    """
    return [
        Row(
            tenant=tenant,
            patient=patient,
            pathway=pathway.name,
            instance=step.instance,
            number=step.number,
            at=outcome.at,
            run=run,
            rule=step.rule,
            before=step.before.to_json(),
            after=step.after.to_json(),
            basis=basis(pathway, step, engine=ENGINE, zones=zones, profile=profile, changed=changed, due=due),
        )
        for step in outcome.steps
    ]
