"""The author's tool: CQL in, ELM with its hash and phrases out."""

import json
from pathlib import Path

import pytest

from pathways import cql
from pathways.cql.translate import NotTranslated, phrases, translate, translated

HERE = Path(__file__).parent


@pytest.mark.requires("node")
def test_the_translation_is_the_same_every_time(tmp_path: Path) -> None:
    translate(HERE / "example.cql", tmp_path / "example.elm.json")

    assert (tmp_path / "example.elm.json").read_bytes() == (HERE / "example.elm.json").read_bytes()


@pytest.mark.requires("node")
def test_an_error_is_told_by_its_line_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "wrong.cql").write_text('library Wrong\ndefine "A": 1 + true\n')

    with pytest.raises(NotTranslated, match=r"wrong\.cql, line 2: "):
        translate(tmp_path / "wrong.cql", tmp_path / "wrong.elm.json")
    assert not (tmp_path / "wrong.elm.json").exists()


@pytest.mark.requires("node")
def test_the_file_says_which_text_it_is_of(tmp_path: Path) -> None:
    text = 'library Small\n\n// One, and\n// nothing more\ndefine "One": 1\n'
    (tmp_path / "small.cql").write_text(text)

    translate(tmp_path / "small.cql", tmp_path / "small.elm.json")

    elm = json.loads((tmp_path / "small.elm.json").read_text())
    assert cql.matches(elm, text)
    assert elm["hipway"]["phrases"] == {"One": "One, and nothing more"}


def test_only_the_comment_directly_above_is_the_phrase() -> None:
    text = """
// ---- A section ----

// The one
// and only
define "One": 1
define Two: 2 // not this
// A function
define function "Three of"(x Integer): 3
"""

    assert phrases(text) == {"One": "The one and only", "Three of": "A function"}


@pytest.mark.requires("node")
def test_types_of_operands_are_kept_where_something_depends_on_them(tmp_path: Path) -> None:
    source = tmp_path / "types.cql"
    source.write_text(
        "library Types version '1'\n"
        "define function Once(a Integer): a + 1\n"
        "define function Twice(a Integer): a + a\n"
        "define function Twice(a String): a + a\n"
        "define A: Once(1)\n"
        "define B: Twice('b')\n"
        "define C: Length(null as List<Integer>)\n"
        "define D: ({Tuple { e: 1 }})\n"
    )

    statements = {each["name"]: each for each in translated(source)["library"]["statements"]["def"]}

    assert "signature" not in statements["A"]["expression"]
    assert [each["name"] for each in statements["B"]["expression"]["signature"]] == [
        "{urn:hl7-org:elm-types:r1}String"
    ]
    assert statements["C"]["expression"]["signature"][0]["type"] == "ListTypeSpecifier"
    assert statements["D"]["resultTypeSpecifier"] == {
        "type": "ListTypeSpecifier",
        "elementType": {"type": "TupleTypeSpecifier"},
    }
