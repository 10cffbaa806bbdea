"""Definitions for other engines: a package, and a series of PUTs that any FHIR server takes."""

import json
import re
import tarfile

import httpx
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import gate
from pathways import catalogue
from service.commands import main

CANONICAL = re.compile(r"https://w3id\.org/hipway/[A-Za-z]+/[A-Za-z0-9.-]+")


def test_every_definition_is_valid_r4():
    for resource in catalogue.published():
        assert gate.check(resource) == ()
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_what_is_referred_to_is_published_before_what_refers_to_it():
    published = catalogue.published()
    ours = {resource["url"] for resource in published}
    before: set[str] = set()
    for resource in published:
        named = set(CANONICAL.findall(json.dumps(resource, default=str))) - {resource["url"]}
        assert named & ours <= before
        # A library is named with its version, and nothing of that name may be missing.
        assert {url for url in named if "/Library/" in url} <= before
        before.add(resource["url"])


def test_a_library_has_the_name_by_which_other_engines_look_for_it():
    (library,) = (r for r in catalogue.published() if r["resourceType"] == "Library")

    assert library["id"] == library["name"] == library["url"].rpartition("/")[2] == "GluteusMediusTear"
    assert f"library {library['name']} version '{library['version']}'" in catalogue.pathways()[0].cql_text


def test_publishing_twice_stores_once(service, capsys):
    base = f"{service.url}/fhir"

    assert main(["publish", "--to", base]) == 0
    capsys.readouterr()
    assert main(["publish", "--to", base]) == 0

    assert capsys.readouterr().out == f"none of {len(catalogue.published())} definitions changed on {base}\n"
    plan = httpx.get(f"{base}/PlanDefinition/gluteus-medius-tear").json()
    library = httpx.get(f"{base}/Library/GluteusMediusTear").json()
    assert plan["meta"]["versionId"] == "1"
    assert {content["contentType"] for content in library["content"]} == {"text/cql", "application/elm+json"}


def test_a_definition_that_is_put_right_is_named(service, capsys):
    base = f"{service.url}/fhir"
    assert main(["publish", "--to", base]) == 0
    library = httpx.get(f"{base}/Library/GluteusMediusTear").json()
    assert httpx.put(f"{base}/Library/GluteusMediusTear", json={**library, "title": "Other"}).is_success
    capsys.readouterr()

    assert main(["publish", "--to", base]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[:-1] == ["  changed under the same version 1.0.0  Library/GluteusMediusTear"]
    assert said[-1].startswith("1 of ")


def test_a_server_that_is_not_there_is_one_sentence(capsys):
    assert main(["publish", "--to", "http://127.0.0.1:9/fhir"]) == 1
    assert capsys.readouterr().err == (
        "hipway publish: http://127.0.0.1:9/fhir does not answer: ConnectError\n"
    )


def test_a_server_that_refuses_is_one_sentence(service, capsys):
    # Another path of the service, which is no FHIR server.
    assert main(["publish", "--to", f"{service.url}/operations"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "does not take CodeSystem/" in said


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
