"""`hipway cql`: evaluate and explain a library over one patient's Bundle, away from any service."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathways import cql

Json = Mapping[str, Any]

#: everything was evaluated
DONE = 0
#: the library is refused, or a definition could not be evaluated
FAILED = 1
#: something that was asked for is not there, or cannot be read
MISTAKEN = 2


class _Mistake(Exception):
    """What the caller must do otherwise, in one sentence."""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "cql",
        help="evaluate and explain a CQL library",
        description="Evaluate the definitions of a library over the resources of a Bundle, and explain them. "
        "FILE is CQL (.cql, translated as it is read, with what it includes from beside it; needs "
        "Node.js) or a translated library (.elm.json, see hipway translate). Ends with 1 when the library "
        "is refused or a definition fails, with 2 when something is missing.",
        epilog="example: hipway cql rules.cql --patient visit.json --explain 'Weak' -p Side=left",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--patient", metavar="BUNDLE", type=Path, required=True, help="a Bundle of one patient, or a resource"
    )
    parser.add_argument("--at", metavar="INSTANT", help="the moment of the evaluation (default: now)")
    parser.add_argument(
        "-p", "--parameter", metavar="NAME=VALUE", action="append", default=[], help="JSON, or a text"
    )
    parser.add_argument(
        "-d",
        "--definition",
        metavar="NAME",
        action="append",
        default=[],
        help="evaluate this one (default: all)",
    )
    parser.add_argument(
        "-e", "--explain", metavar="NAME", action="append", default=[], help="evaluate this one and say why"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--include", metavar="FILE", type=Path, action="append", default=[], help="a library that is included"
    )
    parser.add_argument(
        "--terminology",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a ValueSet or CodeSystem, or a Bundle of them",
    )


def run(args: argparse.Namespace) -> int:
    """Print the values of definitions, and the reasons of those that are to be explained."""
    from pathways import cql

    try:
        library = _library(args.file, args.include, args.terminology)
        evaluated = _run(library, args)
        names = _asked(library, args)
    except _Mistake as mistake:
        print(f"hipway cql: {mistake}", file=sys.stderr)
        return MISTAKEN
    except cql.Refused as refused:
        for reason in refused.reasons:
            print(f"hipway cql: {reason}", file=sys.stderr)
        return FAILED
    told = [_told(evaluated, name, explain=name in args.explain) for name in names]
    if args.format == "json":
        print(json.dumps(told, indent=1, ensure_ascii=False, default=str))
    else:
        print("\n".join(map(_text, told)))
    return FAILED if any("error" in each for each in told) else DONE


def _library(file: Path, included: Iterable[Path], terminology: Iterable[Path]) -> "cql.Library":
    from pathways import cql

    elm, *beside = _libraries(file)
    others = [*beside, *(each for path in included for each in _libraries(path))]
    resources = [resource for path in terminology for resource in _resources(_json(path))]
    return cql.load(elm, libraries=_once(others), terminology=cql.InMemory(resources))


def _libraries(file: Path) -> list[Json]:
    """Return a library and, of one that is translated now, those beside it that it includes."""
    if file.suffix != ".cql":
        return [_json(file)]
    from pathways.cql.translate import NotTranslated, with_included

    try:
        return [*with_included(file, locators=True)]
    except NotTranslated as error:
        raise _Mistake(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _Mistake(f"{file} cannot be read ({type(error).__name__})") from None


def _once(libraries: Iterable[Json]) -> list[Json]:
    """Return the libraries without those that are given twice."""
    found: dict[str, Json] = {}
    for elm in libraries:
        found.setdefault(
            json.dumps(elm.get("library", {}).get("identifier"), sort_keys=True, default=str), elm
        )
    return list(found.values())


def _json(file: Path) -> Any:
    from fhir_profiles import reading

    try:
        return reading.read(file.read_bytes())
    except OSError as error:
        raise _Mistake(f"{file} cannot be read ({type(error).__name__})") from None
    except reading.Unreadable as error:
        raise _Mistake(f"{file} is not JSON: {error}") from None


def _resources(given: Any) -> list[Json]:
    """Return the resources of a Bundle, or the one resource."""
    if not isinstance(given, dict) or "resourceType" not in given:
        raise _Mistake("a file that should hold a FHIR resource holds none")
    if given["resourceType"] != "Bundle":
        return [given]
    return [entry["resource"] for entry in given.get("entry", ()) if "resource" in entry]


def _run(library: "cql.Library", args: argparse.Namespace) -> "cql.Run":
    from pathways import cql

    resources = _resources(_json(args.patient))
    patients = {resource.get("id") for resource in resources if resource["resourceType"] == "Patient"}
    if len(patients) != 1:
        raise _Mistake(f"{args.patient} holds {len(patients)} patients; one is evaluated at a time")
    try:
        return library.at(_moment(args.at), cql.Records(resources), _parameters(args.parameter))
    except cql.EvaluationFailed as error:
        raise _Mistake(f"{error}; give it with -p NAME=VALUE") from None


def _asked(library: "cql.Library", args: argparse.Namespace) -> list[str]:
    for name in (*args.definition, *args.explain):
        if name not in library.public:
            raise _Mistake(f"there is no definition {name!r}")
    return list(dict.fromkeys((*args.definition, *args.explain))) or list(library.definitions)


def _told(evaluated: "cql.Run", name: str, *, explain: bool) -> dict[str, Any]:
    from pathways import cql
    from pathways.cql.wording import plain

    try:
        told = {"definition": name, "value": plain(evaluated[name])}
        return {**told, "explanation": evaluated.explain(name)} if explain else told
    except cql.EvaluationFailed as error:
        return {"definition": name, "error": error.reason if error.definition == name else str(error)}


def _text(told: Json) -> str:
    from pathways.cql import rendering

    if "error" in told:
        return f"{told['definition']}: not evaluated, {told['error']}"
    if "explanation" in told:
        return rendering.outline({**told["explanation"], "text": told["definition"]})
    return f"{told['definition']}: {'unknown' if told['value'] is None else told['value']}"


def _moment(text: str | None) -> datetime:
    """Return the moment asked for; without an offset it is UTC."""
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Mistake(f"--at {text} is no instant; write it like 2026-03-14T09:00:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parameters(given: list[str]) -> dict[str, Any]:
    """Return the parameters; a value that is not JSON is taken as text."""
    parameters: dict[str, Any] = {}
    for each in given:
        name, sign, text = each.partition("=")
        if not sign:
            raise _Mistake(f"-p {each} has no value; write NAME=VALUE")
        try:
            parameters[name] = json.loads(text)
        except ValueError:
            parameters[name] = text
    return parameters
