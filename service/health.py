"""Is the process alive, is every part it needs there, and how much is waiting.

Readiness names each part that is not ready and since when. Nothing here tells anything
about a patient.
"""

import hmac
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from flask import Blueprint, Response, current_app, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from service import automation, broker, clock
from service.automation import Automation
from service.hospital import outgoing
from service.settings import Settings
from service.store import content, deliveries, schema, subscriptions
from service.store.database import Database

health = Blueprint("health", __name__)

#: whose deliveries are counted
TENANT = 0
#: that are counted by name
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: asked again after this; a probe must not become a load
REMEMBERED_S = 1.0


class Watch:
    """What this process has seen of the parts: counts, and since when something is missing."""

    def __init__(self) -> None:
        """Begin with everything in order and nothing counted."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "hipway_requests",
            "Requests answered by this process",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.database_up = Gauge(
            "hipway_database_up", "Whether the figures of the work are of now", registry=self.registry
        )
        self.waiting = Gauge(
            "hipway_promises_due", "Patients whose evaluation is due", registry=self.registry
        )
        self.oldest = Gauge(
            "hipway_promises_oldest_seconds", "How long the oldest has waited", registry=self.registry
        )
        self.parked = Gauge(
            "hipway_promises_parked", "Evaluations given up until a person looks", registry=self.registry
        )
        self.undelivered = Gauge(
            "hipway_undelivered_patients",
            "Patients of whom the hospital's server lacks something",
            registry=self.registry,
        )
        self.untold = Gauge(
            "hipway_subscription_events_waiting",
            "Events that subscribers have not taken yet",
            registry=self.registry,
        )
        self.subscriptions_in_error = Gauge(
            "hipway_subscriptions_in_error",
            "Subscriptions that are tried again only when somebody asks",
            registry=self.registry,
        )
        self.beat = Gauge(
            "hipway_heartbeat_age_seconds",
            "Since sweep, broker, a worker, courier, feeder or herald was last seen to work",
            ("part",),
            registry=self.registry,
        )
        self._missing_since: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._seen: tuple[float, dict[str, str | None]] | None = None

    def parts(self, look: Callable[[], dict[str, str | None]]) -> dict[str, str | None]:
        """Return what the look found, at most once in a while."""
        # While one looks, which may take as long as a time-out, others get what was seen before.
        if not self._looking.acquire(blocking=self._seen is None):
            assert self._seen is not None
            return self._seen[1]
        try:
            moment = time.monotonic()
            if self._seen is None or moment - self._seen[0] > REMEMBERED_S:
                self._seen = (moment, look())
            return self._seen[1]
        finally:
            self._looking.release()

    def missing_since(self, part: str, *, ready: bool) -> datetime | None:
        """Note whether the part is ready and return since when it is not."""
        with self._lock:
            if ready:
                self._missing_since.pop(part, None)
                return None
            return self._missing_since.setdefault(part, datetime.now(UTC))


@health.get("/health/live")
def live() -> Response:
    """Say that this process answers."""
    return jsonify({"status": "alive"})


@health.get("/health/ready")
def ready() -> tuple[Response, int]:
    """Say which parts are ready; 503 while one is not, with the reason and since when.

    `?only=database,schema` asks for these parts alone: without the others Bundles are still
    accepted, and a load balancer should go on sending them.
    """
    hipway = current_app.extensions["hipway"]
    watch: Watch = hipway.health
    found = watch.parts(lambda: _parts(hipway.settings, hipway.database))
    only = {part for part in request.args.get("only", "").split(",") if part} or set(found)
    parts: dict[str, dict[str, str]] = {}
    for part, trouble in found.items():
        since = watch.missing_since(part, ready=trouble is None)
        if part in only:
            parts[part] = (
                {"status": "ready"}
                if trouble is None or since is None
                else {"status": "not ready", "since": content.instant(since), "why": trouble}
            )
    all_ready = all(part["status"] == "ready" for part in parts.values())
    answer = jsonify({"status": "ready" if all_ready else "not ready", "parts": parts})
    return answer, 200 if all_ready else 503


@health.get("/metrics")
def metrics() -> Response:
    """Return the metrics of this process and of the work that waits, as Prometheus text.

    In production they are for whoever shows the token of the settings: it is not in the database, so that
    they can be read while that is away. Without such a setting there are none.
    """
    hipway = current_app.extensions["hipway"]
    if not hipway.settings.sandbox and (refused := _refused(hipway.settings.metrics_token)):
        return refused
    watch: Watch = hipway.health
    try:
        with hipway.database.transaction() as tx:
            seen = automation.look(tx, clock.now(tx), hipway.settings.hospital)
            lacking = _lacking(tx, hipway.settings)
            subscribed = subscriptions.count(tx, tenant=TENANT)
    except (SQLAlchemyError, psycopg.Error):
        # The counts of this process are told even so. What is not known now must not look well.
        watch.database_up.set(0)
        for gauge in (
            watch.waiting,
            watch.oldest,
            watch.parked,
            watch.undelivered,
            watch.untold,
            watch.subscriptions_in_error,
        ):
            gauge.set(math.nan)
        watch.beat.clear()
        return Response(generate_latest(watch.registry), content_type=CONTENT_TYPE_LATEST)
    watch.database_up.set(1)
    watch.waiting.set(seen.waiting.count)
    watch.oldest.set(seen.waiting.late_s)
    watch.parked.set(seen.waiting.parked)
    watch.undelivered.set(lacking)
    watch.untold.set(subscribed.waiting)
    watch.subscriptions_in_error.set(subscribed.in_error)
    for part, age in seen.ages.items():
        watch.beat.labels(part).set(age)
    return Response(generate_latest(watch.registry), content_type=CONTENT_TYPE_LATEST)


def _lacking(tx: Connection, settings: Settings) -> int:
    """Return of how many patients the hospital's server lacks something, whether or not the courier lives."""
    if settings.hospital is None:
        return 0
    server = settings.hospital.url
    return deliveries.undelivered(tx, tenant=TENANT, server=server, types=outgoing.TYPES).patients


