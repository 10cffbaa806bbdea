"""The commands `hipway post` and `hipway vignettes`, as a person uses them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.commands import main
from service.demo import load, visit
from service.stories.remote import Remote


def test_posting_says_what_happened(
    empty: Remote, examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty.set_clock("2026-03-02T10:45:00+01:00", held=False)

    code = main(["post", str(examples / "01-new-referral-visit.json"), "--url", empty.url])

    printed = capsys.readouterr().out
    assert code == 0
    assert "201  Patient/" in printed
    assert "evaluated at 2026-03-02T09:45:00Z" in printed
    assert "→ L:T03" in printed
    assert "+ L:SR:PT(routine)" in printed
    assert "left: conservative-therapy" in printed


def test_posting_puts_the_real_reference_in_place_of_its_short_name(
    empty: Remote, examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty.set_parameters({"site.timeZone": "Europe/Berlin"})
    for name, at in (
        ("01-new-referral-visit", "2026-03-02T10:45:00+01:00"),
        ("02-follow-up-visit", "2026-04-13T09:35:00+02:00"),
        ("03-clinician-signature", "2026-04-13T16:05:00+02:00"),
    ):
        empty.set_clock(at, held=False)
        assert main(["post", str(examples / f"{name}.json"), "--url", empty.url]) == 0

    assert "+ L:AU:clinician-decision" in capsys.readouterr().out
    (order,) = empty.search("ServiceRequest", {"intent": "order"})
    assert order["status"] == "active"


def test_posting_says_when_a_visit_waits(
    empty: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A visit of this minute, without an Encounter that would end it.
    story = next(story for story in load.stories() if story["id"] == "just-started")
    now = datetime.now(UTC).replace(microsecond=0)
    file = tmp_path / "visit.json"
    file.write_text(json.dumps(visit.bundle(story, 1, now, load._data("terms.json"))))

    assert main(["post", str(file), "--url", empty.url]) == 0
    assert "when 10 minutes have passed without a further Bundle" in capsys.readouterr().out

    assert main(["post", str(file), "--url", empty.url, "--evaluate"]) == 0
    assert "→ L:T03" in capsys.readouterr().out


def test_a_refused_bundle_is_explained_and_fails(
    empty: Remote, examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = json.loads((examples / "01-new-referral-visit.json").read_bytes())
    bundle["entry"][6]["resource"]["status"] = "done"
    file = tmp_path / "visit.json"
    file.write_text(json.dumps(bundle))

    code = main(["post", str(file), "--url", empty.url])

    printed = capsys.readouterr().err
    assert code == 1
    assert "422" in printed
    assert "Bundle.entry[6].resource.status" in printed
    assert empty.search("Patient", {}) == []


def test_stories_that_are_exact_end_with_their_number(
    service: Remote, stories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["vignettes", str(stories), "--url", service.url, "--only", "V03", "--only", "V09"])

    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 exact"
    assert code == 0


def test_a_story_that_differs_is_shown_and_fails(
    service: Remote, stories: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads((stories / "V03.json").read_bytes())
    told["steps"][0]["expect"]["outputs"].append("R:TK:tea")
    (tmp_path / "V03.json").write_text(json.dumps(told))

    code = main(["vignettes", str(tmp_path), "--url", service.url])

    printed = capsys.readouterr().out
    assert code == 1
    assert "- output  R:TK:tea" in printed
    assert printed.splitlines()[-1] == "0 of 1 exact"


def test_a_folder_without_stories_is_a_mistake_of_the_caller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vignettes", str(tmp_path)]) == 2
    assert "has no story" in capsys.readouterr().err
