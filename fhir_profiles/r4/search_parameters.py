"""The search parameters of R4, by type, as `generate_search` read them from HL7's definitions.

http://hl7.org/fhir/R4/searchparameter-registry.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "search-parameters.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where values of a parameter stand in a resource."""

    #: the properties from the resource on
    path: tuple[str, ...]
    #: the data type
    of: str
    #: after how many properties which field must have which value
    where: tuple[int, str, str] | None = None
    #: of a mere code: the code systems it is from
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What the definition of a parameter says."""

    name: str
    #: token, string, date, number, quantity, reference, uri, composite or special; narrative: the words of it
    kind: str
    places: tuple[Place, ...] = ()
    #: of a reference: the types it leads to; empty: any
    targets: tuple[str, ...] = ()
    #: of a composite: its parameters, and whether each stands beside the others
    components: tuple[tuple[str, bool], ...] = ()
    #: of a composite: the elements within which its parts stand together; empty: the resource itself
    beside: tuple[str, ...] = ()


@cache
def of(type_: str) -> Mapping[str, Parameter]:
    """Return the parameters that R4 gives a type, by name, with those of every resource."""
    read = _read()["parameters"]
    own = {name: _parameter(name, said) for name, said in read.get(type_, {}).items()}
    return {name: _parameter(name, said) for name, said in read["Resource"].items()} | own


@cache
def in_patient_compartment() -> Mapping[str, tuple[str, ...]]:
    """Return the parameters by which a resource belongs to a patient, by type.

    http://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    return {type_: tuple(names) for type_, names in _read()["patient"].items()}


@cache
def _read() -> Any:
    return json.loads(FILE.read_bytes())


def _parameter(name: str, said: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        kind=said["type"],
        places=tuple(
            Place(
                path=tuple(value["path"]),
                of=value["of"],
                where=tuple(value["where"]) if "where" in value else None,
                systems=tuple(value.get("systems", ())),
            )
            for value in said.get("values", ())
        ),
        targets=tuple(said.get("targets", ())),
        components=tuple((code, beside) for code, beside in said.get("components", ())),
        beside=tuple(said.get("beside", ())),
    )
