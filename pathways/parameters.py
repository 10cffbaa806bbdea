"""The values a site may change: resolved from a profile and changes, each inside its range."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pathways.definition import Parameter, Pathway

PROFILE = "profile"


class InvalidParameters(Exception):
    """Values that a site may not set. Nothing was changed."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def resolve(pathway: Pathway, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter with its value: the default, the profile's, or the chosen one.

    Raises:
        InvalidParameters: a name that does not exist or a value outside its range, all of them named.
    """
    profile = chosen.get(PROFILE, pathway.default_profile)
    reasons = [] if profile in pathway.profiles else [f"there is no profile {profile!r}"]
    given = {**pathway.profiles.get(str(profile), {}), **{k: v for k, v in chosen.items() if k != PROFILE}}
    values: dict[str, Any] = {name: p.default for name, p in pathway.parameters.items()}
    for name, value in given.items():
        parameter = pathway.parameters.get(name)
        if parameter is None:
            reasons.append(f"there is no parameter {name!r}")
            continue
        try:
            values[name] = _checked(parameter, value)
        except ValueError as problem:
            reasons.append(f"{name} {problem}")
    if reasons:
        raise InvalidParameters(tuple(reasons))
    return values


def concerning(pathway: Pathway, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what a site has chosen that which this pathway knows; the rest is for others."""
    return {
        name: value
        for name, value in chosen.items()
        if name in pathway.parameters or (name == PROFILE and value in pathway.profiles)
    }


def read(parameter: Parameter, text: str) -> object:
    """Return the value that somebody wrote, as JSON has it.

    Raises:
        ValueError: it is no value of the parameter, or outside its range; the message says what is allowed.
    """
    written = text.strip()
    if parameter.type == "boolean":
        return _checked(parameter, {"true": True, "false": False}.get(written))
    if parameter.type in ("choice", "zone"):
        return _checked(parameter, written)
    try:
        number = Decimal(written)
    except InvalidOperation:
        raise ValueError(_limits(parameter)) from None
    return plain(_checked(parameter, number))


def plain(value: object) -> object:
    """Return a number as JSON has it: 2.0 is read as a decimal and 6 as an integer."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def with_value(pathway: Pathway, chosen: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return what a site has chosen with another value of one parameter of the pathway.

    A value that holds anyway, as the default or by the profile, is not chosen.

    Args:
        chosen: of this and of other pathways.

    Raises:
        InvalidParameters: the name does not exist, or the value is outside its range.
    """
    others = {known: given for known, given in chosen.items() if known != name}
    ours = concerning(pathway, others)
    given = resolve(pathway, {**ours, name: value})[name]
    return others if resolve(pathway, ours)[name] == given else {**others, name: value}


def changed(pathway: Pathway, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from their default."""
    return {n: v for n, v in values.items() if n in pathway.parameters and v != pathway.parameters[n].default}


def recalled(pathway: Pathway, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter as it was when these differed from their default, as the log keeps them."""
    values: dict[str, Any] = {name: p.default for name, p in pathway.parameters.items()}
    for name, value in changed.items():
        if parameter := pathway.parameters.get(name):
            values[name] = Decimal(value) if parameter.type == "decimal" else value
    return values


def _checked(parameter: Parameter, value: Any) -> Any:
    match parameter.type:
        case "boolean":
            if not isinstance(value, bool):
                raise ValueError("must be true or false")
            return value
        case "choice":
            if value not in parameter.allowed:
                raise ValueError(f"must be one of {', '.join(parameter.allowed)}")
            return value
        case "zone":
            try:
                ZoneInfo(str(value))
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("must be a time zone of the IANA database") from None
            return str(value)
        case _:
            return _number(parameter, value)


def _number(parameter: Parameter, value: Any) -> Any:
    limits = _limits(parameter)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError(limits)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(limits) from None
    assert parameter.low is not None
    assert parameter.high is not None
    if not number.is_finite() or not parameter.low <= number <= parameter.high:
        raise ValueError(limits)
    if parameter.type == "integer":
        if number != number.to_integral_value():
            raise ValueError("must be a whole number")
        return int(number)
    return number


def _limits(parameter: Parameter) -> str:
    return f"must be a number from {parameter.low} to {parameter.high} {parameter.unit}"
