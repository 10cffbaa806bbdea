"""Mutation testing of the rules: what is changed in a threshold or an operator, a story must notice.

    make rule-mutants                     every mutant of the rules
    make rule-mutants SAMPLE=30 SEED=7    thirty, by the seed

A mutant is the pathway with one change: an operator of the rules' ELM replaced, a number moved by one, the
default of a parameter moved by a step. It is caught when the rules answer otherwise than their second reading
(`rule_model`), when a story ends otherwise than the specification says, or when a rule errs.
`tests/pathways/rule_mutants.json` names those that nothing catches, with the reason; any other is a failure.
"""

import argparse
import json
import multiprocessing
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import playing
import second_reading
from mutants import commit
from playing import Play, read
from random_hips import records
from rule_model import CONSENT_IMAGING, Hip

from pathways import cql, parameters
from pathways.definition import Parameter, Pathway
from pathways.load import load

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "pathways" / "gluteus_medius_tear"
NAMED = Path(__file__).parent / "pathways" / "rule_mutants.json"
#: how many hips the second reading is asked about, and which
HIPS, HIPS_SEED = 3000, 20261126
#: and of hips in therapy whose person has declined imaging, which one in forty is
DECLINED, DECLINED_SEED = 100, 20261127
#: of a hundred mutants so many must be caught
CAUGHT = 95

#: an operator, and what it is mistaken for
SWAPPED = {
    "And": "Or",
    "Or": "And",
    "Less": "LessOrEqual",
    "LessOrEqual": "Less",
    "Greater": "GreaterOrEqual",
    "GreaterOrEqual": "Greater",
    "Equal": "NotEqual",
    "Before": "SameOrBefore",
    "After": "SameOrAfter",
    "SameOrAfter": "After",
    "SameOrBefore": "Before",
    "Add": "Subtract",
    "Subtract": "Add",
    "First": "Last",
    "Last": "First",
    "Max": "Min",
    "Min": "Max",
}
#: operators that are denied, and those that are passed over for their operand
DENIED = ("Exists", "IsNull", "In")
PASSED = ("Not", "IsTrue", "Coalesce", "Abs")
NUMBER = "{urn:hl7-org:elm-types:r1}Integer"
TRUTH = "{urn:hl7-org:elm-types:r1}Boolean"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: of a node of the ELM, by its path from a definition, or of a parameter's default."""

    place: str
    path: tuple[str | int, ...]
    change: str

    @property
    def name(self) -> str:
        """Return where it is and what it changes."""
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return f"{self.place}{where}: {self.change}"


def of_rules(definitions: list[Json]) -> Iterator[Mutant]:
    """Yield every mutant of the ELM's definitions."""
    for definition in definitions:
        for path, node in _nodes(definition["expression"], ()):
            for change in _changes(node):
                yield Mutant(definition["name"], path, change)


def of_parameters(pathway: Pathway) -> Iterator[Mutant]:
    """Yield every mutant of the parameters' defaults, inside their ranges."""
    for parameter in pathway.parameters.values():
        for default in _neighbours(parameter):
            yield Mutant(parameter.name, (), f"{parameter.default} -> {default}")


def caught_by(mutant: Mutant) -> str | None:
    """Return the story that ends otherwise with the mutant, None if all end as they should."""
    pathway, elm = _original()
    with _mutated(pathway, elm, mutant) as changed:
        if changed is None:
            return "refused at load"
        # The values of a site are asked of the mutant: a limit that moved is seen by them.
        site = parameters.resolve(changed, {})
        for hip, answers in _hips():
            if found := next(second_reading.differences(changed, hip, answers, site), None):
                return found
        for name, story in _stories():
            try:
                if next(playing.differences(story, Play(pathway=changed)), None):
                    return name
            except (cql.EvaluationFailed, ArithmeticError, LookupError, TypeError, ValueError) as fault:
                return f"{name} ({type(fault).__name__})"
    return None


