"""`hipway cql`: a library is evaluated and explained without a service."""

import json
from pathlib import Path

import pytest

from service.commands import main

ROOT = Path(__file__).parents[3]
LIBRARY = str(ROOT / "tests" / "pathways" / "cql" / "example.elm.json")


@pytest.fixture
def patient(tmp_path):
    story = json.loads((ROOT / "tests" / "stories" / "V02.json").read_text())
    file = tmp_path / "visit.json"
    file.write_text(json.dumps(story["steps"][0]["bundle"]))
    return str(file)


def test_every_definition_is_one_line(patient, capsys):
    assert (
        main(["cql", LIBRARY, "--patient", patient, "--at", "2026-01-05T09:00:00Z", "-p", "Place=here"]) == 0
    )

    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(": " in line for line in lines)


def test_a_missing_parameter_is_named(patient, capsys):
    assert main(["cql", LIBRARY, "--patient", patient]) == 2
    assert "Place: a required parameter is missing" in capsys.readouterr().err


def test_an_unknown_definition_is_named(patient, capsys):
    assert main(["cql", LIBRARY, "--patient", patient, "-p", "Place=here", "--explain", "Nothing"]) == 2
    assert "'Nothing'" in capsys.readouterr().err


def test_an_explanation_is_json(patient, capsys):
    main(["cql", LIBRARY, "--patient", patient, "-p", "Place=here"])
    name = capsys.readouterr().out.splitlines()[0].partition(":")[0]

    assert main(["cql", LIBRARY, "--patient", patient, "-p", "Place=here", "--explain", name]) == 0
    assert {"text", "value", "because", "sources"} <= set(json.loads(capsys.readouterr().out))


def test_a_file_that_is_no_library_is_refused(tmp_path, patient, capsys):
    file = tmp_path / "x.json"
    file.write_text("{")

    assert main(["cql", str(file), "--patient", patient]) == 2
    assert "hipway cql:" in capsys.readouterr().err
