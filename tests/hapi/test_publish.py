"""`hipway publish` and a server that is not ours."""

import json

import httpx
import pytest

from pathways import catalogue
from service.commands import main

pytestmark = pytest.mark.requires("hapi")


def test_publishing_again_changes_nothing(
    hapi: httpx.Client, hapi_url: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["publish", "--to", hapi_url]) == 0

    assert (
        capsys.readouterr().out == f"none of {len(catalogue.published())} definitions changed on {hapi_url}\n"
    )


def test_a_library_that_differs_is_named_and_put_right(
    hapi: httpx.Client, hapi_url: str, capsys: pytest.CaptureFixture[str]
):
    library = hapi.get("/Library/GluteusMediusTear").json()
    changed = hapi.put("/Library/GluteusMediusTear", content=json.dumps({**library, "title": "Other"}))
    assert changed.status_code == httpx.codes.OK

    assert main(["publish", "--to", hapi_url]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "  changed under the same version 1.0.0  Library/GluteusMediusTear",
        f"1 of {len(catalogue.published())} definitions changed on {hapi_url}",
    ]
    assert hapi.get("/Library/GluteusMediusTear").json()["title"] == library["title"]


def test_a_definition_that_is_refused_is_one_sentence(
    hapi_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    wrong = {
        "resourceType": "CodeSystem",
        "id": "wrong",
        "url": "https://example.org/wrong",
        "status": "bogus",
    }
    monkeypatch.setattr(catalogue, "published", lambda: (wrong,))

    assert main(["publish", "--to", hapi_url]) == 1

    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"hipway publish: {hapi_url} does not take CodeSystem/wrong: 400, ")
    assert "bogus" in said
