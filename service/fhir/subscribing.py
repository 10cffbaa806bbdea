"""Subscriptions as the FHIR interface writes and reads them: each sender's own, and nobody else's.

They are no part of the record: they have no history, and no Bundle, history of everything or export holds
them, because the addresses, headers and secrets in them are their sender's alone.

http://hl7.org/fhir/R4/subscription.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from fhir_profiles import gate
from service.fhir.refusals import Issue, NotExchanged, NotFound, NotValid, OutOfDate
from service.store import content, subscriptions
from service.store.subscriptions import ACTIVE, OFF, REQUESTED, New, Subscription
from service.subscriptions import answers, terms
from service.subscriptions.terms import Rules, Terms

Json = Mapping[str, Any]

TYPE = "Subscription"
#: of one sender: more would be a fault of a program rather than a wish of a person
MOST = 100

#: characters of one as it is stored: it is read again with each event
LONGEST = 50_000

#: what a sender may want: whoever writes active gets it when a handshake was taken, and requested until then
WANTED = (REQUESTED, ACTIVE, OFF)

#: what is set here, and stands in columns of its own
_OURS = ("id", "status", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A Subscription as it was sent, found good."""

    #: as it is stored
    body: Json
    terms: Terms
    #: the status that its sender wants
    status: str
    id: str | None

    def new(self, status: str, secret: str | None) -> New:
        """Return what is to be stored."""
        return New(
            body=content.write(self.body),
            topic=self.terms.topic.name,
            status=status,
            ends_at=self.terms.ends_at,
            heartbeat_s=self.terms.heartbeat_s,
            secret=secret,
        )


def read(resource: dict[str, Any], rules: Rules) -> Sent:
    """Return the Subscription that was sent.

    Raises:
        NotValid: it is not valid R4, or asks for what is not offered.
    """
    if faults := gate.check(resource):
        raise NotValid(*(Issue(code=f.code, text=f.text, expression=f.expression) for f in faults))
    if resource["resourceType"] != TYPE:
        raise NotExchanged(
            Issue(code="invalid", text=f"the resource is no {TYPE}", expression="Resource.resourceType")
        )
    asked = terms.read(resource, rules)
    stored = terms.without_secret(content.unstamped(resource))
    body = {name: value for name, value in stored.items() if name not in _OURS}
    if len(content.write(body)) > LONGEST:
        text = f"a Subscription is at most {LONGEST} characters long"
        raise NotValid(Issue(code="too-long", text=text, expression=TYPE))
    return Sent(
        body=body,
        terms=asked,
        status=str(resource.get("status", "")),
        id=resource.get("id"),
    )


def create(tx: Connection, id: str, owner: str, sent: Sent, secret: str, *, tenant: int) -> Subscription:
    """Store a new Subscription and return it.

    Args:
        secret: that signs what is sent where its sender has named none.

    Raises:
        NotValid: its status is none that it can have now, or its sender has too many.
    """
    if sent.status not in WANTED:
        text = "a new Subscription has the status requested, or off; active it is after the handshake"
        raise NotValid(Issue(code="value", text=text, expression=f"{TYPE}.status"))
    if len(subscriptions.of_owner(tx, owner, tenant=tenant)) >= MOST:
        text = f"a sender has at most {MOST} Subscriptions; remove one that is not needed"
        raise NotValid(Issue(code="too-costly", text=text, expression=TYPE))
    status = OFF if sent.status == OFF else REQUESTED
    subscriptions.add(tx, id, owner, sent.new(status, sent.terms.secret or secret), tenant=tenant)
    return found(tx, id, owner, tenant=tenant)


