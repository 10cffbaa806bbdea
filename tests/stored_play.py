"""Plays a story on a real database: the intake and the worker's evaluation, without HTTP and queue."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from histories import Visit, brought
from playing import Play, number

from pathways.memory import Memory
from service import clock, snapshot
from service.fhir import transaction
from service.record import entry
from service.sandbox import erasing
from service.store import decisions, parameters, promises, resources
from service.store.database import Database
from worker.advance import advance


@dataclass(kw_only=True)
class StoredPlay(Play):
    """One patient in the store. What was there before is erased at the first visit."""

    database: Database
    patient: str = ""
    _set: dict[str, Any] = field(default_factory=dict)

    def receive(self, bundle: dict[str, Any], at: datetime) -> None:
        """Store the Bundle as a hospital sends it; a resource without a request is put."""
        first = not self.patient
        self.patient = self.patient or next(
            item["resource"]["id"]
            for item in bundle["entry"]
            if item["resource"]["resourceType"] == "Patient"
        )
        body = json.loads(self._placed(json.dumps(bundle, default=number)), parse_float=Decimal)
        sent = {"resourceType": "Bundle", "type": "transaction", "entry": []}
        for item in body["entry"]:
            resource = item["resource"]
            url = f"{resource['resourceType']}/{resource['id']}"
            sent["entry"].append({"request": {"method": "PUT", "url": url}, **item})
        with self.database.transaction() as tx:
            if first:
                erasing.erase(tx)
                parameters.set_(tx, {}, "a test", at)
            clock.set_(tx, at, held=False)
        transaction.accept(self.database, sent, sender="hospital")

    def work(self, at: datetime) -> None:
        """Evaluate as a worker does."""
        with self.database.transaction() as tx:
            clock.set_(tx, at, held=False)
            if self.chosen != self._set:
                parameters.set_(tx, self.chosen, "a test", at)
                self._set = dict(self.chosen)
            promises.want(tx, self.patient, tenant=0, due_at=at, forced=True)
        assert advance(self.database, 0, self.patient)
        with self.database.transaction() as tx:
            latest = decisions.latest(tx, self.patient, tenant=0)
            own = resources.of_patient(tx, self.patient, types=snapshot.OWNED, owned=True, tenant=0)
        self.memories = {instance: Memory.from_json(row.after) for (_, instance), row in latest.items()}
        self.own = {stored.reference: entry(stored) for stored in own}

    def tell(self, story: dict[str, Any]) -> None:
        """Play a story to its end."""
        self.chosen = dict(story.get("parameters") or {})
        for step in story["steps"]:
            if step["bundle"]:
                self.receive(step["bundle"], datetime.fromisoformat(step["at"]))
            self.work(datetime.fromisoformat(step["advanceTo"]))

    def live(self, visits: Iterable[Visit]) -> None:
        """Go through a random history."""
        for count, visit in enumerate(visits):
            self.receive(brought(self, visit, count), visit.at)
            self.work(visit.evaluated)
