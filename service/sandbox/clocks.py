"""The clock of a sandbox: set and stopped, or the machine's.

It never goes back while there is patient data: what happened would lie in the future.
"""

from datetime import datetime

from sqlalchemy import Connection, text

from service import clock
from service.clock import Clock
from service.sandbox import erasing
from service.sandbox.answers import NotDone, written


def set_to(tx: Connection, now: datetime, *, held: bool) -> Clock:
    """Stop the clock at the instant.

    Raises:
        NotDone: 409, it would go back.
    """
    _lock(tx)
    before = clock.now(tx)
    if now < before and erasing.any_patient(tx):
        raise NotDone(
            409,
            f"The clock is at {written(before)} and does not go back while there is patient data; "
            "DELETE /sandbox/data removes it.",
        )
    clock.set_(tx, now, held)
    return clock.state(tx)


def free(tx: Connection) -> Clock:
    """Go back to the machine's clock.

    Raises:
        NotDone: 409, that would be backwards.
    """
    _lock(tx)
    before = clock.state(tx)
    clock.unset(tx)
    after = clock.state(tx)
    if before.is_set and after.now < before.now and erasing.any_patient(tx):
        raise NotDone(
            409,
            f"The clock is set to {written(before.now)}, later than the machine's, and does not go back "
            "while there is patient data; DELETE /sandbox/data removes it.",
        )
    return after


def shown(state: Clock) -> dict[str, str]:
    """Return the state of the clock as the interface answers it."""
    return {
        "now": written(state.now),
        "clock": "set" if state.is_set else "real",
        "evaluation": "held" if state.held else "automatic",
    }


def _lock(tx: Connection) -> None:
    """Keep others from setting the clock between the look and the change."""
    tx.execute(text("SELECT FROM clock FOR UPDATE"))
