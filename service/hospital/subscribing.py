"""The Subscriptions by which the hospital's server calls us: made, watched, renewed, and switched off.

    there is none                        it is made
    another question, secret or address  it is changed
    error or off, or active and silent   it is renewed, after a pause that grows
    for what is read no more             it is switched off

A call carries no data: its payload is empty, so nothing about a patient goes where nobody asked for it. Which
type it is about is said by the address.

http://hl7.org/fhir/R4/subscription.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from service import log
from service.hospital import outgoing, pauses, theirs
from service.hospital.answers import Answer, Kind
from service.hospital.settings import HOOK, SECRET_HEADER, Hospital
from service.hospital.storing import Reader
from service.hospital.wanted import Question
from service.store import content, hospital_subscriptions, sources
from service.store.hospital_subscriptions import Subscription
from service.store.sources import Claim, Source

Json = Mapping[str, Any]

TYPE = "Subscription"
REASON = "hipway asks for what is new as soon as it is called"
#: in this state the server calls, or is about to
ACTIVE = "active"
GOOD = (ACTIVE, "requested")
#: so much that came without a call, and the Subscription is renewed though it is said to be active
MISSED = 3
#: but no sooner than this after the last time
SILENT_S = 600.0
#: one that the server lets end is renewed so long before
EARLY = timedelta(hours=1)
LONGER = timedelta(days=30)
#: one that was asked for and is not active after this is asked for again
REQUESTED_S = 120.0

logger = log.get()


class Subscribing:
    """Keeps the Subscriptions of one server as they should be."""

    def __init__(self, reader: Reader, hospital: Hospital, base_url: str, claim: Claim) -> None:
        """Prepare; nothing is asked yet.

        Args:
            base_url: of this service.
        """
        self._reader = reader
        self._hospital = hospital
        self._endpoint = hospital.hook_url or f"{base_url}{HOOK}"
        self._claim = claim

    def watch(self, questions: Sequence[Question], source: Source) -> Answer:
        """Look at the Subscriptions, and mend them. Returns the first answer that was no good, if any."""
        wanted = {q.type: q for q in questions} if self._hospital.read == "subscription" else {}
        with self._reader.database.transaction() as tx:
            known = hospital_subscriptions.known(tx, tenant=self._reader.tenant, server=self._reader.server)
        said = Answer(kind=Kind.TAKEN)
        for type_ in sorted(wanted.keys() | known.keys()):
            answer = self._keep(type_, wanted.get(type_), known.get(type_), source)
            if answer.of_all:
                return answer
            said = said if not said.taken else answer
        with self._reader.database.transaction() as tx:
            sources.watched(tx, self._claim)
        return said

    def _keep(
        self, type_: str, question: Question | None, before: Subscription | None, source: Source
    ) -> Answer:
        """Look at the one of a type."""
        endpoint = f"{self._endpoint}/{type_}"
        found = self._reader.connection.search(TYPE, {"url": endpoint, "_count": "50"})
        if not found.taken:
            self._note(type_, before.id if before else None, before.status if before else "", found)
            return found
        there = [
            one for one in theirs.resources(found.body) if _endpoint(one) == endpoint and theirs.identity(one)
        ]
        if not there and question is not None and before is not None and before.id is not None:
            # A search may lag behind, ignore a parameter, or show others first.
            read = self._reader.connection.read(TYPE, before.id)
            if not read.taken and not (read.kind is Kind.GONE or (read.kind is Kind.NOT_FOUND and read.fhir)):
                self._note(type_, before.id, before.status, read)
                return read
            there = [read.body] if read.taken and _endpoint(read.body) else []
        there.sort(key=lambda one: (one.get("status") not in GOOD, str(one["id"])))
        for one in there if question is None else there[1:]:
            # Two would call twice, and one that nobody wants calls in vain.
            if one.get("status") != "off" and not (answer := self._put({**one, "status": "off"})).taken:
                return answer
        if question is None:
            with self._reader.database.transaction() as tx:
                hospital_subscriptions.forget(
                    tx, type_, tenant=self._reader.tenant, server=self._reader.server
                )
            return found
        return self._mend(question, endpoint, there[0] if there else None, before, source, found)

    def _mend(
        self,
        question: Question,
        endpoint: str,
        there: Json | None,
        before: Subscription | None,
        source: Source,
        found: Answer,
    ) -> Answer:
        should = self._body(question, endpoint, source)
        paused = before is not None and self._paused(before)
        if there is None:
            if paused:
                return found
            # Written down before the server may call: a call for what nobody has asked for is refused.
            self._note(question.type, None, "", found)
            logger.info("subscription_made", type=question.type)
            answer = self._reader.connection.create(should)
            return self._noted(question.type, answer, renewed=True)
        why = self._why(should, there, before, source, found.date)
        if not why or (paused and why != "changed"):
            self._note(question.type, str(there["id"]), str(there.get("status")), found)
            return found
        logger.info("subscription_renewed", type=question.type, why=why)
        end = {"end": content.instant(found.date + LONGER)} if "end" in there and found.date else {}
        return self._noted(question.type, self._put({**there, **should, **end}), renewed=True)

    def _paused(self, before: Subscription) -> bool:
        """Return whether it was renewed just now: each time in vain the next one waits longer."""
        if before.renewed_s is None:
            return False
        return before.renewed_s < pauses.again(before.renewals + 1, self._reader.chance)

    def _why(
        self, should: Json, there: Json, before: Subscription | None, source: Source, date: datetime | None
    ) -> str:
        """Return for what reason it has to be renewed; empty: for none."""
        header = there["channel"].get("header")
        # A server may keep secrets to itself; then nobody can tell whether it is the present one.
        if _question(there) != _question(should) or header not in (None, should["channel"]["header"]):
            return "changed"
        if there.get("status") not in GOOD:
            return "error"
        renewed_s = before.renewed_s if before else None
        if there.get("status") == "requested" and renewed_s is not None and renewed_s > REQUESTED_S:
            return "error"
        if source.missed >= MISSED and (renewed_s is None or renewed_s > SILENT_S):
            return "silent"
        end = there.get("end")
        if isinstance(end, str) and date is not None and (ends := _moment(end)) and ends - date < EARLY:
            return "ends"
        return ""

    def _body(self, question: Question, endpoint: str, source: Source) -> dict[str, Any]:
        secret = self._hospital.hook_secret or source.hook_secret
        return {
            "resourceType": TYPE,
            "status": "requested",
            "reason": REASON,
            "criteria": question.criteria,
            "channel": {"type": "rest-hook", "endpoint": endpoint, "header": [f"{SECRET_HEADER}: {secret}"]},
        }

    def _put(self, resource: Json) -> Answer:
        meta = {
            n: v for n, v in (resource.get("meta") or {}).items() if n not in ("versionId", "lastUpdated")
        }
        bare = {name: value for name, value in resource.items() if name not in ("meta", "error")}
        return self._reader.connection.update({**bare, **({"meta": meta} if meta else {})})

    def _noted(self, type_: str, answer: Answer, *, renewed: bool) -> Answer:
        identity = theirs.identity(answer.body)
        status = answer.body.get("status") if answer.taken else "error"
        self._note(type_, identity[1] if identity else None, str(status), answer, renewed=renewed)
        return answer

    def _note(
        self, type_: str, id: str | None, status: str, answer: Answer, *, renewed: bool = False
    ) -> None:
        with self._reader.database.transaction() as tx:
            hospital_subscriptions.note(
                tx,
                type_,
                id=id,
                status=status if outgoing.ID.fullmatch(status) else "",
                answer=answer.kind,
                said=answer.said,
                renewed=renewed,
                tenant=self._reader.tenant,
                server=self._reader.server,
            )


def _endpoint(subscription: Json) -> str | None:
    channel = subscription.get("channel")
    endpoint = channel.get("endpoint") if isinstance(channel, Mapping) else None
    return endpoint if isinstance(endpoint, str) else None


def _question(subscription: Json) -> tuple[Any, ...]:
    """Return what has to be as we asked for it."""
    channel = subscription.get("channel") or {}
    return (subscription.get("criteria"), *(channel.get(name) for name in ("type", "endpoint", "payload")))


def _moment(text: str) -> datetime | None:
    return theirs.time({"meta": {"lastUpdated": text}})
