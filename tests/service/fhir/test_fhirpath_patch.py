"""FHIRPath Patch by the rules of its specification, its paths by those of FHIRPath, and what neither can do.

http://hl7.org/fhir/R4/fhirpatch.html
"""

import copy
import random
import time
from decimal import Decimal

import pytest

from fhir_profiles import gate
from service.fhir import fhirpath_patch, patch_path
from service.fhir.json_patch import CannotBePatched
from service.fhir.patch_path import NotTaken
from service.fhir.patch_places import Walk

PERSON = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [
        {"use": "official", "system": "urn:a", "value": "1"},
        {"system": "urn:b", "value": "2", "period": {"start": "2020-01-01"}},
        {"system": "urn:a", "value": "3"},
    ],
    "active": True,
    "name": [{"family": "Berg", "given": ["Ada", "Eva"]}, {"text": "E. B."}],
    "birthDate": "1970-04-04",
    "_birthDate": {"extension": [{"url": "urn:time", "valueDateTime": "1970-04-04T08:00:00Z"}]},
    "contact": [{"name": {"text": "somebody"}, "gender": "female"}],
}
FACT = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "x"},
    "valueQuantity": {"value": Decimal("7.10"), "unit": "mg"},
    "component": [
        {"code": {"text": "a"}, "valueInteger": 1},
        {"code": {"text": "b"}, "valueString": "two"},
    ],
    "contained": [{"resourceType": "Device", "id": "d", "deviceName": [{"name": "n", "type": "other"}]}],
}


def operation(type_, path, value=None, **parts):
    """Return an operation; the value as the part that carries it."""
    named = {"path": {"valueString": path}, **parts, **({"value": value} if value else {})}
    rows = [{"name": "type", "valueCode": type_}, *({"name": name, **part} for name, part in named.items())]
    return {"name": "operation", "part": rows}


def parameters(*operations):
    return {"resourceType": "Parameters", **({"parameter": list(operations)} if operations else {})}


def patched(resource, *operations):
    body, before = parameters(*operations), copy.deepcopy(resource)
    assert gate.check(body) == ()
    try:
        return fhirpath_patch.apply(resource, fhirpath_patch.read(body))
    finally:
        assert resource == before


def follow(resource, path):
    return Walk().follow(resource, patch_path.read(path))


def name(text):
    return {"valueString": text}


def index(number):
    return {"valueInteger": number}


def with_(resource, **changes):
    """Return the resource with other elements; None: without them."""
    found = {**resource, **changes}
    return {key: value for key, value in found.items() if value is not None}


IDS = PERSON["identifier"]
NEW = {"valueIdentifier": {"system": "urn:c", "value": "4"}}
C4 = {"system": "urn:c", "value": "4"}

