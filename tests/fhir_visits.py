"""Small valid resources and the Bundles that carry them, for tests of the intake."""

from typing import Any

from fhir_profiles import canonical

Json = dict[str, Any]

#: beside an element without a value, as `_status`: R4 allows it of every primitive, required or not
UNSAID = {"extension": [{"url": "urn:x:unknown", "valueCode": "unknown"}]}

MRN = "https://hospital.example.org/mrn"
LOCAL = "https://hospital.example.org/codes"
STANDARD = "http://loinc.org"
CODES = "https://w3id.org/hipway/CodeSystem/"
URN = "urn:uuid:00000000-0000-4000-8000-{:012d}"


def patient(id_: str | None = None, *, mrn: str | None = None, **more: Any) -> Json:
    identifier = [{"system": MRN, "value": mrn}] if mrn else None
    return _with("Patient", id_, identifier=identifier, **more)


def practitioner(id_: str = "dr", **more: Any) -> Json:
    return _with("Practitioner", id_, name=[{"family": "Berg"}], **more)


def observation(id_: str | None, of: str, **more: Any) -> Json:
    """An Observation about the reference `of`."""
    content = {
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "72514-3"}]},
        "subject": {"reference": of},
        "effectiveDateTime": "2026-01-05T08:40:00Z",
        "valueInteger": 6,
    }
    if any(name.startswith("value") for name in more):
        del content["valueInteger"]
    return _with("Observation", id_, **{**content, **more})


def encounter(of: str, *, id_: str | None = None, status: str = "finished") -> Json:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return _with("Encounter", id_, status=status, subject={"reference": of}, **{"class": kind})


def decision(of: str, focus: str, **more: Any) -> Json:
    coding = {"system": "https://w3id.org/hipway/CodeSystem/clinician-decision", "code": "sign"}
    return _with(
        "Task",
        None,
        status="completed",
        intent="order",
        code={"coding": [coding]},
        focus={"reference": focus},
        **{"for": {"reference": of}},
        **more,
    )


def bundle(*entries: Json) -> Json:
    """A transaction of entries made by the functions below."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def unusable(id_: str) -> Json:
    """A visit of which nothing can be used: no side, two sides, a value, a unit and a time that cannot be."""
    of = f"Patient/{id_}"
    right, left = (
        {"coding": [{"system": f"{CODES}gluteus-medius-pathway", "code": f"hip-{side}"}]}
        for side in ("right", "left")
    )
    pain = {"bodySite": right, "effectiveDateTime": "2026-06-21T08:40:00Z"}
    grade = {"coding": [{"system": f"{CODES}gluteus-medius-pathway", "code": "hip-abduction-strength-mmt"}]}
    laterality = {
        "url": "http://hl7.org/fhir/StructureDefinition/observation-structureLaterality",
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "24028007"}]},
    }
    kilograms = {"value": 6, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    return bundle(
        put(patient(id_, mrn=id_.upper(), name=[{"family": "Rossi", "given": ["Lucia"]}], gender="female")),
        put(observation(f"{id_}-sideless", of, code=grade, valueInteger=2, effectiveDateTime="2026-06-21")),
        put(observation(f"{id_}-two", of, **pain | {"bodySite": left | {"extension": [laterality]}})),
        put(observation(f"{id_}-value", of, valueInteger=65, **pain)),
        put(observation(f"{id_}-unit", of, valueQuantity=kilograms, **pain)),
        put(observation(f"{id_}-words", of, valueString="a lot", **pain)),
        put(observation(f"{id_}-time", of, bodySite=right, effectiveDateTime="2026-06")),
        put(observation(f"{id_}-future", of, bodySite=right, effectiveDateTime="2031-01-01")),
        put(observation(f"{id_}-local", of, code={"coding": [{"system": LOCAL, "code": "PT-1"}]}, **pain)),
    )


def put(resource: Json, *, full_url: str | None = None) -> Json:
    return _entry(resource, "PUT", f"{resource['resourceType']}/{resource['id']}", full_url)


def put_by(resource: Json, identifier: str, *, full_url: str | None = None) -> Json:
    """PUT by `system|value`."""
    return _entry(resource, "PUT", f"{resource['resourceType']}?identifier={identifier}", full_url)


def post(resource: Json, *, unless: str | None = None, full_url: str | None = None) -> Json:
    """POST, unless one with the identifier `system|value` is there."""
    entry = _entry(resource, "POST", resource["resourceType"], full_url)
    if unless:
        entry["request"]["ifNoneExist"] = f"identifier={unless}"
    return entry


def visit(id_: str, *, value: int = 6) -> Json:
    """The visit of patient `id_` with one finding."""
    of = f"Patient/{id_}"
    return bundle(put(patient(id_)), put(observation(f"{id_}-1", of, valueInteger=value)))


def concept_map(*pairs: tuple[str, str], equivalence: str = "equivalent", **more: Any) -> Json:
    """Return a map of local codes to standard ones."""
    elements = [
        {"code": local, "target": [{"code": code, "display": code.title(), "equivalence": equivalence}]}
        for local, code in pairs
    ]
    group = {"source": LOCAL, "target": STANDARD, "element": elements}
    return {"resourceType": "ConceptMap", "id": "map", "status": "active", "group": [group], **more}


def concept(code: str) -> Json:
    """Return a concept of the local code system."""
    return {"coding": [{"system": LOCAL, "code": code}]}


def translated(code: str, to: str) -> Json:
    """Return the concept with the translation that `concept_map` gives it."""
    mark = {"url": canonical.TRANSLATION_OF, "valueCoding": {"system": LOCAL, "code": code}}
    target = {"system": STANDARD, "code": to, "display": to.title(), "extension": [mark]}
    return {"coding": [{"system": LOCAL, "code": code}, target]}


#: what `local` means by its code
TENDERNESS = f"{CODES}gluteus-medius-pathway|greater-trochanter-tenderness"


def local(who: str) -> Json:
    """A finding in a code of the hospital that nobody has mapped."""
    side = {"coding": [{"system": f"{CODES}gluteus-medius-pathway", "code": "hip-left"}]}
    code = {**concept("GTTEND"), "text": "GT tenderness left"}
    found = observation(f"{who}-local", f"Patient/{who}", code=code, bodySite=side, valueBoolean=True)
    return bundle(put(found))


def asked_about(meaning: str = "") -> dict[str, str]:
    """Return the parameters of the page about the code of `local`."""
    asked = {"type": "Observation", "element": "code", "system": LOCAL, "code": "GTTEND"}
    return {**asked, **({"meaning": meaning} if meaning else {})}


def _with(type_: str, id_: str | None, **content: Any) -> Json:
    head = {"resourceType": type_, **({"id": id_} if id_ else {})}
    return {**head, **{name: value for name, value in content.items() if value is not None}}


def _entry(resource: Json, method: str, url: str, full_url: str | None) -> Json:
    entry: Json = {"resource": resource, "request": {"method": method, "url": url}}
    return {"fullUrl": full_url, **entry} if full_url else entry
