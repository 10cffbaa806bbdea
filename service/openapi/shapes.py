"""The JSON Schemas of what is sent and answered.

A resource is described by what every resource has: what each type holds is published by HL7, and strict here
(`fhir_profiles/r4`), in some 3 MB that no document of an interface should carry.

https://hl7.org/fhir/R4/json.html
"""

from typing import Any

from fhir_profiles import topics
from fhir_profiles.r4 import schemas
from service.cds import services
from service.fhir import fhirpath_patch, json_patch, references
from service.fhir.entries import METHODS, MOST_ENTRIES
from service.fhir.searching import TYPES
from service.subscriptions import backport, terms

Schema = dict[str, Any]

#: what HL7 publishes of all types
PUBLISHED = "https://hl7.org/fhir/R4/fhir.schema.json.zip"

ID = f"^{references.ID}$"
INSTANT: Schema = {"type": "string", "format": "date-time"}
TEXT: Schema = {"type": "string"}
ANYTHING: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    """Return a schema that is one of ALL."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return _of_names(required, properties)


def _of_names(required: tuple[str, ...], properties: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def _closed(schema: Schema) -> Schema:
    return {**schema, "additionalProperties": False}


def _list(of: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": of, **more}


def _resource_of(type_: str, *required: str, **properties: Schema) -> Schema:
    return _object(("resourceType", *required), resourceType={"const": type_}, **properties)


def _of_fhir() -> dict[str, Schema]:
    request = _object(
        ("method", "url"),
        method={"enum": ["GET", *METHODS]},
        url={
            **TEXT,
            "description": "Type, Type/id or Type?identifier=system|value; of a GET any read or search",
        },
        ifMatch={**TEXT, "description": 'W/"1": only if this is the current version'},
        ifNoneExist={**TEXT, "description": "identifier=system|value: only if there is none yet"},
        ifNoneMatch=TEXT,
    )
    response = _object(
        ("status",),
        status=TEXT,
        location=TEXT,
        etag=TEXT,
        lastModified=INSTANT,
        outcome=ref("OperationOutcome"),
    )
    entry = _object(
        fullUrl=TEXT,
        resource=ref("Resource"),
        search=_object(mode={"enum": ["match", "include", "outcome"]}),
        request=request,
        response=response,
    )
    link = _object(("relation", "url"), relation=TEXT, url=TEXT)
    issue = _object(
        ("severity", "code"),
        severity={"enum": ["fatal", "error", "warning", "information"]},
        code={**TEXT, "description": "http://hl7.org/fhir/R4/valueset-issue-type.html"},
        diagnostics={**TEXT, "description": "what is wrong and how to mend it; never a value that was sent"},
        expression=_list({**TEXT, "description": "where, as Bundle.entry[3].resource.status"}),
    )
    value = {"description": "value and the name of its type, as valueCode or valueString; or a resource"}
    parameter = {**_object(("name",), name=TEXT, resource=ref("Resource")), **value}
    return {
        "ResourceType": {"type": "string", "enum": list(TYPES), "description": "what is kept of R4"},
        "Id": {"type": "string", "pattern": ID},
        "Resource": {
            **_object(
                ("resourceType",),
                resourceType={"type": "string", "enum": sorted(schemas.RESOURCES)},
                id=ref("Id"),
                meta=_object(versionId=TEXT, lastUpdated=INSTANT, profile=_list(TEXT), tag=_list(ANYTHING)),
            ),
            "description": "A resource of R4. What its type holds HL7 has published; it is checked strictly.",
            "externalDocs": {"url": PUBLISHED, "description": "The JSON Schema of R4"},
        },
        "Bundle": _resource_of(
            "Bundle",
            "type",
            id=ref("Id"),
            meta=ANYTHING,
            type={"enum": ["searchset", "history", "transaction-response", "batch-response"]},
            total={"type": "integer", "minimum": 0},
            link=_list(link),
            entry=_list(entry),
        ),
        "Visit": {
            **_resource_of(
                "Bundle",
                "type",
                type={"enum": ["transaction", "batch"]},
                entry=_list(entry, maxItems=MOST_ENTRIES),
            ),
            "description": "A transaction about one patient, all or nothing; or a batch.",
        },
        "OperationOutcome": _resource_of("OperationOutcome", "issue", issue=_list(issue, minItems=1)),
        "Parameters": _resource_of("Parameters", parameter=_list(parameter)),
        "CapabilityStatement": _resource_of("CapabilityStatement", "rest", rest=_list(ANYTHING)),
        "JsonPatch": {
            **_list(
                _of_names(
                    ("op", "path"),
                    {
                        "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                        "path": {**TEXT, "description": "as /name/0/family"},
                        "from": TEXT,
                        "value": {"description": "of add, replace and test"},
                    },
                ),
                minItems=1,
                maxItems=json_patch.MOST_OPERATIONS,
            ),
            "externalDocs": {"url": "https://www.rfc-editor.org/rfc/rfc6902"},
        },
        "FhirPathPatch": _by_paths(),
    }


def _by_paths() -> Schema:
    names = sorted({"type", *(name for names in fhirpath_patch.NEEDED.values() for name in names)})
    needed = "; ".join(f"{type_}: {', '.join(names)}" for type_, names in fhirpath_patch.NEEDED.items())
    part = {
        **_object(("name",), name={"enum": names}),
        "description": "type as valueCode, path and name as valueString, positions as valueInteger. Beside "
        f"type are needed, of {needed}",
    }
    operation = _object(("name", "part"), name={"const": "operation"}, part=_list(part, minItems=1))
    return {
        **_resource_of("Parameters", parameter=_list(operation, maxItems=json_patch.MOST_OPERATIONS)),
        "externalDocs": {"url": "http://hl7.org/fhir/R4/fhirpatch.html"},
    }


def _of_export() -> dict[str, Schema]:
    file = _object(("type", "url", "count"), type=TEXT, url=TEXT, count={"type": "integer", "minimum": 0})
    return {
        "Manifest": {
            **_object(
                ("transactionTime", "request", "requiresAccessToken", "output", "error"),
                transactionTime=INSTANT,
                request=TEXT,
                requiresAccessToken={"type": "boolean"},
                output=_list(file),
                deleted=_list(file),
                error=_list(file),
            ),
            "externalDocs": {
                "url": "http://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status"
            },
        },
        "Lines": {**TEXT, "description": "NDJSON: a resource on each line"},
    }


def _of_subscriptions() -> dict[str, Schema]:
    urls = [topic.url for topic in topics.topics()]
    channel = _object(
        ("type", "endpoint", "payload"),
        type={"const": "rest-hook"},
        endpoint=TEXT,
        payload={**TEXT, "description": f"{terms.MEDIA_TYPE}, with the extension backport-payload-content"},
        header=_list(TEXT),
        extension={**_list(ANYTHING), "description": "what else is wished; /fhir/metadata says how"},
    )
    return {
        "Subscription": {
            **_resource_of(
                "Subscription",
                *("status", "reason", "criteria", "channel"),
                id=ref("Id"),
                status={"enum": ["requested", "active", "error", "off"]},
                reason=TEXT,
                criteria={**TEXT, "description": f"the topic: {', '.join(urls)}"},
                end=INSTANT,
                error=TEXT,
                channel=channel,
            ),
            "externalDocs": {"url": backport.SUBSCRIPTION},
        }
    }


def _of_health() -> dict[str, Schema]:
    part = _object(("status",), status={"enum": ["ready", "not ready"]}, since=INSTANT, why=TEXT)
    return {
        "Alive": _object(("status",), status={"const": "alive"}),
        "Readiness": _object(
            ("status", "parts"),
            status={"enum": ["ready", "not ready"]},
            parts={"type": "object", "additionalProperties": part},
        ),
    }


def _of_cds() -> dict[str, Schema]:
    service = _object(
        ("hook", "id", "description"), hook=TEXT, id=TEXT, title=TEXT, description=TEXT, prefetch=ANYTHING
    )
    hooks = [each.hook for each in services.SERVICES.values()]
    reason = _object(reason=_object(code=TEXT, system=TEXT), userComment=TEXT)
    feedback = _object(
        ("card", "outcome", "outcomeTimestamp"),
        card={"type": "string", "format": "uuid"},
        outcome={"enum": ["accepted", "overridden"]},
        outcomeTimestamp=INSTANT,
        acceptedSuggestions=_list(_object(("id",), id={"type": "string", "format": "uuid"})),
        overrideReason=reason,
    )
    return {
        "CdsServices": _object(("services",), services=_list(service)),
        "CdsCall": _object(
            ("hook", "hookInstance", "context"),
            hook={"enum": hooks},
            hookInstance={"type": "string", "format": "uuid"},
            fhirServer={"type": "string", "pattern": "^(?:https?://.*)?$"},
            context=_object(
                ("userId", "patientId"),
                userId=TEXT,
                patientId=ref("Id"),
                draftOrders={"description": "of order-sign: a Bundle of the drafts"},
            ),
            prefetch={"type": "object", "description": services.USAGE},
        ),
        "CdsCards": _object(("cards",), cards=_list(ANYTHING)),
        "CdsFeedback": _object(("feedback",), feedback=_list(feedback, minItems=1)),
    }


def of_sandbox() -> dict[str, Schema]:
    """Return what the control of a sandbox is sent and answers."""
    at = {**INSTANT, "description": "an instant with a zone"}
    words = {"type": "object", "additionalProperties": TEXT}
    lists = {"type": "object", "additionalProperties": _list(TEXT)}
    evaluation = {"enum": ["automatic", "held"]}
    return {
        "Clock": _object(
            ("now", "clock", "evaluation"), now=at, clock={"enum": ["real", "set"]}, evaluation=evaluation
        ),
        "ClockSet": _closed(_object(("now",), now=at, evaluation=evaluation)),
        "Evaluate": _closed(_object(("patient",), patient={**TEXT, "pattern": f"^Patient/{references.ID}$"})),
        "Evaluated": _object(
            ("patient", "at", "transitions", "outputs", "stages", "holds"),
            patient=TEXT,
            at=at,
            transitions=_list(TEXT),
            outputs=_list(TEXT),
            stages=words,
            holds=lists,
        ),
        "SiteParameters": _object(
            ("profile", "profiles", "parameters"), profile=TEXT, profiles=_list(TEXT), parameters=ANYTHING
        ),
        "ChosenParameters": {
            "type": "object",
            "description": "values by the names that GET shows; what is not named goes to its default",
        },
        "NotDone": _object(("error",), error={**TEXT, "description": "a sentence"}),
    }


#: by the name under which others refer to them
ALL = {**_of_fhir(), **_of_export(), **_of_subscriptions(), **_of_health(), **_of_cds()}
