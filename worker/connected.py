"""How a process begins that talks with the hospital's server, as the courier and the feeder do."""

import sys
from typing import NamedTuple

from service import lifeline, log
from service.environment import InvalidSettings
from service.hospital.connection import Connection
from service.hospital.settings import Hospital
from service.settings import Settings
from service.store.database import Database
from worker.pulse import Pulse

logger = log.get()


class Connected(NamedTuple):
    """What such a process has when it begins."""

    database: Database
    hospital: Hospital
    #: gives a sign of life before each question
    connection: Connection
    pulse: Pulse


def begin(settings: Settings, part: str) -> Connected:
    """Tie this process to its parent and connect it; it ends with 2 where the settings do not allow that.

    Args:
        part: which it is, by its name in `service.store.heartbeats`.
    """
    lifeline.end_with_parent()
    log.configure(part, level=settings.log_level)
    assert settings.hospital is not None
    database = Database(settings.database_url, pool_size=1, overflow=2)
    pulse = Pulse(part)
    try:
        connection = Connection(settings.hospital, before=lambda: pulse.beat(database))
    except InvalidSettings as error:
        logger.error("hospital_not_connected", reason=str(error))
        sys.exit(2)
    return Connected(database, settings.hospital, connection, pulse)
