"""ELM that is read to be kept: equal to what is written, and smaller."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pathways import cql

RULES = Path(__file__).parents[3] / "pathways" / "gluteus_medius_tear" / "rules.elm.json"


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from nodes(inner)


def test_what_is_read_is_what_is_written() -> None:
    text = RULES.read_text()

    assert cql.read(text) == json.loads(text, parse_float=Decimal)


def test_types_kinds_and_names_are_kept_once_and_nodes_each_for_itself() -> None:
    found = list(nodes(cql.read(RULES.read_text())))
    types = [node for node in found if str(node.get("type")).endswith("TypeSpecifier")]
    others = [node for node in found if not str(node.get("type")).endswith("TypeSpecifier")]

    assert len({id(node) for node in types}) == len({json.dumps(node) for node in types})
    assert len(types) > 10 * len({id(node) for node in types})
    assert len({id(node) for node in others}) == len(others)
    names = [node["name"] for node in found if "name" in node]
    assert len({id(name) for name in names}) == len({*names}) < len(names) / 2


def test_types_that_differ_in_anything_stay_apart() -> None:
    def named(name: str) -> dict[str, str]:
        return {"type": "NamedTypeSpecifier", "name": name}

    lists = [{"type": "ListTypeSpecifier", "elementType": named(name)} for name in "ABA"]
    choices = [
        {"type": "ChoiceTypeSpecifier", "choice": [named(name) for name in names]}
        for names in ("AB", "BA", "A", "AB")
    ]

    read: Any = cql.read(json.dumps([*lists, *choices]))

    assert read == [*lists, *choices]
    assert read[0] is read[2]
    assert read[0] is not read[1]
    assert read[3] is read[6]
    assert len({id(each) for each in read[3:6]}) == 3


@pytest.mark.parametrize("text", ["", "{", '{"library": }'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"line 1"):
        cql.read(text)


@pytest.mark.parametrize("type_", ["null", "7", '["TypeSpecifier"]', "{}"])
def test_a_type_that_is_no_text_is_left_as_it_is(type_: str) -> None:
    assert cql.read(f'{{"type": {type_}}}') == {"type": json.loads(type_)}
