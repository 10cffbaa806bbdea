"""Make `schema/*.json`, the strict JSON Schemas of R4, from HL7's definitions.

Run by hand; nothing needs it at run time:

    mvn dependency:copy -DoutputDirectory=. \\
        -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:7.2.0
    python -m fhir_profiles.r4.generate hapi-fhir-validation-resources-r4-7.2.0.jar

That archive carries HL7's definitions unchanged (other packages carry them with elements of later versions).

One file per resource type, and `datatypes.json` for what they share. The schemas are written so that one
fault gives one error: no alternatives except between names (which choice of `value[x]`), resources inside
resources are only told apart from other things here and are checked by the gate one by one, and `title`
says what was expected.

https://hl7.org/fhir/R4/json.html
"""

import json
import re
import sys
from pathlib import Path

from fhir_profiles.r4 import bindings, published
from fhir_profiles.r4.primitives import PRIMITIVES, Schema
from fhir_profiles.r4.published import Element, Kind, Published, Structure

SCHEMAS = Path(__file__).parent / "schema"

_TYPE = "http://hl7.org/fhir/StructureDefinition/"
_STRING = "http://hl7.org/fhirpath/System.String"
_ID = "[A-Za-z0-9\\-.]{1,64}"
# References that name no type: any scheme but http, and http where no type stands before the id.
_UNTYPED = r"(?:[a-gi-z][a-z0-9+.\-]*|h[a-su-z][a-z0-9+.\-]*):\S+|https?://(?:\S*/)?[^A-Z_/\s][^/\s]*/[^/\s]*"
# Elements that are attributes in XML: they cannot carry extensions.
_BARE = {"Resource.id", "Element.id", "Extension.url", "Narrative.div"}

# The invariants that a schema can say.
_INVARIANTS: dict[str, Schema] = {
    "Quantity": {
        "dependentRequired": {"code": ["system"]},
        "title": "a unit's code needs its system (qty-3)",
    },
    "ContactPoint": {
        "dependentRequired": {"value": ["system"]},
        "title": "a contact's value needs its system (cpt-2)",
    },
    "Attachment": {
        "dependentRequired": {"data": ["contentType"]},
        "title": "data need their contentType (att-1)",
    },
    "Period": {"ordered": True},
}


def main(archive: str) -> None:
    """Write every schema from the archive of definitions."""
    maker = _Maker(published.read(Path(archive)))
    for name in maker.resources:
        _save(name, maker.type_schemas(name))
    _save("datatypes", maker.shared())


