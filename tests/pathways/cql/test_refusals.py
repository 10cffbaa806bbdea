"""What is refused at load: every reason at once, with its place and what to write instead."""

import copy
from typing import Any

import pytest

from pathways import cql

Node = dict[str, Any]
SYSTEM = "{urn:hl7-org:elm-types:r1}"
FHIR = "{http://hl7.org/fhir}"

NULL: Node = {"type": "Null"}
ONE: Node = {"type": "Literal", "valueType": f"{SYSTEM}Integer", "value": "1"}
ALIAS: Node = {"type": "AliasRef", "name": "X"}
SOURCE: list[Node] = [{"alias": "X", "expression": {"type": "List", "element": [ONE]}}]

#: an expression -> what speaks against it
REFUSED: dict[str, tuple[Node, str]] = {
    "node type": ({"type": "Faster"}, "node type Faster is not known"),
    "element": ({**ONE, "roughly": True}, "Literal with roughly, which is not known"),
    "missing part": ({"type": "Not"}, "Not lacks 'operand'"),
    "part of another kind": ({"type": "Not", "operand": "true"}, "a node is not as ELM has it"),
    "no type": ({}, "a node lacks 'type'"),
    "integer": ({**ONE, "value": str(2**31)}, "a literal out of range"),
    "not a number": ({**ONE, "value": "one"}, "Literal is not as ELM has it"),
    "literal": ({**ONE, "valueType": f"{SYSTEM}Ratio"}, "a literal of type Ratio"),
    "date": ({"type": "Date", "year": {**ONE, "value": "10000"}}, "a literal out of range"),
    "unit": (
        {"type": "Quantity", "value": 1, "unit": "furlong"},
        "unit 'furlong' is not in the table of units",
    ),
    "decimals": ({"type": "Quantity", "value": 0.123456789, "unit": "g"}, "a literal out of range"),
    "definition": ({"type": "ExpressionRef", "name": "None"}, "definition None does not exist"),
    "parameter": ({"type": "ParameterRef", "name": "None"}, "parameter None does not exist"),
    "code": ({"type": "CodeRef", "name": "None"}, "code None does not exist"),
    "concept": ({"type": "ConceptRef", "name": "None"}, "concept None does not exist"),
    "code system": ({"type": "CodeSystemRef", "name": "None"}, "code system None does not exist"),
    "library": (
        {"type": "ExpressionRef", "libraryName": "Other", "name": "A"},
        "library Other is not given",
    ),
    "function": (
        {"type": "FunctionRef", "name": "None", "operand": [ONE]},
        "function None does not exist with these operands",
    ),
    "helper": (
        {"type": "FunctionRef", "libraryName": "FHIRHelpers", "name": "ToNothing", "operand": [ONE]},
        "FHIRHelpers.ToNothing is not known",
    ),
    "row": (ALIAS, "X is not visible here"),
    "type": ({"type": "Is", "operand": ONE, "isType": f"{SYSTEM}Colour"}, "type Colour is not known"),
    "model": (
        {"type": "Is", "operand": ONE, "isType": "{http://example.org}A"},
        "type {http://example.org}A is not known",
    ),
    "conversion": ({"type": "Convert", "operand": ONE, "toType": f"{SYSTEM}Any"}, "a conversion to Any"),
    "instance": (
        {"type": "Instance", "classType": f"{FHIR}Observation", "element": []},
        "an instance of Observation",
    ),
    "least value": ({"type": "MinValue", "valueType": f"{SYSTEM}String"}, "String has no least value"),
    "foreign model": (
        {"type": "Retrieve", "dataType": "{http://example.org}A"},
        "a Retrieve of a type that is not FHIR's",
    ),
    "other filter": (
        {"type": "Retrieve", "dataType": f"{FHIR}Observation", "otherFilter": [NULL]},
        "a Retrieve with otherFilter",
    ),
    "untyped value": (
        {"type": "Property", "path": "value", "source": {"type": "Retrieve", "dataType": f"{FHIR}Patient"}},
        "a value whose type cannot be known",
    ),
    "plain return": (
        {"type": "Query", "source": SOURCE, "return": {"expression": ALIAS}},
        "a return that says neither `all` nor `distinct`, and so drops repetitions",
    ),
    "relationship": (
        {
            "type": "Query",
            "source": SOURCE,
            "relationship": [{"type": "Near", "alias": "Y", "expression": NULL, "suchThat": NULL}],
        },
        "relationship Near",
    ),
    "sort": (
        {"type": "Query", "source": SOURCE, "sort": {"by": [{"type": "ByLuck", "direction": "asc"}]}},
        "sort ByLuck",
    ),
    "repeat": ({"type": "Repeat", "source": NULL, "element": NULL}, "node type Repeat is not known"),
    "aggregate path": ({"type": "Sum", "source": NULL, "path": "value"}, "an aggregate with a path"),
    "message": (
        {"type": "Message", "source": ONE, "code": {"type": "ToString", "operand": ONE}},
        "a Message whose code is not a literal",
    ),
    "itself": ({"type": "ExpressionRef", "name": "Fast"}, "is defined by itself"),
}


