"""What the service needs from the hospital's FHIR server, where one is set. Nobody's data are asked for."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from service.doctor.finding import Finding
from service.environment import InvalidSettings
from service.hospital.answers import SKEW_S, Answer, Kind
from service.hospital.connection import Connection
from service.hospital.settings import HOOK, LOOPBACK, PREFIX, Hospital
from service.settings import Settings
from service.web import words
from service.web.sources import answer as sentence

WHAT = "hospital's server"


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what was found; nothing where there is no such server."""
    hospital = settings.hospital
    if hospital is None:
        return
    try:
        connection = Connection(hospital)
    except InvalidSettings as error:
        yield Finding(what=WHAT, seen="cannot be asked", fix=str(error))
        return
    with connection:
        said = connection.capabilities()
        yield _answers(said)
        if said.taken and hospital.reads:
            yield _search(connection)
        if hospital.read == "subscription":
            yield from _calls(settings, hospital, said)


def _answers(said: Answer) -> Finding:
    if not said.taken:
        return Finding(what=WHAT, seen=f"no good answer ({said.kind})", fix=_what_to_do(said))
    if said.body.get("fhirVersion") not in ("4.0.0", "4.0.1"):
        return Finding(what=WHAT, seen="speaks another FHIR than R4", fix=f"set {PREFIX}URL to its R4 base")
    skew_s = said.skew_s or 0.0
    apart = f", its clock {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
    wrong = abs(skew_s) > SKEW_S
    return Finding(
        what=WHAT,
        seen=f"answers as FHIR R4{apart if wrong else ''}",
        advice="set both clocks by the same time service" if wrong else "",
    )


def _search(connection: Connection) -> Finding:
    """Look whether what is new can be asked for: only how many there are."""
    since = {"_lastUpdated": "ge2000-01-01T00:00:00Z", "_summary": "count"}
    said = connection.search("Observation", since)
    return Finding(
        what=f"{WHAT}, searches",
        seen="what is new can be asked for" if said.taken else f"no good answer ({said.kind})",
        fix="" if said.taken else _what_to_do(said),
    )


def _calls(settings: Settings, hospital: Hospital, said: Answer) -> Iterator[Finding]:
    what = f"{WHAT}, calls"
    if said.taken and "Subscription" not in _types(said.body):
        yield Finding(
            what=what,
            seen="it keeps no Subscriptions",
            fix=f"have them turned on there, or set {PREFIX}READ=poll",
        )
        return
    address = hospital.hook_url or f"{settings.base_url}{HOOK}"
    ours, theirs = urlsplit(address).hostname or "", urlsplit(hospital.url).hostname or ""
    if ours in LOOPBACK and theirs not in LOOPBACK:
        fix = f"name the address at which it reaches this service in {PREFIX}HOOK_URL"
        yield Finding(what=what, seen="another machine cannot call this one's loopback address", fix=fix)
        return
    plain = address.startswith("http://") and ours not in LOOPBACK
    yield Finding(
        what=what,
        seen=f"it is to call {address}",
        advice="use https: the secret of the calls crosses the network readable" if plain else "",
    )


def _types(capabilities: Mapping[str, Any]) -> set[str]:
    rest = capabilities.get("rest")
    return {
        str(resource.get("type"))
        for side in (rest if isinstance(rest, list) else ())
        if isinstance(side, Mapping) and isinstance(side.get("resource"), list)
        for resource in side["resource"]
        if isinstance(resource, Mapping)
    }


def _what_to_do(said: Answer) -> str:
    return sentence(Kind(said.kind), words.of("en"))
