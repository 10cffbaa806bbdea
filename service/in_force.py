"""The transitions in force of an instance, read back from the log of decisions."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from pathways import parameters
from pathways.corrections import Past
from pathways.definition import Pathway
from pathways.memory import Memory
from service.store import decisions
from service.store.decisions import Row


def ask(
    tx: Connection, patient: str, pathway: Pathway, memories: Mapping[str, Memory], *, tenant: int
) -> Callable[[], dict[str, tuple[Past, ...]]]:
    """Ask for the transitions in force of each remembered instance, and return how to get them, newest first.

    They are there after the end of a block of `together`.
    """
    # The step before a transition may have set something quietly in the same evaluation.
    numbers = {
        instance: sorted({number for step in memory.path for number in (step, step - 1)})
        for instance, memory in memories.items()
    }
    read = decisions.ask_numbers(tx, patient, pathway.name, numbers, tenant=tenant)

    def answer() -> dict[str, tuple[Past, ...]]:
        rows: dict[str, dict[int, Row]] = {instance: {} for instance in memories}
        for row in read():
            rows[row.instance][row.number] = row
        return {
            instance: tuple(
                _past(pathway, rows[instance], number)
                for number in reversed(memory.path)
                if number in rows[instance]
            )
            for instance, memory in memories.items()
        }

    return answer


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
        site=parameters.recalled(pathway, row.basis["parameters"]["changed"]),
        quiet_before=Memory.from_json(quiet.before) if quiet is not None and same_run else None,
    )
