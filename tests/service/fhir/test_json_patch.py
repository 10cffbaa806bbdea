"""JSON Patch by the examples of its specification, and what a patch cannot do.

Examples: https://www.rfc-editor.org/rfc/rfc6902#appendix-A, by their numbers.
"""

import copy
from decimal import Decimal

import pytest

from fhir_profiles import reading
from service.fhir import json_patch
from service.fhir.json_patch import CannotBePatched


def patched(document, *operations):
    before = copy.deepcopy(document)
    try:
        return json_patch.apply(document, json_patch.read(list(operations)))
    finally:
        assert document == before


EXAMPLES = {
    "A.1": ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    "A.2": (
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    "A.3": ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    "A.4": ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    "A.5": (
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    "A.6": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10": (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "A.11": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    "A.14": ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    "A.16": (
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
    "copy": (
        {"a": {"b": [1]}},
        [{"op": "copy", "from": "/a", "path": "/c"}],
        {"a": {"b": [1]}, "c": {"b": [1]}},
    ),
    "the whole": ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    "to itself": ({"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
    "an empty name": ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
    "a null": ({"a": 1}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    "numbers by value": (
        {"a": Decimal("7.10")},
        [{"op": "test", "path": "/a", "value": Decimal("7.1")}],
        None,
    ),
}


@pytest.mark.parametrize(("document", "operations", "result"), EXAMPLES.values(), ids=EXAMPLES)
def test_a_patch_makes_what_the_specification_says(document, operations, result):
    assert patched(document, *operations) == (document if result is None else result)


FAILING = {
    "A.9": ({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "bar"}),
    "A.12": ({"foo": "bar"}, {"op": "add", "path": "/baz/bat", "value": "qux"}),
    "A.15": ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": "10"}),
    "true is not 1": ({"a": True}, {"op": "test", "path": "/a", "value": 1}),
    "nothing to remove": ({"a": 1}, {"op": "remove", "path": "/b"}),
    "nothing to replace": ({"a": 1}, {"op": "replace", "path": "/b", "value": 1}),
    "nothing to move": ({"a": 1}, {"op": "move", "from": "/b", "path": "/c"}),
    "the whole removed": ({"a": 1}, {"op": "remove", "path": ""}),
    "into itself": ({"a": {"b": {}}}, {"op": "move", "from": "/a", "path": "/a/b/c"}),
    "past the end": ({"a": [1]}, {"op": "add", "path": "/a/2", "value": 1}),
    "the end replaced": ({"a": [1]}, {"op": "replace", "path": "/a/-", "value": 1}),
    "a leading zero": ({"a": [1, 2]}, {"op": "remove", "path": "/a/01"}),
    "a negative position": ({"a": [1, 2]}, {"op": "remove", "path": "/a/-1"}),
    "a name in a list": ({"a": [1]}, {"op": "add", "path": "/a/b", "value": 1}),
    "below a text": ({"a": "x"}, {"op": "add", "path": "/a/b", "value": 1}),
    "no such operation": ({"a": 1}, {"op": "spam", "path": "/a"}),
    "no value": ({"a": 1}, {"op": "add", "path": "/b"}),
    "no path": ({"a": 1}, {"op": "remove"}),
    "no slash": ({"a": 1}, {"op": "remove", "path": "a"}),
    "a lone tilde": ({"a~": 1}, {"op": "remove", "path": "/a~"}),
    "no source": ({"a": 1}, {"op": "copy", "path": "/b"}),
    "no object": ({"a": 1}, "remove"),
}


@pytest.mark.parametrize(("document", "operation"), FAILING.values(), ids=FAILING)
def test_what_does_not_fit_is_refused_by_the_number_of_its_operation(document, operation):
    fine = {"op": "add", "path": "/extra", "value": 1}

    with pytest.raises(CannotBePatched, match=r"^operation 1\b"):
        patched(document, fine, operation)


def test_a_member_twice_is_refused_when_it_is_read():
    with pytest.raises(reading.Unreadable):  # A.13
        reading.read_list(b'[{"op":"add","path":"/baz","value":"qux","op":"remove"}]')


@pytest.mark.parametrize("patch", [None, {}, [], "x", [{"op": "remove", "path": "/a"}] * 1001])
def test_what_is_no_list_of_operations_is_refused(patch):
    with pytest.raises(CannotBePatched):
        json_patch.read(patch)


def test_a_few_operations_cannot_fill_the_memory():
    doubling = {"op": "copy", "from": "", "path": "/again"}
    wider = {"op": "copy", "from": "/a", "path": "/a/-"}

    with pytest.raises(CannotBePatched, match="levels"):
        patched({"a": [1]}, *[doubling] * 100)
    with pytest.raises(CannotBePatched, match="values"):
        patched({"a": list(range(60_000))}, wider, {"op": "copy", "from": "/a", "path": "/b"})


def test_long_texts_count_as_what_they_hold():
    copies = [{"op": "copy", "from": "/a", "path": f"/b{number}"} for number in range(1_000)]

    with pytest.raises(CannotBePatched, match="values"):
        patched({"a": "x" * 100_000}, *copies)
    with pytest.raises(CannotBePatched, match="values"):
        patched({"a": {"x" * 100_000: 1}}, *copies)


def test_what_is_copied_is_a_copy():
    result = patched(
        {"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/c"}, {"op": "add", "path": "/c/b", "value": 2}
    )

    assert result == {"a": {"b": 1}, "c": {"b": 2}}