@pytest.fixture
def elm(example_elm: Node) -> Node:
    return copy.deepcopy(example_elm)


def refused(elm: Any, **options: Any) -> tuple[cql.Reason, ...]:
    with pytest.raises(cql.Refused) as caught:
        cql.load(elm, **options)
    return caught.value.reasons


def statement(elm: Node, name: str) -> Node:
    found: Node = next(each for each in elm["library"]["statements"]["def"] if each["name"] == name)
    return found


@pytest.mark.parametrize(("expression", "what"), REFUSED.values(), ids=REFUSED)
def test_an_expression_is_refused_by_name_and_place(elm: Node, expression: Node, what: str) -> None:
    statement(elm, "Fast")["expression"] = {"type": "List", "element": [NULL, expression]}

    [reason] = refused(elm)

    assert (reason.definition, reason.what) == ("Fast", what)
    # A circle is of the whole definition.
    assert reason.locator.startswith("element[1]") or what == "is defined by itself"
    assert reason.hint


def test_every_reason_is_told_at_once(elm: Node) -> None:
    library = elm["library"]
    statement(elm, "Fast")["expression"] = {"type": "Faster"}
    statement(elm, "Age")["expression"] = {"type": "List", "element": [{"type": "Slower"}, {"type": "Not"}]}
    statement(elm, "Adult")["context"] = "Practitioner"
    statement(elm, "Dizzy")["expression"] = {"type": "ExpressionRef", "name": "Born"}
    statement(elm, "Born")["expression"] = {"type": "ExpressionRef", "name": "Dizzy"}
    library["annotation"].append({"errorSeverity": "error", "message": "no such thing"})
    library["includes"]["def"].append({"localIdentifier": "Other", "path": "Other"})
    library["relatedStuff"] = {}

    reasons = refused(elm)

    assert {f"{reason.definition}: {reason.what}" for reason in reasons} == {
        "library: translation error: no such thing",
        "library: part relatedStuff is not known",
        "library: include Other is not given",
        "Adult: context Practitioner",
        "Fast: node type Faster is not known",
        "Age: node type Slower is not known",
        "Age: Not lacks 'operand'",
        "Dizzy: is defined by itself",
        "Born: is defined by itself",
    }
    assert all(reason.hint for reason in reasons)


def test_a_function_that_calls_itself_through_another_is_refused(elm: Node) -> None:
    def calling(name: str, other: str) -> Node:
        call = {"type": "FunctionRef", "name": other, "operand": [{"type": "OperandRef", "name": "n"}]}
        operand = {
            "name": "n",
            "operandTypeSpecifier": {"type": "NamedTypeSpecifier", "name": f"{SYSTEM}Integer"},
        }
        return {
            "type": "FunctionDef",
            "name": name,
            "context": "Patient",
            "operand": [operand],
            "expression": call,
        }

    elm["library"]["statements"]["def"] += [calling("Even", "Odd"), calling("Odd", "Even")]

    assert {(reason.definition, reason.what) for reason in refused(elm)} == {
        ("Even", "is defined by itself"),
        ("Odd", "is defined by itself"),
    }


def test_an_external_function_is_refused(elm: Node) -> None:
    elm["library"]["statements"]["def"].append(
        {"type": "FunctionDef", "name": "Ask", "context": "Patient", "external": True, "operand": []}
    )

    [reason] = refused(elm)

    assert (reason.definition, reason.what) == ("Ask", "an external function")


def test_a_default_of_another_type_is_refused(elm: Node) -> None:
    elm["library"]["parameters"]["def"].append(
        {
            "name": "Limit",
            "default": ONE,
            "parameterTypeSpecifier": {"type": "NamedTypeSpecifier", "name": f"{SYSTEM}String"},
        }
    )

    [reason] = refused(elm)

    assert (reason.definition, reason.what) == ("Limit", "the default is not of type String")


def test_a_reason_names_the_place_in_the_text_where_the_translator_did(elm: Node) -> None:
    statement(elm, "Fast")["expression"] = {
        "type": "Not",
        "locator": "4:2-4:9",
        "operand": {"type": "Faster"},
    }

    [reason] = refused(elm)

    assert str(reason) == "Fast (4:2-4:9): node type Faster is not known; say it with other operators"


@pytest.mark.parametrize(
    "elm", [{}, {"library": []}, {"library": {"statements": {"def": [{}]}}}, {"library": None}]
)
def test_what_is_not_a_library_is_refused(elm: Any) -> None:
    [reason] = refused(elm)

    assert reason.definition == "library"
