"""What a Subscription asks for: read once, complete, or refused with everything that is wrong with it.

http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition-backport-subscription.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlsplit

from fhir_profiles import canonical, topics
from fhir_profiles.topics import Topic
from service.fhir.refusals import Issue, NotValid
from service.store import content, search_index
from service.subscriptions import addresses, backport, labels
from service.subscriptions.addresses import Networks
from service.subscriptions.labels import Filters, NotUnderstood

Json = Mapping[str, Any]

#: how a notification may be written
MEDIA_TYPE = "application/fhir+json"
#: the same, and of which release; nothing else is written
MEDIA_TYPES = re.compile(r"application/fhir\+json(\s*;\s*fhirVersion\s*=\s*4\.0)?", re.IGNORECASE)

#: events of one notification, by default and at most
MOST_EVENTS = 20
MOST_ASKED = 100
#: seconds that a subscriber has for its answer, by default and at most
TIMEOUT_S = 10
LONGEST_TIMEOUT_S = 30
#: a heartbeat more often than that tells nothing more
SHORTEST_HEARTBEAT_S = 10
LONGEST_HEARTBEAT_S = 7 * 24 * 3600
#: characters of the secret: the shortest has 192 bits in base64
SECRET = range(32, 257)
MOST_HEADERS = 20
LONGEST_URL = 2_000

_HEADER = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})\s*:\s*(?P<value>[\x21-\x7e]([\x20-\x7e]{0,4000}[\x21-\x7e])?)"
)
#: they belong to the request itself, or say that it is ours
RESERVED = re.compile(
    r"host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|accept-encoding|proxy-.*"
    r"|user-agent|x-hipway-.*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one Subscription asks for."""

    topic: Topic
    filters: Filters
    endpoint: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    #: one of `backport.CONTENTS`
    content: str
    timeout_s: int
    #: events of one notification
    most: int
    #: None: none is asked for
    heartbeat_s: int | None
    ends_at: datetime | None
    #: None: none was sent
    secret: str | None = field(repr=False)

    def asks_for_the_same_events_as(self, other: Self) -> bool:
        """Return whether both are told of the same events, however that is."""
        return (self.topic.name, frozenset(self.filters)) == (other.topic.name, frozenset(other.filters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an installation lets a Subscription name."""

    #: notifications are sent with TLS alone
    tls_only: bool
    #: addresses that are allowed besides the public ones
    networks: Networks = ()


def read(resource: Json, rules: Rules) -> Terms:
    """Return what a Subscription asks for that is valid R4.

    Raises:
        NotValid: with everything that is not offered or cannot be.
    """
    reader = _Reader(resource)
    found = reader.terms()
    reader.check_channel()
    reader.check_endpoint(rules)
    if reader.issues or found is None:
        raise NotValid(*reader.issues)
    return found


def stored(body: str) -> Terms:
    """Return what a Subscription that is stored asks for; it was found good when it came.

    A later release may have another version of its topic, which it then means. A filter that is no longer
    understood lets nothing through, rather than more than was asked for.
    """
    found = _Reader(content.read(body), any_version=True).terms()
    assert found is not None
    return found


class _Reader:
    """Reads one Subscription and collects what is wrong with it."""

    def __init__(self, resource: Json, *, any_version: bool = False) -> None:
        self.issues: list[Issue] = []
        self._resource = resource
        self._channel: Json = resource["channel"]
        # What R4 requires may be an extension alone, in `_criteria`.
        criteria = str(resource.get("criteria", ""))
        self._topic = topics.known(criteria.partition("|")[0] if any_version else criteria)

    def terms(self) -> Terms | None:
        """Return what it asks for; None: there is no such topic."""
        topic = self._topic
        if topic is None:
            known = ", ".join(each.url for each in topics.topics())
            self._wrong("criteria", f"criteria is the canonical URL of a topic: {known}", "not-supported")
            return None
        return Terms(
            topic=topic,
            filters=tuple(self._filters(topic)),
            endpoint=str(self._channel.get("endpoint", "")),
            headers=tuple(self._headers()),
            content=self._content(),
            timeout_s=self._number(backport.TIMEOUT, 1, LONGEST_TIMEOUT_S) or TIMEOUT_S,
            most=self._number(backport.MAX_COUNT, 1, MOST_ASKED) or MOST_EVENTS,
            heartbeat_s=self._number(backport.HEARTBEAT, SHORTEST_HEARTBEAT_S, LONGEST_HEARTBEAT_S),
            ends_at=self._end(),
            secret=self._secret(),
        )

    def check_channel(self) -> None:
        """Note what is wrong with the kind of the channel."""
        if self._resource.get("modifierExtension") or self._channel.get("modifierExtension"):
            self._wrong("modifierExtension", "no modifierExtension is understood here", "extension")
        custom = (self._channel.get("_type") or {}).get("extension", ())
        if self._channel.get("type") != "rest-hook" or _extensions(custom, backport.CHANNEL_TYPE):
            self._wrong("channel.type", "the channel is rest-hook, and no other", "not-supported")
        payload = self._channel.get("payload")
        if not isinstance(payload, str) or not MEDIA_TYPES.fullmatch(payload):
            self._wrong("channel.payload", f"the payload is {MEDIA_TYPE}, of FHIR 4.0", "not-supported")

    def check_endpoint(self, rules: Rules) -> None:
        """Note what is wrong with where notifications are to be sent."""
        if text := _wrong_endpoint(str(self._channel.get("endpoint", "")), rules):
            self._wrong("channel.endpoint", text)

    def _filters(self, topic: Topic) -> Iterator[frozenset[str]]:
        holder = (self._resource.get("_criteria") or {}).get("extension", ())
        for extension in _extensions(holder, backport.FILTER):
            try:
                yield from labels.read(str(extension.get("valueString", "")), topic)
            except NotUnderstood as error:
                self._wrong("criteria.extension", str(error), "not-supported")
                yield frozenset()

    def _headers(self) -> Iterator[tuple[str, str]]:
        given = self._channel.get("header", ())
        if len(given) > MOST_HEADERS:
            self._wrong("channel.header", f"a channel has at most {MOST_HEADERS} headers", "too-costly")
        for at, line in enumerate(given):
            match = _HEADER.fullmatch(str(line))
            if match is None or RESERVED.fullmatch(match["name"]):
                text = "a header is written Name: value, and is none that belongs to the request itself"
                self._wrong(f"channel.header[{at}]", text)
            else:
                yield match["name"], match["value"]

    def _content(self) -> str:
        holder = (self._channel.get("_payload") or {}).get("extension", ())
        found = [str(each.get("valueCode")) for each in _extensions(holder, backport.CONTENT)]
        if len(found) != 1 or found[0] not in backport.CONTENTS:
            text = f"the extension backport-payload-content is one of {', '.join(backport.CONTENTS)}"
            self._wrong("channel.payload.extension", text)
            return backport.EMPTY
        return found[0]

    def _number(self, url: str, low: int, high: int) -> int | None:
        found = _extensions(self._channel.get("extension", ()), url)
        if not found:
            return None
        given = [
            value
            for each in found
            for name, value in each.items()
            if name in ("valueUnsignedInt", "valuePositiveInt", "valueInteger")
        ]
        if len(found) == 1 and len(given) == 1 and low <= given[0] <= high:
            return int(given[0])
        name = url.rpartition("/")[2]
        self._wrong("channel.extension", f"{name} is given once, a whole number from {low} to {high}")
        return None

    def _end(self) -> datetime | None:
        if "end" not in self._resource:
            return None
        found = search_index.instants(str(self._resource["end"]))
        if found is None:
            self._wrong("end", "end is an instant")
            return None
        return found[0]

    def _secret(self) -> str | None:
        found = _extensions(self._channel.get("extension", ()), canonical.SUBSCRIPTION_SECRET)
        if not found:
            return None
        given = found[0].get("valueString")
        if len(found) == 1 and isinstance(given, str) and len(given) in SECRET and given.isascii():
            return given
        text = f"the secret is one string of {SECRET[0]} to {SECRET[-1]} ASCII characters"
        self._wrong("channel.extension", text)
        return None

    def _wrong(self, element: str, text: str, code: str = "value") -> None:
        self.issues.append(Issue(code=code, text=text, expression=f"Subscription.{element}"))


def _wrong_endpoint(endpoint: str, rules: Rules) -> str:
    """Return what is wrong with an endpoint; empty: nothing that can be seen without asking for its name."""
    schemes = ("https",) if rules.tls_only else ("https", "http")
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint or len(endpoint) > LONGEST_URL:
        return f"the endpoint is a URL of at most {LONGEST_URL} characters of ASCII"
    if parts.scheme not in schemes or not host:
        return f"the endpoint is a URL that begins with {' or '.join(f'{s}://' for s in schemes)}"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "the endpoint has no user, password or fragment; send credentials in channel.header"
    address = addresses.literal(host)
    if addresses.is_odd_number(host) or (
        address is not None and not addresses.may_be_sent_to(address, rules.networks)
    ):
        return "nothing is sent to this address; name a public one, or have it allowed here"
    return ""


def _extensions(holder: Sequence[Json], url: str) -> list[Json]:
    return [each for each in holder if each.get("url") == url]


def without_secret(resource: Json) -> dict[str, Any]:
    """Return the Subscription as it is stored and shown: its secret is in neither."""
    channel = dict(resource["channel"])
    kept = [e for e in channel.get("extension", ()) if e.get("url") != canonical.SUBSCRIPTION_SECRET]
    channel.pop("extension", None)
    return {**resource, "channel": {**channel, **({"extension": kept} if kept else {})}}