class _Maker:
    def __init__(self, source: Published) -> None:
        self._source = source
        self._references: dict[str, Schema] = {}
        self.resources = sorted(
            name for name, it in source.structures.items() if it.kind == "resource" and not it.abstract
        )

    def shared(self) -> dict[str, Schema]:
        """Return the schemas of primitives, data types, references and of any resource."""
        schemas: dict[str, Schema] = dict(PRIMITIVES)
        for name, structure in self._source.structures.items():
            if structure.kind == "complex-type":
                schemas |= self.type_schemas(name)
        schemas["Element-or-null"] = schemas["Element"] | {"type": ["object", "null"]}
        schemas["Resource"] = {
            "type": "object",
            "properties": {"resourceType": {"enum": self.resources, "title": "the name of an R4 resource"}},
            "required": ["resourceType"],
            "minProperties": 1,
        }
        return schemas | self._references

    def type_schemas(self, name: str) -> dict[str, Schema]:
        """Return the schema of the type and those of the elements nested in it, by path."""
        structure = self._source.structures[name]
        by_parent: dict[str, list[Element]] = {}
        for element in structure.elements[1:]:
            by_parent.setdefault(_parent(element), []).append(element)
        schemas = {
            path: self._object(path, children, by_parent, structure) for path, children in by_parent.items()
        }
        # A constrained type (SimpleQuantity) keeps the paths of the type it constrains.
        if name not in schemas:
            schemas[name] = schemas.pop(structure.type)
        return schemas

    def _object(
        self, path: str, children: list[Element], nested: dict[str, list[Element]], structure: Structure
    ) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        all_of: list[Schema] = []
        for element in children:
            if element.most == "0":
                continue
            names = self._add(element, properties, nested)
            if element.path.endswith("[x]"):
                all_of += _choice(names, properties, required=element.least > 0)
            elif element.least > 0:
                required += names
        dependent: dict[str, Schema] = {
            name: {"aligned": name[1:]}
            for name, schema in properties.items()
            if name.startswith("_") and "items" in schema
        }
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if structure.kind == "resource" and "." not in path:
            properties["resourceType"] = {"const": path}
            required.append("resourceType")
        else:
            # An element holds something besides its id; an extension, besides its id and its url.
            least = 2 if path == "Extension" else 1
            schema["minProperties"] = least
            dependent["id"] = {"minProperties": least + 1}
        schema |= _INVARIANTS.get(structure.name if path == structure.type else path, {})
        if path == "Extension":
            all_of.append(_value_or_extensions(properties))
        if dependent:
            schema["dependentSchemas"] = dependent
        if required:
            schema["required"] = sorted(required)
        if all_of:
            schema["allOf"] = all_of
        return schema

    def _add(
        self, element: Element, properties: dict[str, Schema], nested: dict[str, list[Element]]
    ) -> list[str]:
        name = element.path.rpartition(".")[2]
        within = element.same_as or (element.path if element.path in nested else None)
        if within:
            properties[name] = _many(element, _ref(within))
            return [name]
        names = []
        for kind in element.kinds:
            code = _type_code(kind, element)
            each = name.replace("[x]", code[0].upper() + code[1:])
            names.append(each)
            properties[each] = _many(element, self._value(element, kind, code))
            if code in PRIMITIVES and not {element.base, element.path} & _BARE:
                companion = "Element" if element.most == "1" else "Element-or-null"
                properties[f"_{each}"] = _many(element, _ref(companion))
        return names

    def _value(self, element: Element, kind: Kind, code: str) -> Schema:
        if element.required_codes:
            bound = bindings.schema(self._source, element.required_codes, code)
            if bound:
                return bound
        if code == "Reference":
            return self._reference(kind)
        if code == "Quantity" and f"{_TYPE}SimpleQuantity" in kind.profiles:
            return _ref("SimpleQuantity")
        return _ref(code)

    def _reference(self, kind: Kind) -> Schema:
        targets = sorted(target.removeprefix(_TYPE) for target in kind.targets)
        if not targets or "Resource" in targets:
            targets = ["Resource"]
            types, expected = "|".join(self.resources), "a resource of R4"
        else:
            types, expected = "|".join(targets), " or ".join(targets)
        name = "Reference-to-" + "-".join(targets)
        named = f"(?:https?://[^?#]+/)?(?:{types})(?:/{_ID}(?:/_history/{_ID})?|\\?[^\\s#]+)"
        self._references[name] = {
            **_ref("Reference"),
            "properties": {
                "reference": {
                    "pattern": f"^(?:#.*|{named}|{_UNTYPED})$",
                    "title": f"a reference to {expected}",
                }
            },
        }
        return _ref(name)


def _parent(element: Element) -> str:
    return element.path.rpartition(".")[0]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _many(element: Element, schema: Schema) -> Schema:
    if element.most == "1":
        return schema
    array: Schema = {"type": "array", "minItems": 1, "items": schema}
    if element.most != "*":
        array["maxItems"] = int(element.most)
    return array


def _choice(names: list[str], properties: dict[str, Schema], *, required: bool) -> list[Schema]:
    """Return that at most one of the names is there, and, if required, one of them."""
    present = [_present(name, properties) for name in names]
    any_of = {"anyOf": present}
    found: list[Schema] = [any_of] if required else []
    if len(names) > 1:
        # The last alternative holds when none is there, so failing means: more than one.
        found.append({"oneOf": [*present, {"not": any_of}]})
    return found


def _present(name: str, properties: dict[str, Schema]) -> Schema:
    if f"_{name}" not in properties:
        return {"required": [name]}
    return {"anyOf": [{"required": [name]}, {"required": [f"_{name}"]}]}


def _value_or_extensions(properties: dict[str, Schema]) -> Schema:
    values = [name for name in properties if re.match("_?value", name)]
    return {"not": {"required": ["extension"], "anyOf": [{"required": [name]} for name in values]}}


def _type_code(kind: Kind, element: Element) -> str:
    if kind.code != _STRING:
        return kind.code
    if element.base == "Resource.id":
        return "id"
    return "uri" if element.path == "Extension.url" else "string"


def _save(name: str, schemas: dict[str, Schema]) -> None:
    # One definition a line: compact, and a difference shows what changed.
    lines = [
        f"{json.dumps(key)}:{json.dumps(schemas[key], separators=(',', ':'), sort_keys=True)}"
        for key in sorted(schemas)
    ]
    (SCHEMAS / f"{name}.json").write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
