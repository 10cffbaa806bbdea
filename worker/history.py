"""The transitions in force of an instance, read back from the log of decisions."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from pathways import parameters
from pathways.corrections import Past
from pathways.definition import Pathway
from pathways.memory import Memory
from service.store import decisions
from service.store.decisions import Row
from service.store.promises import Claim


def past(
    tx: Connection, claim: Claim, pathway: Pathway, instance: str, memory: Memory | None
) -> tuple[Past, ...]:
    """Return the transitions in force, newest first; empty while there are none."""
    if memory is None or not memory.path:
        return ()
    # The step before a transition may have set something quietly in the same evaluation.
    numbers = sorted({number for step in memory.path for number in (step, step - 1)})
    rows = {
        row.number: row
        for row in decisions.of_numbers(
            tx, claim.patient, pathway.name, instance, numbers, tenant=claim.tenant
        )
    }
    return tuple(_past(pathway, rows, number) for number in reversed(memory.path) if number in rows)


def _past(pathway: Pathway, rows: Mapping[int, Row], number: int) -> Past:
    row, quiet = rows[number], rows.get(number - 1)
    same_run = quiet is not None and quiet.run == row.run
    return Past(
        number=number,
        action=row.basis["action"],
        at=row.at,
        before=Memory.from_json(row.before),
        after=Memory.from_json(row.after),
        inputs=tuple(given["reference"] for given in row.basis["inputs"]),
        site=_site(pathway, row.basis["parameters"]),
        quiet_before=Memory.from_json(quiet.before) if quiet is not None and same_run else None,
    )


def _site(pathway: Pathway, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the site's values of that time: what differed then, over today's defaults."""
    changed = {
        name: Decimal(value) if pathway.parameters[name].type == "decimal" else value
        for name, value in kept["changed"].items()
        if name in pathway.parameters
    }
    return parameters.resolve(pathway, changed)
