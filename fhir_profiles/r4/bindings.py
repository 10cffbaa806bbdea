"""Required bindings: the codes of a value set, as a JSON Schema.

https://hl7.org/fhir/R4/terminologies.html#required
"""

from collections.abc import Iterator

from fhir_profiles.r4.primitives import Schema
from fhir_profiles.r4.published import Published

# Systems kept by others, whose codes HL7 does not publish; their form is all that is checked.
_FORMS: dict[str, Schema] = {
    "http://hl7.org/fhir/ValueSet/currencies": {
        "type": "string",
        "pattern": "^[A-Z]{3}$",
        "title": "a currency code of ISO 4217",
    },
}
_UNLISTED = {
    "http://hl7.org/fhir/ValueSet/mimetypes",
    "http://hl7.org/fhir/ValueSet/ucum-units",
    # a list of LOINC answers that HL7's definitions name and do not carry
    "http://loinc.org/vs/LL379-9",
}


def schema(published: Published, url: str, kind: str) -> Schema | None:
    """Return what a required binding asks of a code or a CodeableConcept; None if it is not listed.

    Raises:
        KeyError: the value set or one of its code systems is not published.
    """
    if url in _UNLISTED:
        return None
    if url in _FORMS:
        return _FORMS[url]
    value_set = published.value_sets[url]
    listed = list(_expand(published, url))
    if not listed:
        raise KeyError(url)
    if kind == "CodeableConcept":
        return _concept(listed, value_set.title)
    return {"enum": list(dict.fromkeys(code for _, code in listed)), "title": f"a code of {value_set.title}"}


def _expand(published: Published, url: str) -> Iterator[tuple[str, str]]:
    for system, codes in published.value_sets[url].includes:
        for code in codes or published.code_systems[system]:
            yield system, code


def _concept(listed: list[tuple[str, str]], title: str) -> Schema:
    by_system: dict[str, list[str]] = {}
    for system, code in listed:
        by_system.setdefault(system, []).append(code)
    codings: list[Schema] = [
        {
            "type": "object",
            "properties": {"system": {"const": system}, "code": {"enum": codes}},
            "required": ["system", "code"],
        }
        for system, codes in by_system.items()
    ]
    coding = codings[0] if len(codings) == 1 else {"anyOf": codings}
    return {
        "$ref": "#/$defs/CodeableConcept",
        "properties": {"coding": {"contains": coding, "title": f"a coding from {title}"}},
        "required": ["coding"],
    }
