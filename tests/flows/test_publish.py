"""Definitions for other engines: a package, and a transaction that any FHIR server takes."""

import json
import tarfile

import httpx
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import gate
from pathways import catalogue
from service.commands import main


def test_every_definition_is_valid_r4():
    for resource in catalogue.published():
        assert gate.check(resource) == ()
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_publishing_twice_stores_once(service, capsys):
    base = f"{service.url}/fhir"

    assert main(["publish", "--to", base]) == 0
    assert main(["publish", "--to", base]) == 0

    plan = httpx.get(f"{base}/PlanDefinition/gluteus-medius-tear").json()
    library = httpx.get(f"{base}/Library/gluteus-medius-tear").json()
    assert plan["meta"]["versionId"] == "1"
    assert {content["contentType"] for content in library["content"]} == {"text/cql", "application/elm+json"}


def test_a_server_that_is_not_there_is_one_sentence(capsys):
    assert main(["publish", "--to", "http://127.0.0.1:9/fhir"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_the_package_depends_on_its_content_alone(tmp_path, capsys):
    assert main(["package", "--to", str(tmp_path / "a")]) == 0
    assert main(["package", "--to", str(tmp_path / "b")]) == 0
    (first,), (second,) = (list((tmp_path / name).iterdir()) for name in ("a", "b"))

    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        manifest = json.load(archive.extractfile("package/package.json"))
        index = json.load(archive.extractfile("package/.index.json"))
    assert manifest["fhirVersions"] == ["4.0.1"]
    assert "PlanDefinition-gluteus-medius-tear.json" in {file["filename"] for file in index["files"]}
