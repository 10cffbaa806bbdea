"""How a server's answers are noted, so that one that answers badly is left alone for a while."""

from sqlalchemy import Connection as Transaction

from service.hospital import pauses
from service.hospital.answers import Answer
from service.hospital.pauses import Chance
from service.store import circuits
from service.store.circuits import Circuit, Purpose


def note(
    tx: Transaction,
    purpose: Purpose,
    answer: Answer,
    before: Circuit,
    chance: Chance,
    *,
    tenant: int,
    server: str,
) -> None:
    """Note one answer: after several bad ones in a row, or when the server asks for it, it is left alone.

    Args:
        before: the state before this answer.
        chance: by which pauses are spread.
    """
    pause_s = pauses.server(before.failures + 1, chance) if answer.of_server else 0.0
    circuits.note(
        tx,
        purpose,
        tenant=tenant,
        server=server,
        answer=answer.kind,
        said=answer.said,
        pause_s=max(pause_s, answer.wait_s or 0.0),
        bad=answer.of_server,
        skew_s=answer.skew_s,
    )
