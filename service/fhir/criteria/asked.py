"""One criterion as it was asked: a parameter of a type, its modifier, and the values of which one must match.

http://hl7.org/fhir/R4/search.html#modifiers
"""

import re
from dataclasses import dataclass

from fhir_profiles.r4.search_parameters import Parameter
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.terminology import Terminology
from service.store.indexing import parameters

#: before a number or a date
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

#: of a criterion that has no modifier: no definition is looked for
_NONE = Terminology(lambda _type, _named: None)

_PREFIXED = re.compile(rf"(?P<prefix>{'|'.join(PREFIXES)})?(?P<rest>[-+.\d].*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A criterion, about one alias of the table of resources."""

    #: of the resources that are looked for
    type: str
    parameter: Parameter
    modifier: str
    #: the service's own base; references may begin with it
    base: str
    #: the alias of the resource
    of: str = "r"
    #: by which `:in`, `:above` and their like are understood
    terminology: Terminology = _NONE

    @property
    def name(self) -> str:
        """Return the name of the parameter."""
        return self.parameter.name

    @property
    def kept_as(self) -> tuple[str, ...]:
        """Return the names under which its values are kept; none: it is a column."""
        return parameters.names(self.type, self.name)

    @property
    def column(self) -> str | None:
        """Return the column that it is, with the alias."""
        column = parameters.column(self.type, self.name)
        return f"{self.of}.{column}" if column else None

    def refused(self, text: str) -> NotExchanged:
        """Return the refusal of a value, with the name of the parameter."""
        return NotExchanged(Issue(code="value", text=f"{self.name} {text}"))


def prefixed(asked: Asked, text: str, example: str) -> tuple[str, str]:
    """Return prefix and rest of a number or a date.

    Raises:
        NotExchanged: it begins with neither.
    """
    match = _PREFIXED.fullmatch(text)
    if match is None:
        words = ", ".join(PREFIXES)
        raise asked.refused(f"is {example}, with one of {words} before it or without")
    return match["prefix"] or "eq", match["rest"]
