"""Wake-ups through the broker: they carry ids only, and may be lost.

The promise in the database is the truth; the sweep finds what no wake-up reached. So a
wake-up is sent after the commit, once, without waiting for a broker that is gone.
"""

from functools import cache
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from service import log
from service.settings import Settings

ADVANCE = "worker.advance"
QUEUE = "hipway"
#: A wake-up must not hold up the answer to a hospital.
SEND_TIMEOUT_S = 1.0

logger = log.get()


@cache
def app(broker_url: str) -> Celery:
    """Return the Celery application that sends to this broker and receives from it."""
    celery = Celery("hipway", broker=broker_url)
    celery.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # The promise is the only retry: a task that dies is found by the sweep, never run again by Celery.
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "socket_connect_timeout": SEND_TIMEOUT_S,
            "socket_timeout": 30,
            "socket_keepalive": True,
        },
        enable_utc=True,
    )
    return celery


@cache
def _sender(broker_url: str) -> Celery:
    """Return an application that gives up at once: who sends has somebody waiting for an answer."""
    celery = Celery("hipway-sender", broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        task_publish_retry=False,
        broker_transport_options={
            "socket_connect_timeout": SEND_TIMEOUT_S,
            "socket_timeout": SEND_TIMEOUT_S,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
        },
    )
    return celery


def wake(settings: Settings, tenant: int, patient: str) -> bool:
    """Ask a worker to look at the patient. Returns False if the broker could not be reached."""
    try:
        _sender(settings.broker_url).send_task(ADVANCE, args=(tenant, patient), retry=False, expires=300)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("wake_up_not_sent", tenant=tenant, reason=type(error).__name__)
        return False
    return True


def reachable(settings: Settings) -> bool:
    """Return whether the broker answers."""
    try:
        connection: Any
        with _sender(settings.broker_url).connection_for_write(connect_timeout=SEND_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, timeout=SEND_TIMEOUT_S)
    except (OperationalError, RedisError, OSError):
        return False
    return True
