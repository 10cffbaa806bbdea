"""FHIR create, read, update, delete and search of Subscriptions, which are kept apart from the record.

Whoever may read may subscribe: nothing of the record changes by it.

http://hl7.org/fhir/R4/subscription.html
http://hl7.org/fhir/uv/subscriptions-backport/components.html#subscriptions
"""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Response, current_app, request
from sqlalchemy import Connection

from fhir_profiles import reading
from service import log
from service.auth import calling
from service.fhir import (
    blueprint,
    conditional,
    entries,
    idempotency,
    intake,
    media_types,
    paging,
    placing,
    subscribing,
    subset,
)
from service.fhir.blueprint import TENANT, fhir, needs
from service.fhir.idempotency import Once
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import DEFAULT_COUNT, MOST_COUNT, number
from service.fhir.subscribing import TYPE
from service.settings import Settings
from service.store import idempotency_keys, subscriptions
from service.store.senders import READ
from service.store.subscriptions import Subscription
from service.subscriptions.terms import Rules

#: they shape the answer, or how it is written, and select nothing
SHAPING = ("_count", "_page")
PASSED = ("_format", "_pretty")


@fhir.post("/Subscription")
@needs(READ)
def create_subscription() -> Response:
    """Store a new Subscription; the handshake follows."""
    if conditional.of_create(request.headers.get(conditional.HEADER), request.query_string) is not None:
        text = "a Subscription is not created conditionally; send an Idempotency-Key"
        raise NotExchanged(Issue(code="not-supported", text=text))
    key = intake.key_of_request()
    with intake.admitted() as body:
        once = Once(key=key, digest=idempotency.digest_of(request, body)) if key is not None else None
        sent = subscribing.read(reading.read(body), _rules())
        id_ = placing.new_id()
        secret = secrets.token_urlsafe(48)

        def store(tx: Connection) -> Response:
            if once and (kept := idempotency_keys.hold(tx, once.key, tenant=TENANT)):
                return idempotency.replayed(kept, once)
            response = _written(subscribing.create(tx, id_, _caller(), sent, secret, tenant=TENANT), 201)
            if once:
                idempotency_keys.keep(tx, once.key, idempotency.kept(response, once), tenant=TENANT)
            return response

        response = blueprint.database().run(store)
    _log("subscription_sent", response)
    return response


@fhir.get("/Subscription/<id_>")
def read_subscription(id_: str) -> Response:
    """Return a Subscription of whoever asks."""
    shape = subset.read(request.args.items(multi=True), of_search=False)
    subset.check(TYPE, shape)
    with blueprint.database().transaction() as tx:
        found = subscribing.found(tx, id_, _caller(), tenant=TENANT)
    return blueprint.conditional(
        _resource(found, subset.of(subscribing.rendered(found), shape)), found.version
    )


@fhir.put("/Subscription/<id_>")
@needs(READ)
def update_subscription(id_: str) -> Response:
    """Give a Subscription other terms, turn it off, or have it tried again."""
    if_version = entries.version_of(request.headers.get("If-Match"))
    with intake.admitted() as body:
        sent = subscribing.read(reading.read(body), _rules())
        stored = blueprint.database().run(
            lambda tx: subscribing.update(tx, id_, _caller(), sent, if_version=if_version, tenant=TENANT)
        )
    response = _written(stored, 200)
    _log("subscription_sent", response)
    return response


@fhir.delete("/Subscription/<id_>")
@needs(READ)
def delete_subscription(id_: str) -> Response:
    """Remove a Subscription and its events; one that is not there is as well removed."""
    if_version = entries.version_of(request.headers.get("If-Match"))

    def remove(tx: Connection) -> None:
        found = subscriptions.find(tx, id_, owner=_caller(), tenant=TENANT, lock=True)
        if found is not None:
            subscribing.check_version(found, if_version)
            subscriptions.remove(tx, found.key)

    blueprint.database().run(remove)
    log.get().info("subscription_removed", subscription=id_, by=_caller())
    response = blueprint.resource("", status=204)
    del response.headers["Content-Type"]
    return response


@fhir.get("/Subscription")
def search_subscriptions() -> Response:
    """Return a page of the Subscriptions of whoever asks."""
    return _search(media_types.search_parameters())


@fhir.post("/Subscription/_search")
@needs(READ)
def search_subscriptions_by_form() -> Response:
    """Return the same; the parameters stand in the body, where no log sees them."""
    return _search(media_types.search_parameters())


def _search(asked: Sequence[tuple[str, str]]) -> Response:
    given = [(name, value) for name, value in asked if name not in PASSED]
    criteria = [(name, value) for name, value in given if name not in SHAPING]
    if blueprint.lenient():
        criteria = [(name, value) for name, value in criteria if name in subscribing.PARAMETERS]
    shaping = dict(given)
    count = min(number("_count", shaping.get("_count", str(DEFAULT_COUNT))), MOST_COUNT)
    first = number("_page", shaping.get("_page", "0"))
    with blueprint.database().transaction() as tx:
        known = subscriptions.of_owner(tx, _caller(), tenant=TENANT)
    found = subscribing.matching(known, criteria)
    shown = found[first : first + count]
    links = [{"relation": "self", "url": _url([*criteria, ("_count", str(count))], first)}]
    if shown and first + count < len(found):
        links.append({"relation": "next", "url": _url([*criteria, ("_count", str(count))], first + count)})
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": links,
    }
    if shown:
        bundle["entry"] = [_entry(one) for one in shown]
    return blueprint.resource(reading.write(bundle).decode())


def _entry(one: Subscription) -> dict[str, Any]:
    return {
        "fullUrl": f"{blueprint.base()}{TYPE}/{one.id}",
        "resource": msgspec.Raw(subscribing.rendered(one).encode()),
        "search": {"mode": "match"},
    }


def _url(asked: Sequence[tuple[str, str]], first: int) -> str:
    return paging.url(f"{blueprint.base()}{TYPE}", [*asked, *([("_page", str(first))] if first else [])])


def _written(stored: Subscription, status: int) -> Response:
    text = "" if blueprint.preferred("return") == "minimal" else subscribing.rendered(stored)
    response = _resource(stored, text, status=status)
    response.headers["Location"] = f"{blueprint.base()}{TYPE}/{stored.id}"
    return response


def _log(event: str, response: Response) -> None:
    """Say who will be told from now on, by the ids alone."""
    subscription = response.headers["Location"].rpartition("/")[2]
    log.get().info(event, subscription=subscription, by=_caller(), status=response.status_code)


def _resource(stored: Subscription, text: str, *, status: int = 200) -> Response:
    response = blueprint.resource(text, status=status)
    response.headers["ETag"] = f'W/"{stored.version}"'
    response.last_modified = stored.changed_at.replace(microsecond=0)
    return response


def _rules() -> Rules:
    settings: Settings = current_app.extensions["hipway"].settings
    return Rules(tls_only=not settings.sandbox, networks=settings.subscribers_networks)


def _caller() -> str:
    return calling.caller().name
