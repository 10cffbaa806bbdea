"""The search parameters are what their generator makes of the definitions, which the libraries of HAPI hold.

http://hl7.org/fhir/R4/searchparameter-registry.html
"""

import json
from zipfile import ZipFile

import pytest

from fhir_profiles.r4 import generate_search, published, search_parameters
from hapi import server

pytestmark = pytest.mark.requires("hapi")


def test_the_table_is_what_the_generator_makes_of_the_definitions():
    written = json.loads(search_parameters.FILE.read_bytes())
    (archive,) = (server.PROGRAM.build() / "lib").glob("hapi-fhir-validation-resources-r4-*.jar")
    with ZipFile(archive) as files:
        bundle = json.loads(files.read(generate_search.DEFINITIONS))
    definitions = [entry["resource"] for entry in bundle["entry"]]

    made = generate_search.parameters(definitions, generate_search.systems(published.read(archive)))

    assert json.loads(json.dumps(made)) == written["parameters"]