def update(
    tx: Connection, id: str, owner: str, sent: Sent, *, if_version: int | None, tenant: int
) -> Subscription:
    """Give a Subscription other terms and return it; one that is sent as it stands stays as it is.

    Anything else but `off` asks for it anew: a handshake shows that somebody listens. With another topic or
    other filters it begins with what happens from now on, and its numbers go on: what waited is not asked for
    any more, and would be told as an event of the other topic.

    Raises:
        NotFound, OutOfDate, NotValid: nothing is changed.
    """
    before = subscriptions.find(tx, id, owner=owner, tenant=tenant, lock=True)
    if before is None:
        raise _not_found()
    if sent.id != id:
        text = "the id of the resource is not the one in the url"
        raise NotValid(Issue(code="invalid", text=text, expression=f"{TYPE}.id"))
    check_version(before, if_version)
    if sent.status not in (*WANTED, before.status):
        text = "the status is requested, to have it tried, off, or the one it has"
        raise NotValid(Issue(code="value", text=text, expression=f"{TYPE}.status"))
    same = content.digest(content.read(before.body)) == content.digest(sent.body)
    secret = sent.terms.secret
    known = secret is None or subscriptions.signs_with(tx, before.key, secret)
    if same and known and sent.status == before.status:
        return before
    status = OFF if sent.status == OFF else REQUESTED
    same_events = terms.stored(before.body).asks_for_the_same_events_as(sent.terms)
    subscriptions.change(tx, before.key, sent.new(status, secret), same_events=same_events)
    return found(tx, id, owner, tenant=tenant)


def found(tx: Connection, id: str, owner: str, *, tenant: int) -> Subscription:
    """Return a Subscription of its sender.

    Raises:
        NotFound: there is none, or it is another's, which looks the same.
    """
    subscription = subscriptions.find(tx, id, owner=owner, tenant=tenant)
    if subscription is None:
        raise _not_found()
    return subscription


def check_version(subscription: Subscription, if_version: int | None) -> None:
    """Refuse what was sent over another version.

    Raises:
        OutOfDate: the Subscription has another version.
    """
    if if_version is not None and subscription.version != if_version:
        text = f"{TYPE}/{subscription.id} has another version than the one named"
        raise OutOfDate(Issue(code="conflict", text=text))


def rendered(subscription: Subscription) -> str:
    """Return a Subscription as JSON."""
    body = content.read(subscription.body)
    said = answers.sentence(subscription.status, subscription.answer)
    whole = {**body, "status": subscription.status, **({"error": said} if said else {})}
    return content.stamped(
        whole, id_=subscription.id, version=subscription.version, received=subscription.changed_at
    )


def matching(known: Sequence[Subscription], criteria: Sequence[tuple[str, str]]) -> list[Subscription]:
    """Return those that fulfil all criteria, each of which may name several values.

    Raises:
        NotExchanged: a parameter is not known.
    """
    for name, _ in criteria:
        if name not in PARAMETERS:
            text = f"{TYPE} is searched by {', '.join(sorted(PARAMETERS))}"
            raise NotExchanged(Issue(code="not-supported", text=text))
    return [one for one in known if all(_fulfils(one, name, value) for name, value in criteria)]


#: how a Subscription is found: http://hl7.org/fhir/R4/subscription.html#search
PARAMETERS: Mapping[str, str] = {
    "_id": "token",
    "criteria": "string",
    "payload": "token",
    "status": "token",
    "type": "token",
    "url": "uri",
}


def _fulfils(subscription: Subscription, name: str, values: str) -> bool:
    body = content.read(subscription.body)
    alternatives = values.split(",")
    match name:
        case "_id":
            return subscription.id in alternatives
        case "criteria":
            return any(str(body["criteria"]).lower().startswith(value.lower()) for value in alternatives)
        case "url":
            return body["channel"].get("endpoint") in alternatives
        case "status":
            return _is_code(subscription.status, alternatives)
        case "type":
            return _is_code(body["channel"]["type"], alternatives)
        case _:
            return body["channel"].get("payload") in alternatives


def _is_code(code: str, alternatives: Sequence[str]) -> bool:
    """Return whether a code is one of those asked for, each with its system or without."""
    return any(value.rpartition("|")[2] == code for value in alternatives)


def _not_found() -> NotFound:
    return NotFound(Issue(code="not-found", text="you have no such Subscription"))