DONE = {
    "nothing": (PERSON, [], PERSON),
    "add a text": (
        PERSON,
        [operation("add", "Patient", {"valueCode": "female"}, name=name("gender"))],
        with_(PERSON, gender="female"),
    ),
    "add to a list": (
        PERSON,
        [operation("add", "Patient", NEW, name=name("identifier"))],
        with_(PERSON, identifier=[*IDS, C4]),
    ),
    "add the first of a list": (
        PERSON,
        [operation("add", "Patient", {"valueContactPoint": {"use": "home"}}, name=name("telecom"))],
        with_(PERSON, telecom=[{"use": "home"}]),
    ),
    "add inside": (
        PERSON,
        [operation("add", "Patient.name[1]", {"valueString": "Eva"}, name=name("given"))],
        with_(PERSON, name=[PERSON["name"][0], {"text": "E. B.", "given": ["Eva"]}]),
    ),
    "add an element of parts": (
        PERSON,
        [
            operation(
                "add",
                "Patient",
                {
                    "part": [
                        {"name": "name", "valueHumanName": {"text": "a name"}},
                        {"name": "telecom", "valueContactPoint": {"use": "home"}},
                        {"name": "telecom", "valueContactPoint": {"use": "work"}},
                    ]
                },
                name=name("contact"),
            )
        ],
        with_(
            PERSON,
            contact=[
                *PERSON["contact"],
                {"name": {"text": "a name"}, "telecom": [{"use": "home"}, {"use": "work"}]},
            ],
        ),
    ),
    "add a choice by its type": (
        with_(PERSON),
        [operation("add", "Patient", {"valueDateTime": "2026-01-01"}, name=name("deceased"))],
        with_(PERSON, deceasedDateTime="2026-01-01"),
    ),
    "add a choice by its name in JSON": (
        PERSON,
        [operation("add", "Patient", {"valueBoolean": True}, name=name("deceasedBoolean"))],
        with_(PERSON, deceasedBoolean=True),
    ),
    "add beside a text": (
        with_(PERSON, _birthDate=None),
        [
            operation(
                "add",
                "Patient.birthDate",
                {"part": [{"name": "url", "valueUri": "urn:e"}, {"name": "value", "valueCode": "x"}]},
                name=name("extension"),
            )
        ],
        with_(PERSON, _birthDate={"extension": [{"url": "urn:e", "valueCode": "x"}]}),
    ),
    "add what is said of a text": (
        PERSON,
        [
            operation(
                "add",
                "Patient",
                {"_valueCode": {"extension": [{"url": "urn:e", "valueCode": "x"}]}},
                name=name("gender"),
            )
        ],
        with_(PERSON, _gender={"extension": [{"url": "urn:e", "valueCode": "x"}]}),
    ),
    "add a resource": (
        PERSON,
        [
            operation(
                "add",
                "Patient",
                {"resource": {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}},
                name=name("contained"),
            )
        ],
        with_(PERSON, contained=[{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]),
    ),
    "insert before": (
        PERSON,
        [operation("insert", "Patient.identifier", NEW, index=index(1))],
        with_(PERSON, identifier=[IDS[0], C4, *IDS[1:]]),
    ),
    "insert at the end": (
        PERSON,
        [operation("insert", "Patient.identifier", NEW, index=index(3))],
        with_(PERSON, identifier=[*IDS, C4]),
    ),
    "insert into a list that is not there": (
        PERSON,
        [operation("insert", "Patient.telecom", {"valueContactPoint": {"use": "home"}}, index=index(0))],
        with_(PERSON, telecom=[{"use": "home"}]),
    ),
    "delete a text and what is said of it": (
        PERSON,
        [operation("delete", "Patient.birthDate")],
        with_(PERSON, birthDate=None, _birthDate=None),
    ),
    "delete what is not there": (PERSON, [operation("delete", "Patient.photo")], PERSON),
    "delete one of a list": (
        PERSON,
        [operation("delete", "Patient.identifier.where(system = 'urn:b')")],
        with_(PERSON, identifier=[IDS[0], IDS[2]]),
    ),
    "delete the last of a list": (
        PERSON,
        [operation("delete", "Patient.contact[0]")],
        with_(PERSON, contact=None),
    ),
    "delete and leave nothing empty": (
        PERSON,
        [operation("delete", "Patient.contact[0].name.text"), operation("delete", "Patient.contact.gender")],
        with_(PERSON, contact=None),
    ),
    "delete only what is said of a text": (
        PERSON,
        [operation("delete", "Patient.birthDate.extension('urn:time')")],
        with_(PERSON, _birthDate=None),
    ),
    "replace a text": (
        PERSON,
        [operation("replace", "Patient.name[0].family", {"valueString": "Tal"})],
        with_(PERSON, name=[{"family": "Tal", "given": ["Ada", "Eva"]}, PERSON["name"][1]]),
    ),
    "replace one of several texts": (
        PERSON,
        [operation("replace", "Patient.name.given.where($this = 'Ada')", {"valueString": "Ida"})],
        with_(PERSON, name=[{"family": "Berg", "given": ["Ida", "Eva"]}, PERSON["name"][1]]),
    ),
    "replace an element": (
        PERSON,
        [operation("replace", "Patient.identifier[1]", NEW)],
        with_(PERSON, identifier=[IDS[0], C4, IDS[2]]),
    ),
    "replace an element by parts": (
        PERSON,
        [operation("replace", "Patient.contact", {"part": [{"name": "gender", "valueCode": "male"}]})],
        with_(PERSON, contact=[{"gender": "male"}]),
    ),
    "replace within a choice": (
        FACT,
        [operation("replace", "(Observation.value as Quantity).unit", {"valueString": "g"})],
        with_(FACT, valueQuantity={"value": Decimal("7.10"), "unit": "g"}),
    ),
    "replace a choice by another type": (
        FACT,
        [operation("replace", "Observation.value", {"valueString": "seven"})],
        with_(FACT, valueQuantity=None, valueString="seven"),
    ),
    "replace inside of what is contained": (
        FACT,
        [operation("replace", "Observation.contained[0].deviceName.name", {"valueString": "m"})],
        with_(
            FACT,
            contained=[{"resourceType": "Device", "id": "d", "deviceName": [{"name": "m", "type": "other"}]}],
        ),
    ),
    "move": (
        PERSON,
        [operation("move", "Patient.identifier", source=index(2), destination=index(0))],
        with_(PERSON, identifier=[IDS[2], IDS[0], IDS[1]]),
    ),
    "move to the end": (
        PERSON,
        [operation("move", "Patient.identifier", source=index(0), destination=index(2))],
        with_(PERSON, identifier=[IDS[1], IDS[2], IDS[0]]),
    ),
    "one after another": (
        PERSON,
        [
            operation("delete", "Patient.identifier[0]"),
            operation("replace", "Patient.identifier[0].value", {"valueString": "two"}),
            operation("add", "Patient.identifier[0].period", {"valueDateTime": "2021"}, name=name("end")),
        ],
        with_(
            PERSON,
            identifier=[{**IDS[1], "value": "two", "period": {"start": "2020-01-01", "end": "2021"}}, IDS[2]],
        ),
    ),
}


@pytest.mark.parametrize(("resource", "operations", "result"), DONE.values(), ids=DONE)
def test_a_patch_makes_what_the_specification_says(resource, operations, result):
    found = patched(resource, *operations)

    assert found == result
    assert gate.check(found) == ()


SAID = [None, {"extension": [{"url": "urn:e", "valueCode": "x"}]}]


@pytest.mark.parametrize(
    ("change", "given", "said"),
    [
        (
            operation("insert", "Patient.name[0].given", {"valueString": "Ida"}, index=index(0)),
            ["Ida", "Ada", "Eva"],
            [None, *SAID],
        ),
        (
            operation("add", "Patient.name[0]", {"valueString": "Ida"}, name=name("given")),
            ["Ada", "Eva", "Ida"],
            [*SAID, None],
        ),
        (operation("delete", "Patient.name[0].given[0]"), ["Eva"], [SAID[1]]),
        (operation("delete", "Patient.name[0].given[1]"), ["Ada"], None),
        (
            operation("move", "Patient.name[0].given", source=index(1), destination=index(0)),
            ["Eva", "Ada"],
            SAID[::-1],
        ),
        (operation("replace", "Patient.name[0].given[1]", {"valueString": "Ida"}), ["Ada", "Ida"], None),
        (operation("delete", "Patient.name[0].given[1].extension"), ["Ada", "Eva"], None),
    ],
    ids=["insert", "add", "delete before", "delete", "move", "replace", "delete beside"],
)
def test_what_is_said_of_texts_stays_with_its_text(change, given, said):
    person = with_(PERSON, name=[{"given": ["Ada", "Eva"], "_given": SAID}])

    found = patched(person, change)

    assert found["name"] == [{"given": given, **({"_given": said} if said else {})}]
    assert gate.check(found) == ()


FOUND = {
    "Patient.identifier": 3,
    "identifier": 3,
    "Patient.`identifier`": 3,
    "Patient.identifier.value": 3,
    "Patient.identifier[2]": 1,
    "Patient.identifier[3]": 0,
    "Patient.identifier.first()": 1,
    "Patient.identifier.last().value": 1,
    "Patient.identifier.where(use = 'official')": 1,
    "Patient.identifier.where(use != 'official')": 0,
    "Patient.identifier.where(use.empty())": 2,
    "Patient.identifier.where(use.exists().not() and system = 'urn:a')": 1,
    "Patient.identifier.where((use = 'official') or period.exists())": 2,
    "Patient.identifier.where(use = 'official' or system = 'urn:a')": 2,
    "Patient.identifier.where(use = 'official' and use = 'x')": 0,
    "Patient.identifier.where(system.startsWith('urn:'))": 3,
    "Patient.identifier.where(period.where(start = '2020-01-01').exists())": 1,
    "Patient.identifier.where(period.exists(start = '2020-01-01'))": 1,
    "Patient.name.given": 2,
    "Patient.name.given.where($this = 'Eva')": 1,
    "Patient.where(active)": 1,
    "Patient.where(active = false)": 0,
    "Patient.where(active.not())": 0,
    # As FHIRPath has it, what is there and no boolean is true.
    "Patient.identifier.where(period.start and system)": 1,
    "Patient.birthDate.extension('urn:time').value": 1,
    "Patient.birthDate.extension('urn:x')": 0,
    "Patient.birthDate.extension.value.ofType(dateTime)": 1,
    "Patient.birthDate.extension.value.ofType(FHIR.string)": 0,
    "Patient.birthDate as date": 1,
    "Patient.nothing": 0,
    "Patient.birth": 0,
    "Patient.resourceType": 0,
    "Patient._birthDate": 0,
    "  Patient . name [ 0 ]  ": 1,
}


@pytest.mark.parametrize(("path", "number"), FOUND.items(), ids=FOUND)
def test_a_path_leads_to_what_fhirpath_says(path, number):
    places = follow(PERSON, path)

    assert len(places) == len(set(places)) == number


def test_numbers_are_compared_by_their_value_and_never_with_texts():
    def count(path):
        return len(follow(FACT, path))

    assert count("Observation.where(value.value = 7.1)") == 1
    assert count("Observation.component.where(value = 1)") == 1
    assert count("Observation.component.where(value = '1')") == 0
    assert count("Observation.component.where(value = true)") == 0
    assert count("Observation.component.where(value = 'two')") == 1
    assert count("Observation.contained.ofType(Device).deviceName") == 1
    assert count("Observation.contained.ofType(Patient)") == 0


FAILING = {
    "nothing to replace": (
        operation("replace", "Patient.photo", {"valueAttachment": {"title": "x"}}),
        "nothing",
    ),
    "nothing to add to": (
        operation("add", "Patient.photo", {"valueCode": "x"}, name=name("contentType")),
        "nothing",
    ),
    "several to replace": (operation("replace", "Patient.identifier", NEW), "several"),
    "several to delete": (operation("delete", "Patient.identifier"), "several"),
    "the whole deleted": (operation("delete", "Patient"), "whole"),
    "the whole replaced": (operation("replace", "Patient", {"valueString": "x"}), "whole"),
    "another type": (operation("delete", "Observation.status"), "another type"),
    "what is there": (
        operation("add", "Patient", {"valueDate": "2000-01-01"}, name=name("birthDate")),
        "already",
    ),
    "a name there is not": (
        operation("add", "Patient", {"valueString": "x"}, name=name("colour")),
        "no part",
    ),
    "a name of JSON": (
        operation("add", "Patient", {"valueString": "x"}, name=name("resourceType")),
        "no part",
    ),
    "a choice of a type it has not": (
        operation("add", "Patient", {"valueString": "x"}, name=name("deceased")),
        "type",
    ),
    "a value of another type": (
        operation("replace", "Patient.name[0]", {"valueCodeableConcept": {"text": "x"}}),
        "of this type",
    ),
    "a text for an element": (
        operation("insert", "Patient.name", {"valueString": "x"}, index=index(0)),
        "of this type",
    ),
    "an element for a text": (
        operation("replace", "Patient.birthDate", {"valueCoding": {"code": "x"}}),
        "of this type",
    ),
    "no resource where one is contained": (
        operation("add", "Patient", {"valueHumanName": {"text": "x"}}, name=name("contained")),
        "of this type",
    ),
    "a resource where none is": (
        operation(
            "add",
            "Patient",
            {"resource": {"resourceType": "Basic", "code": {"text": "x"}}},
            name=name("name"),
        ),
        "of this type",
    ),
    "past the end": (operation("insert", "Patient.identifier", NEW, index=index(4)), "fewer"),
    "no list": (operation("insert", "Patient.birthDate", {"valueDate": "2000"}, index=index(0)), "no list"),
    "no name of a list": (operation("insert", "Patient.identifier[0]", NEW, index=index(0)), "ends with"),
    "no such position": (
        operation("move", "Patient.identifier", source=index(3), destination=index(0)),
        "position",
    ),
    "no such goal": (
        operation("move", "Patient.identifier", source=index(0), destination=index(3)),
        "position",
    ),
    "a negative position": (
        operation("move", "Patient.identifier", source=index(-1), destination=index(0)),
        "source",
    ),
    "no value": (operation("replace", "Patient.birthDate"), "needs value"),
    "no type": (
        {"name": "operation", "part": [{"name": "path", "valueString": "Patient"}]},
        "type is one of",
    ),
    "no such type": (operation("test", "Patient.birthDate"), "type is one of"),
    "another parameter": ({"name": "meta", "valueString": "x"}, "named operation"),
    "a part too many": (operation("delete", "Patient.photo", index=index(0)), "1 parts"),
    "a path that is no text": (
        {
            "name": "operation",
            "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueInteger": 1}],
        },
        "valueString",
    ),
}


