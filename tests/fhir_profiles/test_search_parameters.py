"""The table of search parameters: that it is what the generator makes, and that it leaves nothing out.

http://hl7.org/fhir/R4/searchparameter-registry.html
"""

import json

import pytest

from fhir_profiles.r4 import schemas, search_parameters
from fhir_profiles.r4.search_paths import NotRead, values

WRITTEN = json.loads(search_parameters.FILE.read_bytes())


def test_every_expression_is_read_again_to_the_same_places():
    """The schemas beside the table and the table belong together; this needs no archive."""
    for type_, parameters in WRITTEN["parameters"].items():
        for name, said in parameters.items():
            if said["type"] == "composite":
                continue
            read, _ = values(said["expression"], type_, said["type"])
            places = [{k: v for k, v in place.items() if k != "systems"} for place in said["values"]]
            assert read == places, f"{type_}.{name}"


def test_every_place_is_an_element_of_its_type():
    for type_ in sorted(schemas.RESOURCES - {"Bundle", "OperationOutcome", "Parameters"}):
        for parameter in search_parameters.of(type_).values():
            for place in parameter.places:
                inside = type_
                for name in place.path:
                    schema = schemas.definitions(type_)[inside]["properties"][name]
                    inside = str(schema.get("items", schema).get("$ref", "")).rpartition("/")[2]


def test_what_a_composite_is_made_of_is_there():
    for type_ in WRITTEN["parameters"]:
        known = search_parameters.of(type_)
        for parameter in known.values():
            assert all(name in known for name, _ in parameter.components)
            assert bool(parameter.components) is (parameter.kind == "composite")


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("Patient.colour", "token"),
        ("Patient.name.first()", "string"),
        ("Patient.birthDate", "quantity"),
        ("Observation.code", "token"),
    ],
)
def test_an_expression_of_another_form_is_refused(expression, kind):
    with pytest.raises(NotRead):
        values(expression, "Patient", kind)
