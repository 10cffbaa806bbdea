"""Wake-ups through the broker: they carry ids only, and may be lost.

The promise in the database is the truth; the sweep finds what no wake-up reached. So a
wake-up is sent after the commit, once, without waiting for a broker that is gone.
"""

import time
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import msgspec
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import NoPermissionError, RedisError

from service import log
from service.settings import Settings

ADVANCE = "worker.advance"
EXPORT = "worker.export"
PREVIEW = "worker.preview"
BEAT = "worker.beat"
QUEUE = "hipway"
#: A wake-up must not hold up the answer to a hospital.
SEND_TIMEOUT_S = 1.0
#: A broker that did not take a wake-up is left alone this long: the sweep finds the promise.
QUIET_S = 2.0
#: With so many messages waiting, more would only fill the broker's memory.
FULL = 10_000
#: A wake-up that nobody took in this time is worth nothing: the sweep has sent another.
EXPIRES_S = 300

logger = log.get()

#: brokers that refuse the command by which a worker takes wake-ups by itself
_refusing: set[str] = set()
#: until when no wake-up is tried, by broker and `time.monotonic()`
_quiet: dict[str, float] = {}


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
        # What no process is free for stays at the broker, where one that becomes free takes it.
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        # A broker may be away for a night; a worker that gives up would have to be started again.
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": SEND_TIMEOUT_S,
            "socket_timeout": 30,
            "socket_keepalive": True,
            # What is taken is not kept at the broker until it is done: the database keeps the promise. It was
            # half the work of the process that takes the messages, and woke long work twice after an hour.
            "ack_emulation": False,
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


@cache
def _line(broker_url: str) -> tuple[Any, Any]:
    """Return a connection that is kept, and its client of Redis, which any number of threads may use."""
    connection = _sender(broker_url).connection_for_write(connect_timeout=SEND_TIMEOUT_S)
    return connection, connection.default_channel.client


def message(task: str, arguments: tuple[object, ...], *, expires_s: float, now: datetime) -> bytes:
    """Return a task as Celery and kombu write it to Redis. By themselves they take a third of a millisecond.

    https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    id_ = str(uuid4())
    body = msgspec.json.encode([arguments, {}, _NOTHING_FOLLOWS])
    headers: dict[str, object] = {
        "lang": "py",
        "task": task,
        "id": id_,
        "root_id": id_,
        "parent_id": None,
        "group": None,
        "group_index": None,
        "shadow": None,
        "eta": None,
        "expires": (now + timedelta(seconds=expires_s)).isoformat(),
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "",
        "kwargsrepr": "",
        "origin": "hipway",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": id_,
        "reply_to": None,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    return msgspec.json.encode(
        {
            "body": b64encode(body).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": properties,
        }
    )


_NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def wake(settings: Settings, tenant: int, patient: str) -> bool:
    """Ask a worker to look at the patient. Returns False if the broker could not be reached."""
    return _send(settings, ADVANCE, (tenant, patient), expires_s=EXPIRES_S)


def wake_export(settings: Settings, tenant: int, export: str) -> bool:
    """Ask a worker to go on with an export. Returns False if the broker could not be reached."""
    return _send(settings, EXPORT, (tenant, export), expires_s=EXPIRES_S)


def wake_preview(settings: Settings, tenant: int, preview: str) -> bool:
    """Ask a worker to go on with a preview. Returns False if the broker could not be reached."""
    return _send(settings, PREVIEW, (tenant, preview), expires_s=EXPIRES_S)


def ask_for_beat(settings: Settings, expires_s: float) -> bool:
    """Ask any worker to say that it lives. Returns False if the broker could not be reached."""
    return _send(settings, BEAT, (), expires_s=expires_s)


def reachable(settings: Settings) -> bool:
    """Return whether the broker answers."""
    return backlog(settings) is not None


def backlog(settings: Settings) -> int | None:
    """Return how many messages no worker has taken yet; None if the broker cannot be reached."""
    connection: Any
    try:
        with _sender(settings.broker_url).connection_for_write(connect_timeout=SEND_TIMEOUT_S) as connection:
            return int(connection.default_channel.client.llen(QUEUE))
    except (OperationalError, RedisError, OSError):
        return None


def take(broker_url: str, limit: int, wait_s: float) -> list[tuple[int, str]]:
    """Take wake-ups and return tenant and patient of each, the one that waits longest first.

    What waits among them for another kind of work goes back to its place; what nobody can read is dropped. Of
    a broker that is gone, or has no such command or does not allow it, nothing is taken. A wake-up that has
    expired is as good as another: the promise says whether there is something to do.

    Args:
        limit: as many at most.
        wait_s: for the first, if none is there; above 0 and below SEND_TIMEOUT_S.
    """
    if broker_url in _refusing:
        return []
    try:
        _, client = _line(broker_url)
        # https://valkey.io/commands/blmpop/
        found = client.blmpop(wait_s, 1, QUEUE, direction="RIGHT", count=limit)
    except (OperationalError, RedisError, OSError) as error:
        if isinstance(error, NoPermissionError) or "unknown command" in str(error):
            # So it will be with the next, too: all wake-ups come through Celery.
            _refusing.add(broker_url)
        logger.warning("wake_ups_not_taken", reason=type(error).__name__)
        return []
    patients, others = [], []
    for written in found[1] if found else ():
        try:
            read = msgspec.json.decode(written, type=_Message)
            if read.headers.task == ADVANCE:
                (tenant, patient), *_ = msgspec.json.decode(b64decode(read.body), type=_Body)
                patients.append((tenant, patient))
            else:
                others.append(written)
        except (msgspec.MsgspecError, ValueError) as error:
            logger.warning("message_not_read", reason=type(error).__name__)
    if others:
        try:
            client.rpush(QUEUE, *reversed(others))
        except (RedisError, OSError) as error:
            # They are lost, as wake-ups may be; the sweep sends others.
            logger.warning("messages_not_put_back", reason=type(error).__name__, count=len(others))
    return patients


class _Headers(msgspec.Struct):
    task: str


class _Message(msgspec.Struct):
    """What is read of a message."""

    headers: _Headers
    body: str


#: of a wake-up: its arguments, and what Celery adds
_Body = tuple[tuple[int, str], Any, Any]


def _send(settings: Settings, task: str, arguments: tuple[object, ...], *, expires_s: float) -> bool:
    if time.monotonic() < _quiet.get(settings.broker_url, 0):
        return False
    try:
        _, client = _line(settings.broker_url)
        # kombu takes from the right end.
        client.lpush(QUEUE, message(task, arguments, expires_s=expires_s, now=datetime.now(UTC)))
    except (OperationalError, RedisError, OSError) as error:
        # Every sender would wait for the same time-out; one of them in a while is enough.
        _quiet[settings.broker_url] = time.monotonic() + QUIET_S
        logger.warning("wake_up_not_sent", reason=type(error).__name__)
        return False
    return True