@pytest.mark.parametrize(("change", "said"), FAILING.values(), ids=FAILING)
def test_what_does_not_fit_is_refused_by_the_number_of_its_operation(change, said):
    fine = operation("add", "Patient", {"valueCode": "female"}, name=name("gender"))

    with pytest.raises(CannotBePatched, match=rf"^operation 1\b.*{said}"):
        patched(PERSON, fine, change)


NOT_TAKEN = {
    "Patient.name | Patient.contact": r"\|",
    "Patient.name + 1": r"\+",
    "Patient.name.given.where($this ~ 'a')": "~",
    "Patient.birthDate < '2000'": "<",
    "%resource.name": "%",
    "Patient.birthDate.where($this = @2000)": "@",
    "$index": r"\$",
    "Patient.name.repeat(given)": r"repeat\(\)",
    "Patient.name.where(given.count() = 1)": r"count\(\)",
    "Patient.name.given.matches('a*')": r"matches\(\)",
    "Patient.name.foo()": "a function",
    "Patient.name.where(given is string)": "is is not taken",
    "Patient.name.where(given in name)": "in is not taken",
    "Patient.name.where(use = 'a' xor use = 'b')": "xor",
    "Patient.name.where()": "another number",
    "Patient.name.first(1)": "another number",
    "Patient.name.ofType(Colour)": "name of a type",
    "Patient.name[given]": "whole number",
    "Patient.name[1.5]": "whole number",
    "Patient.name.": "ends early",
    "Patient.name[0": "ends early",
    "Patient..name": "no meaning",
    "Patient.name given": "no meaning",
    "Patient.name)": "no meaning",
    "Patient.name.where(use = 'official)": "quote",
    "": "ends early",
    "'a'": "does not lead",
    "Patient.name.exists()": "does not lead",
    "Patient.where(identifier)": "several",
    "Patient.where(active.startsWith('t'))": "startsWith",
    "Patient.where(contact = contact)": "compares texts",
    "a" * 501: "500 characters",
    "(" * 21: "20 opening",
    "Patient" + ".name.first()" * 21: "20 opening",
}