def main() -> int:
    """Print what was caught, and each mutant that was not and is not named; return 1 for one of those."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sample", type=int, default=0, help="so many mutants")
    arguments.add_argument("--seed", default="", help="of the sample; the commit's by default")
    given = arguments.parse_args()
    pathway, elm = _original()
    mutants = [*of_rules(elm["library"]["statements"]["def"]), *of_parameters(pathway)]
    if given.sample:
        seed = given.seed or commit()
        print(f"rules: seed {seed}, {given.sample} of {len(mutants)} mutants")
        mutants = random.Random(seed).sample(mutants, min(given.sample, len(mutants)))
    named: dict[str, str] = json.loads(NAMED.read_text())
    _hips(), _stories()
    with multiprocessing.get_context("fork").Pool() as pool:
        found = list(zip(mutants, pool.imap(caught_by, mutants, chunksize=4), strict=True))
    missed = [mutant.name for mutant, story in found if story is None]
    unnamed = [name for name in missed if name not in named]
    share = 100 * (len(found) - len(missed)) / len(found)
    print(f"rules: {len(found)} mutants, {len(found) - len(missed)} caught ({share:.1f} %), ", end="")
    print(f"{len(missed) - len(unnamed)} named, {len(unnamed)} not")
    print(*(f"  not named: {name}\n" for name in unnamed), sep="", end="")
    return 1 if unnamed or (not given.sample and share < CAUGHT) else 0


@cache
def _original() -> tuple[Pathway, Json]:
    return load(FOLDER), json.loads((FOLDER / "rules.elm.json").read_text(), parse_float=Decimal)


@cache
def _hips() -> list[tuple[Hip, Json]]:
    site = parameters.resolve(_original()[0], {})
    declined = (
        hip
        for hip in records(DECLINED_SEED, site)
        if hip.declined(CONSENT_IMAGING) and hip.state.get("Stage") == "conservative-therapy"
    )
    hips = (*islice(records(HIPS_SEED, site), HIPS), *islice(declined, DECLINED))
    return [(hip, hip.answers()) for hip in hips]


@cache
def _stories() -> list[tuple[str, Json]]:
    paths = sorted((Path(__file__).parent / "stories").glob("V*.json"))
    return [(path.stem, read(path)) for path in paths]


@contextmanager
def _mutated(pathway: Pathway, elm: Json, mutant: Mutant) -> Iterator[Pathway | None]:
    """Give the pathway with the change for a block; None where it does not load."""
    if mutant.place in pathway.parameters:
        parameter = pathway.parameters[mutant.place]
        default = next(d for d in _neighbours(parameter) if mutant.change.endswith(f"-> {d}"))
        yield replace(
            pathway, parameters={**pathway.parameters, mutant.place: replace(parameter, default=default)}
        )
        return
    definition = next(d for d in elm["library"]["statements"]["def"] if d["name"] == mutant.place)
    holder: Any = definition
    for part in ("expression", *mutant.path)[:-1]:
        holder = holder[part]
    last = ("expression", *mutant.path)[-1]
    before = holder[last]
    holder[last] = _changes(before)[mutant.change]()
    try:
        library = cql.load(elm)
    except cql.Refused:
        yield None
    else:
        yield replace(pathway, library=library)
    finally:
        holder[last] = before


def _nodes(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Json]]:
    if isinstance(node, list):
        for index, part in enumerate(node):
            yield from _nodes(part, (*path, index))
    elif isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield path, node
        for name, part in node.items():
            # What an operator takes is no part of a rule.
            if name not in ("signature", "resultTypeSpecifier", "asTypeSpecifier"):
                yield from _nodes(part, (*path, name))


def _changes(node: Json) -> dict[str, Callable[[], Json]]:
    """Return the changes of one node by name."""
    kind = node["type"]
    if kind in SWAPPED:
        return {f"{kind} -> {SWAPPED[kind]}": lambda: {**node, "type": SWAPPED[kind]}}
    if kind in DENIED:
        return {f"{kind} -> not {kind}": lambda: {"type": "Not", "operand": node}}
    if kind in PASSED:
        return {f"{kind} -> its operand": lambda: _operand(node)}
    if kind == "Literal" and node["valueType"] == NUMBER:
        value = int(node["value"])
        return {
            f"{value} -> {value + step}": lambda step=step: {**node, "value": str(value + step)}  # type: ignore[misc]
            for step in (1, -1)
        }
    if kind == "Literal" and node["valueType"] == TRUTH:
        other = "false" if node["value"] == "true" else "true"
        return {f"{node['value']} -> {other}": lambda: {**node, "value": other}}
    if kind == "Quantity":
        return {f"{node['value']} -> {node['value'] + 1}": lambda: {**node, "value": node["value"] + 1}}
    return {}


def _operand(node: Json) -> Json:
    operand: Json = node["operand"][0] if isinstance(node["operand"], list) else node["operand"]
    return operand


def _neighbours(parameter: Parameter) -> list[Any]:
    """Return the values next to a default that a site might choose."""
    default: Any = parameter.default
    if parameter.type == "boolean":
        return [not default]
    if parameter.allowed:
        return [value for value in parameter.allowed if value != default]
    if parameter.type not in ("integer", "decimal"):
        return []
    step = 1 if default == int(default) else Decimal("0.5")
    low, high = parameter.low, parameter.high
    return [
        value
        for value in (default + step, default - step)
        if (low is None or value >= low) and (high is None or value <= high)
    ]


if __name__ == "__main__":
    sys.exit(main())
