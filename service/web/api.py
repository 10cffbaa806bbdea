"""What the pages about the interface for programs show: the OpenAPI document, an operation at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.openapi import document, parameters
from service.openapi.surface import METHODS

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that a request may say beside its body."""

    name: str
    #: path, query or header; criteria: any parameters of a search
    where: str
    text: str
    required: bool
    #: None: anything
    choices: Sequence[str] | None
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One shape in which a body may be sent."""

    media: str
    #: the example
    text: str
    #: the type that the example is about
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    id: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    #: where its definition is read
    source: str
    fields: tuple[Field, ...]
    #: one of each shape; empty: it takes none
    bodies: tuple[Body, ...]
    #: status and words
    answers: tuple[tuple[str, str], ...]

    @property
    def is_tried(self) -> bool:
        """Return whether the page offers to send it: pages are opened, and their forms are their own."""
        return self.tag != document.PAGES

    def body(self, media: str) -> Body | None:
        """Return the body of a media type; the first where none has it, None where it takes no body."""
        return next((each for each in self.bodies if each.media == media), next(iter(self.bodies), None))

    def filled(self, type_: str) -> tuple[Field, ...]:
        """Return the fields with this type where the path can name it."""
        return tuple(
            replace(each, value=type_)
            if each.name == "type" and each.where == "path" and type_ in (each.choices or ())
            else each
            for each in self.fields
        )


def operations(found: Json) -> tuple[Operation, ...]:
    """Return every operation of the document, in its order."""
    return tuple(
        _operation(found, path, method, said)
        for path, methods in found["paths"].items()
        for method, said in sorted(methods.items(), key=lambda each: METHODS.index(each[0].upper()))
    )


def by_tag(found: Json) -> Iterator[tuple[str, list[Operation]]]:
    """Yield the groups, each with its operations."""
    every = operations(found)
    for tag in found["tags"]:
        yield tag["name"], [each for each in every if each.tag == tag["name"]]


def search_parameters(found: Json, type_: str) -> list[tuple[str, str]]:
    """Return the search parameters of a type with their kinds; empty: there is no such type."""
    listed: Json = found["paths"]["/fhir/{type}"]["get"][parameters.BY_TYPE]
    if type_ not in listed:
        return []
    return sorted({**listed["Resource"], **listed[type_]}.items())


def _operation(found: Json, path: str, method: str, said: Json) -> Operation:
    content = said.get("requestBody", {}).get("content", {})
    example = next((each.get("example") for each in content.values()), None)
    return Operation(
        id=said["operationId"],
        tag=said["tags"][0],
        method=method.upper(),
        path=path,
        summary=said["summary"],
        description=said.get("description", ""),
        source=said.get("externalDocs", {}).get("url", ""),
        fields=tuple(_field(_resolved(found, each), example) for each in said["parameters"]),
        bodies=_bodies(content),
        answers=tuple(
            (status, _resolved(found, each)["description"]) for status, each in said["responses"].items()
        ),
    )


def _bodies(content: Json) -> tuple[Body, ...]:
    """Return the first media type of each shape, with its example."""
    first: dict[str, Body] = {}
    for media, said in content.items():
        example = said.get("example")
        body = Body(media=media, text=_written(example, media), type=_type_of(example))
        first.setdefault(json.dumps(said["schema"]), body)
    return tuple(first.values())


def _type_of(example: Any) -> str:
    """Return the type that an example is about: its own, or that which a FHIRPath Patch changes."""
    about = example if isinstance(example, dict) else {}
    paths = (part.get("valueString") for each in about.get("parameter", ()) for part in each.get("part", ()))
    changed = next((path.partition(".")[0] for path in paths if path), "")
    return str(changed or about.get("resourceType", ""))


def _field(said: Json, example: Any) -> Field:
    schema = said["schema"]
    choices = schema.get("enum")
    # What the path names is what the example is about.
    about = example if isinstance(example, dict) else {}
    first = {"type": about.get("resourceType", "Patient"), "id": about.get("id", "")}
    return Field(
        name=said["name"],
        where="criteria" if schema.get("type") == "object" else said["in"],
        text=said.get("description", ""),
        required=said.get("required", False),
        choices=[str(each) for each in choices] if choices else None,
        value=first.get(said["name"], "") if said.get("required") else "",
    )


def _resolved(found: Json, said: Json) -> Json:
    """Return what a reference within the document means, also that of a schema."""
    if "$ref" in said:
        said = _at(found, said["$ref"])
    if "$ref" in said.get("schema", {}):
        return {**said, "schema": _at(found, said["schema"]["$ref"])}
    return said


def _at(found: Json, reference: str) -> Json:
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def _written(example: Any, media: str) -> str:
    if example is None:
        return ""
    if "json" not in media:
        return "&".join(f"{name}={value}" for name, value in example.items())
    return json.dumps(example, indent=1, ensure_ascii=False)