@pytest.mark.parametrize(("path", "said"), NOT_TAKEN.items(), ids=[path[:40] for path in NOT_TAKEN])
def test_what_a_path_does_not_take_is_refused_by_name(path, said):
    with pytest.raises(NotTaken, match=said):
        follow(PERSON, path)


def test_no_message_repeats_what_a_path_compares():
    for path in ("Patient.name.where(family = 'Rossi'", "Patient.name.Rossi()", "Patient.name Rossi"):
        with pytest.raises(CannotBePatched) as caught:
            patched(PERSON, operation("delete", path))
        assert "Rossi" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        pytest.param("identifier.where(system = 'urn:a' and value = 'x')", 1_000, id="what is there"),
        pytest.param(f"identifier.where({' or '.join(['id'] * 60)})", 1, id="what is not there"),
        pytest.param(f"identifier{'.as(Identifier)' * 19}.as(Address)", 4, id="types"),
    ],
)
def test_a_few_operations_cannot_take_long(path, number):
    many = with_(PERSON, identifier=[{"system": "urn:a", "value": str(n)} for n in range(3_000)])
    begun = time.process_time()

    with pytest.raises(CannotBePatched, match="at most 200000"):
        patched(many, *[operation("delete", path)] * number)

    assert time.process_time() - begun < 5


