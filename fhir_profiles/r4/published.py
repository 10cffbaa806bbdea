"""HL7's published definitions of R4, as far as a schema needs them, read from an archive."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

VERSION = "4.0.1"

_FOLDER = "org/hl7/fhir/r4/model"
_FHIR = "{http://hl7.org/fhir}"
_STRUCTURES = ("profile/profiles-types.xml", "profile/profiles-resources.xml")
_CODES = ("valueset/valuesets.xml", "valueset/v3-codesystems.xml", "valueset/v2-tables.xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One type an element may have, with the profiles and reference targets that narrow it."""

    code: str
    profiles: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a type's snapshot."""

    path: str
    least: int
    most: str
    base: str
    kinds: tuple[Kind, ...]
    same_as: str | None
    required_codes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A resource or data type."""

    name: str
    kind: str
    abstract: bool
    type: str
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSet:
    """What a value set includes: a code system, and the codes listed from it (none: all of them)."""

    title: str
    includes: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Everything read, by name or URL."""

    structures: dict[str, Structure]
    value_sets: dict[str, ValueSet]
    code_systems: dict[str, tuple[str, ...]]


def read(archive: Path) -> Published:
    """Return the definitions of version 4.0.1 in the archive."""
    with ZipFile(archive) as files:
        structures = {
            structure.name: structure
            for name in _STRUCTURES
            for node in _resources(files, name, "StructureDefinition")
            if _value(node, "fhirVersion") == VERSION
            if (structure := _structure(node)).kind in ("resource", "complex-type")
        }
        value_sets = {
            _value(node, "url"): _value_set(node)
            for name in _CODES
            for node in _resources(files, name, "ValueSet")
        }
        code_systems = {
            _value(node, "url"): tuple(_value(concept, "code") for concept in node.iter(f"{_FHIR}concept"))
            for name in _CODES
            for node in _resources(files, name, "CodeSystem")
        }
    return Published(structures=structures, value_sets=value_sets, code_systems=code_systems)


def _resources(files: ZipFile, name: str, kind: str) -> Iterator[ElementTree.Element]:
    # HL7's own files, chosen by the person who runs the generator.
    root = ElementTree.fromstring(files.read(f"{_FOLDER}/{name}"))  # noqa: S314
    yield from root.iterfind(f"{_FHIR}entry/{_FHIR}resource/{_FHIR}{kind}")


def _structure(node: ElementTree.Element) -> Structure:
    return Structure(
        name=_value(node, "id"),
        kind=_value(node, "kind"),
        abstract=_value(node, "abstract") == "true",
        type=_value(node, "type"),
        elements=tuple(_element(each) for each in node.iterfind(f"{_FHIR}snapshot/{_FHIR}element")),
    )


def _element(node: ElementTree.Element) -> Element:
    binding = node.find(f"{_FHIR}binding")
    required = binding is not None and _value(binding, "strength") == "required"
    return Element(
        path=_value(node, "path"),
        least=int(_value(node, "min")),
        most=_value(node, "max"),
        base=_value(node, f"base/{_FHIR}path"),
        kinds=tuple(
            Kind(
                code=_value(each, "code"),
                profiles=_values(each, "profile"),
                targets=_values(each, "targetProfile"),
            )
            for each in node.iterfind(f"{_FHIR}type")
        ),
        same_as=_value(node, "contentReference").removeprefix("#") or None,
        required_codes=_value(binding, "valueSet").partition("|")[0]
        if binding is not None and required
        else None,
    )


def _value_set(node: ElementTree.Element) -> ValueSet:
    url = _value(node, "url")
    for refused in ("exclude", f"include/{_FHIR}filter", f"include/{_FHIR}valueSet"):
        if node.find(f"{_FHIR}compose/{_FHIR}{refused}") is not None:
            # Never needed by a required binding; a wrong guess would be worse than none.
            return ValueSet(title=url, includes=())
    return ValueSet(
        title=" ".join((_value(node, "title") or _value(node, "name")).split()),
        includes=tuple(
            (
                _value(include, "system"),
                tuple(_value(concept, "code") for concept in include.iterfind(f"{_FHIR}concept")),
            )
            for include in node.iterfind(f"{_FHIR}compose/{_FHIR}include")
        ),
    )


def _value(node: ElementTree.Element, name: str) -> str:
    found = node.find(f"{_FHIR}{name}")
    return "" if found is None else found.get("value", "")


def _values(node: ElementTree.Element, name: str) -> tuple[str, ...]:
    return tuple(each.get("value", "") for each in node.iterfind(f"{_FHIR}{name}"))
