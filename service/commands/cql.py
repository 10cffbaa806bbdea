"""`hipway cql`: evaluate and explain a library over one patient's Bundle, away from any service."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "cql",
        help="evaluate and explain a CQL library",
        description="Evaluate every definition of a library over the resources of a Bundle, or explain one. "
        "FILE is a translated library (.elm.json, see hipway translate).",
        epilog="example: hipway cql rules.elm.json --patient visit.json --explain 'Weak' -p Side=left",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--patient", metavar="BUNDLE", type=Path, required=True, help="a Bundle, or a resource"
    )
    parser.add_argument("--at", metavar="INSTANT", help="the moment of the evaluation (default: now)")
    parser.add_argument("--explain", metavar="DEFINITION", help="show why, as JSON")
    parser.add_argument("-p", "--parameter", metavar="NAME=JSON", action="append", default=[])


def run(args: argparse.Namespace) -> int:
    """Print one line per definition, or the explanation of one."""
    from fhir_profiles import reading
    from pathways import cql

    try:
        library = cql.load(reading.read(args.file.read_bytes()))
        bundle = reading.read(args.patient.read_bytes())
    except (OSError, reading.Unreadable) as error:
        print(f"hipway cql: {error}", file=sys.stderr)
        return 2
    except cql.Refused as refused:
        print(f"hipway cql: {refused}", file=sys.stderr)
        return 1
    moment = _moment(args.at)
    resources = [entry["resource"] for entry in bundle.get("entry", ())] or [bundle]
    try:
        evaluated = library.at(moment, cql.Records(resources), _parameters(args.parameter))
    except cql.EvaluationFailed as error:
        print(f"hipway cql: {error}; give it with -p NAME=VALUE", file=sys.stderr)
        return 2
    if args.explain is not None and args.explain not in library.definitions:
        print(f"hipway cql: there is no definition {args.explain!r}", file=sys.stderr)
        return 2
    if args.explain is not None:
        print(json.dumps(evaluated.explain(args.explain), indent=1, ensure_ascii=False, default=str))
        return 0
    failed = False
    for name in library.definitions:
        try:
            print(f"{name}: {_said(evaluated[name])}")
        except cql.EvaluationFailed as error:
            failed = True
            print(f"{name}: not evaluated, {error}")
    return 1 if failed else 0


def _moment(text: str | None) -> datetime:
    """Return the moment asked for; without an offset it is UTC."""
    if text is None:
        return datetime.now(UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parameters(given: list[str]) -> dict[str, Any]:
    """Return the parameters; a value that is not JSON is taken as text."""
    parameters: dict[str, Any] = {}
    for each in given:
        name, _, text = each.partition("=")
        try:
            parameters[name] = json.loads(text)
        except ValueError:
            parameters[name] = text
    return parameters


def _said(value: Any) -> str:
    return "unknown" if value is None else str(value)
