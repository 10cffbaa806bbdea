"""Requests beside FHIR: CDS Hooks, pages, forms, the control of a sandbox, and what nobody would send."""

from typing import Any
from urllib.parse import quote

from fuzz import searches, spoiling
from fuzz.grammar import TEXT, about
from fuzz.making import FHIR, FORM, JSON, PATCH, Asked, Making, quoted, url

_CARD = "4e0a3a1e-3283-4575-ab82-028d55fe2719"
_PAGES = (
    *("/", "/closed", "/worklist.csv", "/patients", "/inbox", "/inbox/codes", "/audit", "/operations"),
    *(
        "/operations/bundles",
        "/pathways/gluteus-medius-tear",
        "/acting",
        "/live",
        "/keys",
        "/sandbox",
        "/sign-in",
    ),
    *(
        "/inbox/codes/mapping",
        "/pathways/gluteus-medius-tear/values/pain.persistMin",
        "/api",
        "/api/fhir.search",
    ),
    *("/openapi.json", "/cds-services", "/health/ready", "/health/live"),
)
_FORMS = (
    *("/language", "/acting", "/patients", "/views", "/covers", "/inbox/codes/mapping", "/operations/retry"),
    *("/operations/deliveries", "/tasks/f-1/take", "/careplans/f-1/decisions", "/inbox/f-1/decisions"),
    *("/sandbox/bundle", "/sandbox/clock/to", "/views/1/rename", "/sign-out"),
)
_FIELDS = (
    *("view", "need", "stage", "side", "page", "patient", "action", "day", "who", "value", "type", "element"),
    *("system", "code", "meaning", "entries", "only", "back", "plan", "version", "retried", "owner", "rows"),
)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", TEXT.upper())


def cds(making: Making) -> Asked:
    """Call a service of CDS Hooks, or tell what became of its cards."""
    service = making.chance.choice(("hipway-patient-view", "hipway-order-sign", TEXT))
    path, body = f"/cds-services/{service}", _call(making, service)
    if making.chance.random() < 0.3:
        path, body = f"{path}/feedback", _feedback(making)
    written = making.written(making.maybe_spoilt(body))
    return Asked(method="POST", url=path, headers={"Content-Type": JSON}, body=written)


def page(making: Making) -> Asked:
    """Open a page with whatever it may be asked, or send a form that no page has made."""
    chance = making.chance
    query = [(chance.choice(_FIELDS), spoiling.word(chance)) for _ in range(chance.randrange(3))]
    if chance.random() < 0.2:
        fields = [*query, ("token", spoiling.word(chance)), ("family", TEXT), ("bundle", TEXT), ("to", TEXT)]
        body = quoted(fields).encode()
        return Asked(method="POST", url=chance.choice(_FORMS), headers={"Content-Type": FORM}, body=body)
    return Asked(method="GET", url=url(chance.choice((*making.known.get("page", ()), *_PAGES)), query))


def control(making: Making) -> Asked:
    """Ask the control of a sandbox for what it refuses: nothing here sets the clock or removes anything."""
    chance = making.chance
    path, body = chance.choice(
        (
            ("evaluate", {"patient": TEXT}),
            ("parameters", {TEXT: 1}),
            ("parameters", {"pain.persistMin": 99999}),
            ("clock", {"now": TEXT}),
            ("clock", {"now": "2026-01-01"}),
        )
    )
    sent: Any = spoiling.spoil(body, chance) if chance.random() < 0.3 else body
    if isinstance(sent, dict) and path != "evaluate":
        sent = {**sent, TEXT: TEXT}
    method = "POST" if path == "evaluate" else chance.choice(("PUT", "GET"))
    written = making.written(sent)
    return Asked(method=method, url=f"/sandbox/{path}", headers={"Content-Type": JSON}, body=written)


def anything(making: Making) -> Asked:
    """Send what nobody would send."""
    chance = making.chance
    method = chance.choice(_METHODS)
    base = chance.choice(("/fhir", "/fhir", "/fhir", "", "/cds-services", "/api", "/careplans"))
    path = "/".join([base, *(_part(making) for _ in range(chance.randrange(5)))]) or "/"
    query = [(spoiling.word(chance), spoiling.word(chance))] if chance.random() < 0.5 else []
    if method in ("GET", "HEAD", "TRACE"):
        return Asked(method=method, url=url(path, query))
    media = chance.choice((FHIR, PATCH, FORM, "application/fhir+xml", ""))
    body = making.written({"resourceType": "Patient", "id": "f-1"})
    return Asked(method=method, url=url(path, query), headers={"Content-Type": media}, body=body)


def _part(making: Making) -> str:
    odd = quote(spoiling.word(making.chance), errors="surrogatepass")
    type_ = searches.type_(making.chance)
    usual = (type_, "f-1", "_history", "_search", "$validate")
    return making.chance.choice((odd, *usual, f"${TEXT}", "..", "%00", "%ff", ""))


def _call(making: Making, service: str) -> Any:
    it = making.it
    patient = it.resource("Patient", id="f-1")
    found = [{"resource": about(it.resource("Observation", id=it.id()), "f-1")}]
    orders = [{"resource": about(it.resource("ServiceRequest", id=it.id()), "f-1")}]
    return {
        "hook": service.removeprefix("hipway-"),
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {
            "userId": "Practitioner/f-1",
            "patientId": "f-1",
            "draftOrders": {"resourceType": "Bundle", "entry": orders},
        },
        "prefetch": {
            "patient": patient,
            "observations": {"resourceType": "Bundle", "type": "searchset", "entry": found},
            "procedures": None,
            "reports": None,
        },
    }


def _feedback(making: Making) -> Any:
    reason = {"code": TEXT, "system": f"https://{TEXT}.example"}
    card = {
        "card": _CARD,
        "outcome": making.chance.choice(("accepted", "overridden")),
        "outcomeTimestamp": "2026-01-05T08:40:00Z",
        "acceptedSuggestions": [{"id": _CARD}],
        "overrideReason": {"reason": reason, "userComment": TEXT},
    }
    return {"feedback": [card]}
