"""Reads docker-compose.yml as Compose does: merged keys, variables of the environment, conditions.

https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"

#: `$$`, or a variable with what stands for it where it is empty, which may hold another variable
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Z_]+)(?::-(?P<default>(?:[^{}]|\{[^{}]*\})*))?\})")


@dataclass(frozen=True)
class Service:
    """One service as it would be started."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: a program and its arguments; empty: there is none
    healthcheck: tuple[str, ...]
    #: the services it waits for, and what they must have reached
    after: Mapping[str, str]
    #: everything that is said about it
    raw: Mapping[str, Any]

    @property
    def ends_by_itself(self) -> bool:
        """Whether it runs once."""
        return self.raw.get("restart") == "no"


def read(environment: Mapping[str, str] = {}) -> dict[str, Any]:
    """The file with the variables of an environment put in."""
    return _interpolated(yaml.safe_load(FILE.read_text()), environment)


def services(environment: Mapping[str, str] = {}, *, profiles: Collection[str] = ()) -> dict[str, Service]:
    """The services that start with these profiles, those that others wait for first."""
    found = {
        name: _service(name, raw)
        for name, raw in read(environment)["services"].items()
        if "profiles" not in raw or set(raw["profiles"]) & set(profiles)
    }
    ordered: dict[str, Service] = {}
    while len(ordered) < len(found):
        ready = [
            each for each in found.values() if each.name not in ordered and set(each.after) <= set(ordered)
        ]
        assert ready, "services wait for each other"
        ordered |= {each.name: each for each in ready}
    return ordered


def _service(name: str, raw: Mapping[str, Any]) -> Service:
    test = raw.get("healthcheck", {}).get("test", [])
    how, *words = test or [""]
    return Service(
        name=name,
        image=raw["image"],
        command=tuple(raw.get("command", ())),
        environment=raw.get("environment", {}),
        healthcheck=("sh", "-c", *words) if how == "CMD-SHELL" else tuple(words),
        after={other: said["condition"] for other, said in raw.get("depends_on", {}).items()},
        raw=raw,
    )


def _interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def meaning(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        assert found["default"] is not None, f"{found[0]} has no default, so a fresh clone would not start"
        return environment.get(found["name"]) or _interpolated(found["default"], environment)

    said = VARIABLE.sub(meaning, value)
    assert "$" not in VARIABLE.sub("", value), f"{value} holds a $ that is neither a variable nor doubled"
    return said
