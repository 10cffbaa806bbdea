"""The operations `Subscription/$status` and `Subscription/[id]/$events`.

http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-status.html
http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-events.html
OperationDefinitions: fhir_profiles/definitions/OperationDefinition-Subscription-status.json, -events.json
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from flask import Response

from fhir_profiles import reading
from service import accessed
from service.auth import calling
from service.fhir import blueprint, operations, paging, subscribing
from service.fhir.blueprint import TENANT, fhir, needs
from service.fhir.operations import Given
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import number
from service.store import subscriptions
from service.store.senders import READ
from service.store.subscriptions import Subscription
from service.subscriptions import answers, backport, delivering, notification, terms
from service.subscriptions.notification import QUERY_EVENT, Standing

OF_STATUS = ("id", "status")
OF_EVENTS = ("eventsSinceNumber", "eventsUntilNumber", "content")


@fhir.get("/Subscription/$status")
@fhir.post("/Subscription/$status")
@needs(READ)
def status_of_subscriptions() -> Response:
    """Return the status of the Subscriptions of whoever asks, of all or of those that are named."""
    given = operations.given(OF_STATUS)
    ids, statuses = (
        {value for text in given.texts.get(n, ()) for value in text.split(",")} for n in OF_STATUS
    )
    with blueprint.database().transaction() as tx:
        known = subscriptions.of_owner(tx, calling.caller().name, tenant=TENANT)
    found = [one for one in known if one.id in (ids or {one.id}) and one.status in (statuses or {one.status})]
    asked = [(name, text) for name in OF_STATUS for text in given.texts.get(name, ())]
    return _statuses(found, paging.url(f"{blueprint.base()}Subscription/$status", asked))


@fhir.get("/Subscription/<id_>/$status")
@fhir.post("/Subscription/<id_>/$status")
@needs(READ)
def status_of_subscription(id_: str) -> Response:
    """Return the status of one Subscription."""
    operations.given(OF_STATUS)
    return _statuses([_found(id_)], f"{blueprint.base()}Subscription/{id_}/$status")


@fhir.get("/Subscription/<id_>/$events")
@fhir.post("/Subscription/<id_>/$events")
@needs(READ)
def events_of_subscription(id_: str) -> Response:
    """Return events by their numbers, as a notification would tell them; at most 100, the first."""
    given = operations.given(OF_EVENTS)
    since, until = _number(given, "eventsSinceNumber"), _number(given, "eventsUntilNumber")
    wanted = given.text("content")
    if wanted not in (None, *backport.CONTENTS):
        text = f"content is one of {', '.join(backport.CONTENTS)}"
        raise NotExchanged(Issue(code="code-invalid", text=text))
    with blueprint.database().transaction("REPEATABLE READ") as tx:
        one = subscribing.found(tx, id_, calling.caller().name, tenant=TENANT)
        level = wanted or terms.stored(one.body).content
        found = subscriptions.events(tx, one.key, after=(since or 1) - 1, until=until, limit=terms.MOST_ASKED)
        bodies = delivering.bodies(tx, found, tenant=TENANT) if level == backport.FULL_RESOURCE else None
    if level != backport.EMPTY:
        accessed.note((event.patient for event in found), f"Subscription/{id_}")
    bundle = notification.bundle(
        _standing(one),
        QUERY_EVENT,
        id=uuid4(),
        now=datetime.now(UTC),
        content_level=level,
        base=blueprint.base(),
        events=found,
        bodies=bodies,
    )
    return blueprint.resource(reading.write(bundle).decode())


def _statuses(found: Sequence[Subscription], self_url: str) -> Response:
    told = [(_standing(one), terms.stored(one.body).content) for one in found]
    bundle = notification.searchset(
        told, base=blueprint.base(), self_url=self_url, ids=[uuid4() for _ in told]
    )
    return blueprint.resource(reading.write(bundle).decode())


def _found(id_: str) -> Subscription:
    with blueprint.database().transaction() as tx:
        return subscribing.found(tx, id_, calling.caller().name, tenant=TENANT)


def _standing(one: Subscription) -> Standing:
    return Standing(
        id=one.id,
        status=one.status,
        topic=terms.stored(one.body).topic.name,
        numbered=one.numbered,
        error=answers.sentence(one.status, one.answer),
    )


def _number(given: Given, name: str) -> int | None:
    text = given.text(name)
    return None if text is None else number(name, text)
