"""`hipway cql`: a library is evaluated and explained without a service."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.commands import main

ROOT = Path(__file__).parents[3]
CQL = ROOT / "tests" / "pathways" / "cql"
LIBRARY = str(CQL / "example.elm.json")
AT = ("--at", "2026-01-05T09:00:00Z")


@pytest.fixture
def patient(tmp_path):
    story = json.loads((ROOT / "tests" / "stories" / "V02.json").read_text())
    file = tmp_path / "visit.json"
    file.write_text(json.dumps(story["steps"][0]["bundle"]))
    return str(file)


@pytest.fixture
def cql(patient):
    def run(*arguments, file=LIBRARY, place="here", bundle=patient):
        given = ("-p", f"Place={place}") if place else ()
        return main(["cql", str(file), "--patient", str(bundle), *AT, *given, *arguments])

    return run


def test_every_definition_is_one_line(cql, capsys):
    assert cql() == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert all(": " in line for line in lines)


def test_chosen_definitions_are_json_when_asked_for(cql, capsys):
    assert cql("-d", "Today of the moment", "--definition", "Adult", "--format", "json") == 0

    told = json.loads(capsys.readouterr().out)
    assert [each["definition"] for each in told] == ["Today of the moment", "Adult"]
    assert told[0]["value"] == "2026-01-05"


def test_an_explanation_is_a_list_of_lists_or_json(cql, capsys):
    assert cql("--explain", "Adult") == 0
    outline = capsys.readouterr().out
    assert outline.startswith("- Adult: ")

    assert cql("--explain", "Adult", "--format", "json") == 0
    [told] = json.loads(capsys.readouterr().out)
    assert {"text", "value", "because", "sources"} <= told["explanation"].keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--explain", "Nothing"), "there is no definition 'Nothing'"),
        (("-d", "Nothing"), "there is no definition 'Nothing'"),
        (("-p", "Place"), "-p Place has no value; write NAME=VALUE"),
        (("-p", "Palce=here"), "parameters: unknown: Palce"),
        (("--at", "soon"), "--at soon is no instant"),
        (("--include", "nowhere.elm.json"), "nowhere.elm.json cannot be read (FileNotFoundError)"),
        (("--terminology", "nowhere.json"), "nowhere.json cannot be read (FileNotFoundError)"),
    ],
)
def test_what_is_not_there_is_named(cql, capsys, arguments, said):
    assert cql(*arguments) == 2
    assert said in capsys.readouterr().err


def test_a_missing_parameter_is_named(cql, capsys):
    assert cql(place=None) == 2
    assert "Place: a required parameter is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not JSON: the body is not a JSON object"),
        ('{"a": 1}', "holds none"),
        ('{"resourceType": "Bundle"}', "holds 0 patients"),
        (
            json.dumps(
                {
                    "resourceType": "Bundle",
                    "entry": [{"resource": {"resourceType": "Patient", "id": id_}} for id_ in "ab"],
                }
            ),
            "holds 2 patients; one is evaluated at a time",
        ),
    ],
)
def test_a_bundle_is_of_one_patient(cql, capsys, tmp_path, content, said):
    file = tmp_path / "bundle.json"
    file.write_text(content)

    assert cql(bundle=file) == 2
    assert said in capsys.readouterr().err


def test_every_reason_to_refuse_a_library_is_one_line(cql, capsys, tmp_path):
    elm = json.loads(Path(LIBRARY).read_text())
    for statement in elm["library"]["statements"]["def"][2:4]:
        statement["expression"] = {"type": "Faster"}
    file = tmp_path / "faster.elm.json"
    file.write_text(json.dumps(elm))

    assert cql(file=file) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.endswith("node type Faster is not known; say it with other operators") for line in lines)


def test_a_definition_that_fails_is_told_among_the_others(cql, capsys, tmp_path):
    elm = json.loads(Path(LIBRARY).read_text())
    several = {"type": "List", "element": [{"type": "Null"}, {"type": "Null"}]}
    pulse = next(each for each in elm["library"]["statements"]["def"] if each["name"] == "Pulse")
    pulse["expression"] = {"type": "SingletonFrom", "operand": several}
    file = tmp_path / "failing.elm.json"
    file.write_text(json.dumps(elm))

    assert cql(file=file) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "Pulse: not evaluated, singleton from a list of several" in lines
    assert "Fast: not evaluated, Pulse: singleton from a list of several" in lines
    assert "Adult: True" in lines


def test_libraries_and_value_sets_are_given_as_files(cql, capsys, tmp_path):
    includes = [
        part
        for name in ("common", "between")
        for part in ("--include", CQL / "libraries" / f"{name}.elm.json")
    ]

    assert (
        cql(
            "-p",
            "Common.Unit=/min",
            *map(str, includes),
            file=CQL / "libraries" / "main.elm.json",
            place=None,
        )
        == 0
    )
    assert "Unit: /min" in capsys.readouterr().out

    sets = tmp_path / "sets.json"
    entries = [
        {
            "resourceType": "ValueSet",
            "url": f"https://example.org/ValueSet/{name}",
            "version": "2025",
            "compose": {"include": [{"system": "https://example.org/colours", "concept": [{"code": "red"}]}]},
        }
        for name in ("warm", "colours", "both")
    ]
    entries.append(
        {"resourceType": "CodeSystem", "url": "https://example.org/colours", "concept": [{"code": "red"}]}
    )
    sets.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": each} for each in entries]}))

    library = CQL / "terminology" / "vocabularies.elm.json"
    assert cql("--terminology", str(sets), "-d", "A code", file=library, place=None) == 0
    assert capsys.readouterr().out == "A code: True\n"


@pytest.mark.requires("node")
def test_cql_is_translated_as_it_is_read_with_what_it_includes(patient, tmp_path):
    command = [sys.executable, "-m", "service.commands", "cql", str(CQL / "libraries" / "main.cql")]
    given = ["--patient", patient, *AT, "-p", "Common.Unit=/min", "--explain", "Alarm"]

    told = subprocess.run([*command, *given], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("- Alarm: ")
    assert "  - The pulse is fast: " in told.stdout


@pytest.mark.requires("node")
def test_an_error_in_cql_is_told_by_its_line(patient, tmp_path, capsys):
    file = tmp_path / "wrong.cql"
    file.write_text('library Wrong\ndefine "A": 1 + true\n')

    assert main(["cql", str(file), "--patient", patient]) == 2
    assert "hipway cql: wrong.cql, line 2: " in capsys.readouterr().err


@pytest.mark.requires("node")
def test_what_is_refused_in_cql_is_told_by_its_place(patient, tmp_path, capsys):
    file = tmp_path / "refused.cql"
    file.write_text("library Refused\ndefine \"A\":\n  1 'furlong'\n")

    assert main(["cql", str(file), "--patient", patient]) == 1
    assert "hipway cql: A (3:3-3:13): unit 'furlong' is not in the table of units" in capsys.readouterr().err
