"""Is the process alive, is every part it needs there, and how much is waiting.

Readiness names each part that is not ready and since when. Nothing here tells anything
about a patient.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from flask import Blueprint, Response, current_app, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from service import broker, clock
from service.settings import Settings
from service.store import content, heartbeats, migrate, promises
from service.store.database import Database

health = Blueprint("health", __name__)

#: the sweep beats every two seconds; after this it is taken for dead
SWEEP_LIMIT_S = 15

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
        self.waiting = Gauge(
            "hipway_promises_due", "Patients whose evaluation is due", registry=self.registry
        )
        self.oldest = Gauge(
            "hipway_promises_oldest_seconds", "How long the oldest has been due", registry=self.registry
        )
        self.parked = Gauge(
            "hipway_promises_parked", "Evaluations given up until a person looks", registry=self.registry
        )
        self.beat = Gauge(
            "hipway_heartbeat_age_seconds",
            "Since a process was last seen",
            ("process",),
            registry=self.registry,
        )
        self._missing_since: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._seen: tuple[float, dict[str, str | None]] | None = None

    def parts(self, look: Callable[[], dict[str, str | None]]) -> dict[str, str | None]:
        """Return what the look found, at most once in a while."""
        with self._lock:
            moment = time.monotonic()
            if self._seen is None or moment - self._seen[0] > REMEMBERED_S:
                self._seen = (moment, look())
            return self._seen[1]

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
    """Say which parts are ready; 503 while one is not, with the reason and since when."""
    hipway = current_app.extensions["hipway"]
    watch: Watch = hipway.health
    found = watch.parts(lambda: _parts(hipway.settings, hipway.database))
    parts: dict[str, dict[str, str]] = {}
    for part, trouble in found.items():
        since = watch.missing_since(part, ready=trouble is None)
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
    """Return the metrics of this process and of the work that waits, as Prometheus text."""
    hipway = current_app.extensions["hipway"]
    watch: Watch = hipway.health
    try:
        with hipway.database.transaction() as tx:
            now = clock.now(tx)
            waiting = promises.waiting(tx, now)
            ages = heartbeats.ages(tx)
    except (SQLAlchemyError, psycopg.Error):
        # The counts of this process are told even so; readiness says what is missing.
        return Response(generate_latest(watch.registry), content_type=CONTENT_TYPE_LATEST)
    watch.waiting.set(waiting.count)
    watch.oldest.set((now - waiting.oldest_due_at).total_seconds() if waiting.oldest_due_at else 0)
    watch.parked.set(waiting.parked)
    for process, (_, age) in ages.items():
        watch.beat.labels(process).set(age)
    return Response(generate_latest(watch.registry), content_type=CONTENT_TYPE_LATEST)


def count(response: Response) -> Response:
    """Count an answered request by its route, never by its URL."""
    watch: Watch = current_app.extensions["hipway"].health
    route = request.url_rule.rule if request.url_rule else "none"
    watch.requests.labels(request.method, route, str(response.status_code)).inc()
    return response


def _parts(settings: Settings, database: Database) -> dict[str, str | None]:
    """Return, for each part, what is wrong with it; None: it is ready."""
    parts: dict[str, str | None] = {"database": None, "schema": None, "broker": None, "sweep": None}
    try:
        with database.transaction() as tx:
            revision = migrate.revision(tx)
            if revision != migrate.head():
                parts["schema"] = f"the schema is at {revision}, this version needs {migrate.head()}"
                parts["sweep"] = "unknown without the schema"
            else:
                parts["sweep"] = _sweep(heartbeats.ages(tx))
    except (SQLAlchemyError, psycopg.Error) as error:
        parts["database"] = f"cannot be reached ({type(error).__name__})"
        parts["schema"] = parts["sweep"] = "unknown without the database"
    if not broker.reachable(settings):
        parts["broker"] = "cannot be reached; evaluations are slow until it is"
    return parts


def _sweep(ages: dict[str, tuple[datetime, float]]) -> str | None:
    if "sweep" not in ages:
        return "has not been seen"
    seen_at, age = ages["sweep"]
    if age > SWEEP_LIMIT_S:
        return f"was last seen at {content.instant(seen_at)}"
    return None
