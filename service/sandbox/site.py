"""The site's parameters as the control interface shows and sets them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from pathways import catalogue
from pathways.definition import Parameter, Pathway
from pathways.parameters import PROFILE, InvalidParameters, concerning, plain, resolve
from service import clock
from service.sandbox.answers import NotDone
from service.store import parameters

WHO = "sandbox"


def shown(tx: Connection) -> dict[str, Any]:
    """Return the profile, and every parameter with value, default, range and source."""
    chosen = parameters.current(tx)
    return {
        PROFILE: _profile(chosen),
        "profiles": sorted({profile for pathway in catalogue.pathways() for profile in pathway.profiles}),
        "parameters": {
            name: {"value": plain(values[name]), **_described(parameter)}
            for pathway in catalogue.pathways()
            for values in (resolve(pathway, concerning(pathway, chosen)),)
            for name, parameter in pathway.parameters.items()
        },
    }


def set_to(tx: Connection, chosen: Mapping[str, Any]) -> None:
    """Set the values named; what is not named is at its default.

    Raises:
        NotDone: 422, with every reason; nothing is changed.
    """
    known = [concerning(pathway, chosen) for pathway in catalogue.pathways()]
    nobodys = {name: value for name, value in chosen.items() if not any(name in each for each in known)}
    for pathway, given in zip(catalogue.pathways(), known, strict=True):
        try:
            resolve(pathway, {**given, **nobodys})
        except InvalidParameters as error:
            raise NotDone(422, f"{'; '.join(error.reasons)}. Nothing was changed.") from error
    if dict(chosen) != parameters.current(tx):
        parameters.set_(tx, {name: plain(value) for name, value in chosen.items()}, WHO, clock.now(tx))


def _profile(chosen: Mapping[str, object]) -> object:
    first: Pathway = catalogue.pathways()[0]
    return chosen.get(PROFILE, first.default_profile)


def _described(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "default": plain(parameter.default),
        "type": parameter.type,
        "unit": parameter.unit,
        "source": parameter.source,
    }
    if parameter.low is not None:
        described |= {"low": plain(parameter.low), "high": plain(parameter.high)}
    if parameter.allowed:
        described |= {"allowed": list(parameter.allowed)}
    return described