def test_a_patch_has_so_many_operations_and_no_more():
    with pytest.raises(CannotBePatched, match="1000"):
        fhirpath_patch.read(parameters(*[operation("delete", "Patient.photo")] * 1001))


#: of which any path, name and value is made below
STEPS = (
    "Patient",
    "name",
    "given",
    "[0]",
    "[1]",
    ".",
    ".",
    ".",
    "identifier",
    "value",
    "contact",
    "birthDate",
    "extension",
    "extension('urn:time')",
    "where(use = 'official')",
    "where($this = 'Ada')",
    "first()",
    "last()",
    "period",
    "contained",
    "ofType(string)",
    "(",
    ")",
    " as ",
    "text",
    "|",
    "'",
    "and",
)
NAMES = (
    "identifier",
    "name",
    "given",
    "value",
    "gender",
    "deceased",
    "extension",
    "contact",
    "contained",
    "text",
)
VALUES = (
    {"valueString": "x"}, {"valueInteger": 3}, {"valueBoolean": True}, {"valueHumanName": {"text": "n"}},
    {"valueIdentifier": {"value": "1"}}, {"part": [{"name": "gender", "valueCode": "male"}]},
    {"resource": {"resourceType": "Basic", "code": {"text": "x"}}}, {"valuePeriod": {"start": "2000"}},
    {"_valueString": {"extension": [{"url": "urn:e", "valueCode": "x"}]}},
)  # fmt: skip


def any_operation(chance):
    type_ = chance.choice(["add", "insert", "delete", "replace", "move"])
    path = "Patient." + "".join(chance.choice(STEPS) for _ in range(chance.randint(1, 6)))
    value = chance.choice(VALUES) if type_ in ("add", "insert", "replace") else None
    parts = {
        "add": {"name": name(chance.choice(NAMES))},
        "insert": {"index": index(chance.randint(0, 3))},
        "move": {"source": index(chance.randint(0, 2)), "destination": index(chance.randint(0, 2))},
    }
    return operation(type_, path, value, **parts.get(type_, {}))


def nothing_is_empty(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (bool(inner) or not isinstance(value, dict | list)) and all(map(nothing_is_empty, inner))


def test_any_patch_is_done_or_refused_and_leaves_nothing_empty():
    chance, done = random.Random(7), 0
    for _ in range(4_000):
        try:
            found = patched(PERSON, *[any_operation(chance) for _ in range(chance.choice([1, 1, 2, 3]))])
        except CannotBePatched:
            continue
        done += 1
        assert nothing_is_empty(found)

    assert done > 50
