"""The few invariants of R4 that matter here and that a schema cannot say; for resources of valid shape.

Those that a schema can say (qty-3, ext-1, per-1 ...) are in the schemas.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from fhir_profiles.faults import Fault

_REQUESTED = ("transaction", "batch", "history")


def check(resource: dict[str, Any], kind: str) -> Iterator[Fault]:
    """Yield the invariants that the resource breaks."""
    yield from _contained(resource, kind)
    if kind in _CHECKS:
        yield from _CHECKS[kind](resource)


def _contained(resource: dict[str, Any], kind: str) -> Iterator[Fault]:
    for at, inner in enumerate(resource.get("contained", ())):
        expression = f"{kind}.contained[{at}]"
        if "contained" in inner:
            yield _fault(f"{expression}.contained", "a contained resource contains no other (dom-2)")
        meta = inner.get("meta", {})
        for name in ("versionId", "lastUpdated", "security"):
            if isinstance(meta, dict) and name in meta:
                yield _fault(
                    f"{expression}.meta.{name}", f"a contained resource has no {name} (dom-4, dom-5)"
                )


def _observation(resource: dict[str, Any]) -> Iterator[Fault]:
    value = next((name for name in resource if name.startswith("value")), None)
    if value is None:
        return
    if "dataAbsentReason" in resource:
        yield _fault("Observation.dataAbsentReason", "a value is given, so none is absent (obs-6)")
    own = _codes(resource["code"])
    if any(own & _codes(component["code"]) for component in resource.get("component", ())):
        yield _fault(f"Observation.{value}", "a component with the same code carries the value (obs-7)")


def _codes(concept: dict[str, Any]) -> set[tuple[str, str]]:
    codings = concept.get("coding", ())
    return {(coding.get("system", ""), coding["code"]) for coding in codings if "code" in coding}


def _bundle(resource: dict[str, Any]) -> Iterator[Fault]:
    kind, entries = resource.get("type"), resource.get("entry", ())
    if "total" in resource and kind not in ("searchset", "history"):
        yield _fault("Bundle.total", "only a search or a history has a total (bdl-1)")
    urls: Counter[tuple[str, str]] = Counter()
    for at, entry in enumerate(entries):
        expression = f"Bundle.entry[{at}]"
        if ("request" in entry) != (kind in _REQUESTED):
            asked = "is required" if kind in _REQUESTED else "is not allowed"
            yield _fault(f"{expression}.request", f"request {asked} in this type of Bundle (bdl-3)")
        if not {"resource", "request", "response"} & entry.keys():
            yield _fault(expression, "an entry holds a resource, a request or a response (bdl-5)")
        if "fullUrl" in entry and kind != "history":
            version = entry.get("resource", {}).get("meta", {}).get("versionId", "")
            urls[key := (entry["fullUrl"], version)] += 1
            if urls[key] == 2:
                yield _fault(f"{expression}.fullUrl", "fullUrl is unique within a Bundle (bdl-7)")


def _fault(expression: str, text: str) -> Fault:
    return Fault(expression=expression, code="invariant", text=text)


_CHECKS: dict[str, Callable[[dict[str, Any]], Iterator[Fault]]] = {
    "Bundle": _bundle,
    "Observation": _observation,
}