def _refused(token: str) -> Response | None:
    if not token:
        return Response(status=404)
    shown = request.authorization
    given = (shown.token or "") if shown is not None and shown.type == "bearer" else ""
    if hmac.compare_digest(given.encode(), token.encode()):
        return None
    return Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="hipway metrics"'})


def count(response: Response) -> Response:
    """Count an answered request by its route, never by its URL; a method may be any word of a client's."""
    watch: Watch = current_app.extensions["hipway"].health
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in METHODS else "other"
    watch.requests.labels(method, route, str(response.status_code)).inc()
    return response


#: what Bundles need to be accepted, and what they need to be evaluated soon
INTAKE = ("database", "schema")
EVALUATION = ("broker", "sweep", "worker", "evaluations")


def _parts(settings: Settings, database: Database) -> dict[str, str | None]:
    """Return, for each part, what is wrong with it; None: it is ready."""
    # What is beside the sweep depends on whether there is a hospital, and whether its data are read.
    beyond = (*EVALUATION, *automation.beside(settings.hospital))
    parts: dict[str, str | None] = dict.fromkeys((*INTAKE, *beyond))
    try:
        with database.transaction() as tx:
            revision = schema.revision(tx)
            if schema.compatible(revision):
                parts |= _automation(automation.look(tx, clock.now(tx), settings.hospital))
            else:
                parts["schema"] = f"the schema is at {revision}, this version needs {schema.head()}"
                parts |= dict.fromkeys(beyond, "unknown without the schema")
    except (SQLAlchemyError, psycopg.Error) as error:
        parts |= dict.fromkeys(("schema", *beyond), "unknown without the database")
        parts["database"] = f"cannot be reached ({type(error).__name__})"
    parts["broker"] = (
        None if broker.reachable(settings) else "cannot be reached; evaluations are slow until it is"
    )
    return parts


def _automation(seen: Automation) -> dict[str, str | None]:
    parts: dict[str, str | None] = {
        "sweep": _silence(seen, "sweep"),
        "worker": _silence(seen, "worker"),
    }
    if before := seen.silent_before("worker"):
        parts["worker"] = f"unknown while the {before} is not ready"
    for part in seen.beside_s:
        parts[part] = _silence(seen, part)
        if before := seen.silent_before(part):
            parts[part] = f"unknown while the {before} is not ready"
    if seen.trouble("late"):
        parts["evaluations"] = f"the oldest has waited {seen.waiting.late_s:.0f} s"
    return parts


def _silence(seen: Automation, part: automation.Part) -> str | None:
    trouble = seen.trouble(part)
    if trouble is None:
        return None
    if trouble.since is None:
        return "has not been seen"
    return f"was last seen at {content.instant(trouble.since)}"
