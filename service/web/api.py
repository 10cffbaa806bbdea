"""What the pages about the interface for programs show: the OpenAPI document, an operation at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    #: None: it takes no body
    media: str | None
    body: str
    #: status and words
    answers: tuple[tuple[str, str], ...]

    @property
    def is_tried(self) -> bool:
        """Return whether the page offers to send it: pages are opened, and their forms are their own."""
        return self.tag != document.PAGES


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
    media = next(iter(content), None)
    example = content[media].get("example") if media else None
    return Operation(
        id=said["operationId"],
        tag=said["tags"][0],
        method=method.upper(),
        path=path,
        summary=said["summary"],
        description=said.get("description", ""),
        source=said.get("externalDocs", {}).get("url", ""),
        fields=tuple(_field(_resolved(found, each), example) for each in said["parameters"]),
        media=media,
        body=_written(example, media),
        answers=tuple(
            (status, _resolved(found, each)["description"]) for status, each in said["responses"].items()
        ),
    )


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


def _written(example: Any, media: str | None) -> str:
    if example is None:
        return ""
    if media and "json" not in media:
        return "&".join(f"{name}={value}" for name, value in example.items())
    return json.dumps(example, indent=1, ensure_ascii=False)
