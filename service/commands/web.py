"""`hipway web`: the pages and the FHIR base."""

import argparse
import gc

from service import log
from service.settings import Settings

#: Threads beyond those that store or wait to: for pages (a decision waits for its evaluation in
#: its thread), health, and answers of 429. What finds no thread waits unseen and unfairly, in the
#: order in which it came; 104 busy threads were measured to take 35 MB more than 4 idle ones.
SPARE_THREADS = 32

#: Connections a process has open, idle ones included; more wait in the backlog of the machine.
#: Requests are limited by `service.fhir.admission`, which can tell senders apart.
CONNECTIONS = 1024

#: what the server says of itself goes the way of our own lines
OUR_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}, "granian.access": {"handlers": []}},
}


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "web",
        help="serve the pages and the FHIR base",
        description="Serve the pages and the FHIR base. Needs HIPWAY_DATABASE_URL and HIPWAY_BROKER_URL.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://... HIPWAY_BROKER_URL=redis://... hipway web",
    )


def run(_args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    from service.supervisor import address

    settings = Settings.from_environment()
    settings.assert_served_safely()
    settings.assert_connected()
    log.configure("web", level=settings.log_level)
    _load()
    Granian(
        "service.wsgi:app",
        address=address.numeric(settings.host),
        port=settings.port,
        ssl_cert=settings.tls_certificate,
        ssl_key=settings.tls_key,
        interface=Interfaces.WSGI,
        workers=settings.web_processes,
        blocking_threads=settings.intake_slots + settings.intake_queue + SPARE_THREADS,
        # The longest that can be set: a pool that has shrunk is slow to grow when a wave comes.
        blocking_threads_idle_timeout=600,
        backlog=CONNECTIONS,
        backpressure=CONNECTIONS,
        websockets=False,
        # Access lines would carry addresses with ids; the application writes its own.
        log_access=False,
        log_level=LogLevels.error,
        log_dictconfig=OUR_LOG,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    ).serve()
    return 0


def _load() -> None:
    """Load the application before the processes that serve it are forked from this one.

    They share what is loaded, and one that takes the place of another answers at once.
    """
    import service.app  # noqa: F401 - loading it is all that is wanted
    from pathways import catalogue

    catalogue.pathways()
    gc.collect()
    gc.freeze()
