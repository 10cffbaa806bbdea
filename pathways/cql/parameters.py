"""The parameters of a library: their types, their defaults, and what a caller may hand over.

A caller may give a DateTime, Date or Time as an ISO text, and numbers as Python's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from pathways.cql import temporal
from pathways.cql.compiler import Compiler, type_name
from pathways.cql.nodes.types import type_test
from pathways.cql.refusal import EvaluationFailed, Unanswerable, Unsupported
from pathways.cql.scope import Closure, Compiled, Frame, Node
from pathways.cql.temporal import HOME, Date, DateTime
from pathways.cql.values import Quantity

if TYPE_CHECKING:
    from pathways.cql.run import Run


_ANY = "{urn:hl7-org:elm-types:r1}Any"


@dataclass(frozen=True, slots=True)
class Constant:
    """A default that is the same in every run."""

    value: Any


class Parameter:
    """One declared parameter."""

    def __init__(self, name: str, type_: Any, default: tuple[Closure, Frame] | None) -> None:
        self.name = name
        self.frame = default[1] if default else None
        self.type = type_name(type_) or "Any"
        self.required = default is None
        self._element = type_name(type_.get("elementType")) if isinstance(type_, Mapping) else None
        self._test = type_test(type_)
        self._default = Compiled(*default) if default else None
        self.constant: Constant | None = None

    def given(self, value: Any) -> Any:
        """Return the value a caller gave, converted to the declared type.

        Raises:
            EvaluationFailed: it is not of the type.
        """
        return self._checked(self._converted(value))

    def default(self, run: "Run") -> Any:
        """Return the default.

        Raises:
            EvaluationFailed: there is none, or it is not of the declared type.
        """
        if self._default is None:
            raise EvaluationFailed(self.name, "a required parameter is missing")
        return self._checked(run.part(self._default.closure, self._default))

    def _checked(self, value: Any) -> Any:
        if value is not None and not self._test(value):
            raise EvaluationFailed(self.name, f"a parameter that is not of type {self.type}")
        return value

    def _converted(self, value: Any) -> Any:
        try:
            if self.type == "List" and isinstance(value, Sequence) and not isinstance(value, str):
                return [_converted(item, self._element) for item in value]
            return _converted(value, self.type)
        except ValueError:
            raise EvaluationFailed(self.name, f"a parameter that is not of type {self.type}") from None


def parameter_defined(compiler: Compiler, definition: Node) -> Parameter:
    """Return the parameter a ParameterDef declares, noting in the compiler what cannot be."""
    name = compiler.prefix + definition["name"]
    default = definition.get("default")
    refused = len(compiler.program.reasons)
    compiled = None if default is None else compiler.definition(definition["name"], default)
    whole = len(compiler.program.reasons) == refused
    type_ = definition.get("parameterTypeSpecifier") or definition.get("parameterType")
    type_ = type_ or definition.get("resultTypeSpecifier") or definition.get("resultTypeName")
    try:
        parameter = Parameter(name, type_ or _ANY, compiled)
        if whole and compiled and default and _is_constant(default):
            value = compiled[0](cast("Run", None), [None] * compiled[1].size)
            parameter.constant = Constant(parameter.given(value))
    except Unsupported as reason:
        compiler.program.refuse(name, str(reason), hint=reason.hint)
        return Parameter(name, _ANY, compiled)
    except (EvaluationFailed, Unanswerable):
        compiler.program.refuse(
            name, f"the default is not of type {parameter.type}", hint="mend the default or the type"
        )
    return parameter


def _is_constant(node: Node) -> bool:
    """Return whether a default has one value, whatever the run: a literal, or null of a type."""
    kind = node["type"]
    return kind in ("Literal", "Null", "Quantity") or (kind == "As" and _is_constant(node["operand"]))


def _converted(value: Any, type_: str | None) -> Any:
    if isinstance(value, str) and type_ in _FROM_TEXT:
        return _read(type_, value, HOME.get())
    if type_ == "Decimal" and type(value) in (int, float):
        return Decimal(str(value))
    if type_ == "DateTime" and (isinstance(value, Date) or (isinstance(value, DateTime) and value.implied)):
        # Without an offset of its own it is at home, which only the run knows.
        return DateTime(*value.fields)
    if type_ == "Quantity" and type(value) in (int, Decimal):
        return Quantity(Decimal(value))
    return value


@lru_cache(maxsize=4096)
def _read(type_: str, text: str, _home: int) -> Any:
    """Return the value that a text means, once for the runs of an evaluation, which are given the same.

    Args:
        _home: the offset of a moment whose text has none.
    """
    return _FROM_TEXT[type_](text)


_FROM_TEXT: dict[str | None, Callable[[str], Any]] = {
    "Date": temporal.parse_date,
    "DateTime": temporal.parse_datetime,
    "Time": temporal.parse_time,
    "Decimal": lambda text: Decimal(text) if text.lstrip("-").replace(".", "", 1).isdigit() else text,
}
