"""What an operation is given: in the query, or as Parameters in the body.

http://hl7.org/fhir/R4/operations.html#executing
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from flask import request

from fhir_profiles import gate, reading
from service.fhir import blueprint, conditional, media_types
from service.fhir.refusals import Issue, NotExchanged, NotReadable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The values of an operation's parameters, by name."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    resources: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    #: of parameters that are more than a text, such as a Meta
    values: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    #: the body, where it is a resource and not Parameters
    alone: dict[str, Any] | None = None
    #: how many parameters are not known, where the client asked to pass over them
    passed_over: int = 0

    def text(self, name: str) -> str | None:
        """Return the one value of a parameter; None where it is not given.

        Raises:
            NotExchanged: there are several.
        """
        return self._one(name, self.texts)

    def resource(self, name: str) -> dict[str, Any] | None:
        """Return the one resource of a parameter; None where it is not given.

        Raises:
            NotExchanged: there are several.
        """
        return self._one(name, self.resources)

    def value(self, name: str) -> dict[str, Any] | None:
        """Return the one value of a parameter that is more than a text; None where it is not given.

        Raises:
            NotExchanged: there are several.
        """
        return self._one(name, self.values)

    def _one(self, name: str, held: Mapping[str, Sequence[_T]]) -> _T | None:
        found = held.get(name, ())
        if len(found) > 1:
            raise NotExchanged(Issue(code="not-supported", text=f"{name} is given once here"))
        return found[0] if found else None


def given(known: Collection[str], *, takes_alone: bool = False) -> Given:
    """Return what the request gives the operation.

    Args:
        known: the names of its parameters.
        takes_alone: whether the body may be a resource in place of Parameters.

    Raises:
        NotExchanged: a name is not known, or the body is no Parameters.
        NotReadable: the body is in a form that is not read.
    """
    texts: dict[str, list[str]] = {}
    passed_over = 0
    for name, value in request.args.items(multi=True):
        if name in conditional.OF_THE_ANSWER:
            continue
        if _is_known(name, known):
            texts.setdefault(name, []).append(value)
        else:
            passed_over += 1
    in_url = Given(texts=texts, passed_over=passed_over)
    body = _body() if request.method == "POST" else None
    if body is None:
        return in_url
    if body.get("resourceType") != "Parameters":
        if takes_alone:
            return replace(in_url, alone=body)
        raise NotExchanged(Issue(code="structure", text="the body is a Parameters resource"))
    return _of_parameters(body, known, in_url)


def _of_parameters(body: dict[str, Any], known: Collection[str], in_url: Given) -> Given:
    # What an inner resource is worth the operation says; here only that it can be taken out.
    parts = body.get("parameter", [])
    shell = (
        {**body, "parameter": [_without_resource(part) for part in parts]}
        if parts and _are_objects(parts)
        else body
    )
    if faults := gate.check(shell):
        raise NotExchanged(*(Issue(code=f.code, text=f.text, expression=f.expression) for f in faults))
    texts = {name: list(values) for name, values in in_url.texts.items()}
    resources: dict[str, list[dict[str, Any]]] = {}
    values: dict[str, list[dict[str, Any]]] = {}
    passed_over = in_url.passed_over
    for part in parts:
        # The name may be an extension alone, and then it is none that is known.
        name = part.get("name", "")
        if not _is_known(name, known):
            passed_over += 1
        elif isinstance(part.get("resource"), dict):
            resources.setdefault(name, []).append(part["resource"])
        else:
            value = next((value for key, value in part.items() if key.startswith("value")), "")
            if isinstance(value, dict):
                values.setdefault(name, []).append(value)
                value = value.get("reference", "")
            texts.setdefault(name, []).append(str(value))
    return Given(texts=texts, resources=resources, values=values, passed_over=passed_over)


def _are_objects(parts: object) -> bool:
    return isinstance(parts, list) and all(isinstance(part, dict) for part in parts)


def _without_resource(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part with something in place of its resource: every part has a value."""
    if "resource" not in part:
        return part
    return {**{name: value for name, value in part.items() if name != "resource"}, "valueBoolean": True}


def _is_known(name: str, known: Collection[str]) -> bool:
    if name not in known and not blueprint.lenient():
        text = f"the parameters are {', '.join(sorted(known))}" if known else "there are no parameters"
        raise NotExchanged(Issue(code="not-supported", text=text))
    return name in known


def _body() -> dict[str, Any] | None:
    # Some clients name a form even of nothing.
    if not (raw := request.get_data()):
        return None
    media_types.check_content()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotReadable(Issue(code="not-supported", text="the body of an operation is sent as it is"))
    return reading.read(raw)
