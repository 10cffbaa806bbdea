"""`hipway post FILE ...`: post Bundles and print what became of them."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.stories.remote import Remote

DEFAULT_URL = "http://127.0.0.1:8000"


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "post",
        help="post Bundles and print the outcome",
        description="Post each file, in order. A file that holds one resource is put under its id. "
        "References such as ServiceRequest/vignette.L.SR.MRI are replaced by what the service made. "
        "Exit code 1: refused.",
        epilog="example: hipway post tests/examples/01-new-referral-visit.json --evaluate",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--url", default=DEFAULT_URL, help="the service (default: %(default)s)")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="with the token of a sender, for a service in production (or HIPWAY_TOKEN_FILE)",
    )
    parser.add_argument("--evaluate", action="store_true", help="evaluate now, in a sandbox")


def run(args: argparse.Namespace) -> int:
    """Post the files; 1 at the first that is refused, 2 when the service or a file cannot be read."""
    from fhir_profiles.reading import Unreadable
    from service.settings import token_of
    from service.stories.placeholders import NothingMatches
    from service.stories.posting import CannotBePosted
    from service.stories.remote import Refused, Remote, Unreachable

    with Remote(args.url, token_of(args.token_file)) as remote:
        for file in args.files:
            print(file)
            try:
                body = file.read_bytes()
            except OSError as error:
                print(f"hipway: {file} cannot be read: {error.strerror}.", file=sys.stderr)
                return 2
            try:
                _post(body, remote, evaluate=args.evaluate)
            except (Refused, NothingMatches) as refused:
                first, *lines = str(refused).splitlines()
                print(f"  not stored: {first}", *(f"    {line}" for line in lines), sep="\n", file=sys.stderr)
                return 1
            except Unreadable as error:
                print(f"hipway: {file} is not JSON: {error.detail}.", file=sys.stderr)
                return 2
            except CannotBePosted as error:
                print(f"hipway: {file} cannot be posted: {error}.", file=sys.stderr)
                return 2
            except Unreachable as error:
                print(f"hipway: {error}; is it running?", file=sys.stderr)
                return 2
    return 0


def _post(body: bytes, remote: "Remote", *, evaluate: bool) -> None:
    """Post one file and print the response, and what the evaluation led to or when it will be."""
    from fhir_profiles import reading
    from service.stories import collecting, orders, placeholders, posting, words

    bundle = posting.bundle(reading.read(body))
    patient = posting.patient(bundle, remote.search)
    before = collecting.record(remote.search, patient) if patient else collecting.NOTHING
    found = placeholders.wanted(bundle)
    bundle = placeholders.replaced(bundle, placeholders.meanings(found, before, orders.names()))
    response = remote.post(bundle)
    print(*words.of_entries(bundle, response), sep="\n")
    patient = posting.stored_patient(bundle, response)
    if patient is None:
        print("  about no patient: nothing to evaluate")
        return
    clock = remote.clock()
    waits = _waits(bundle, remote, clock)
    if clock is None or (waits and not evaluate):
        print(f"  {waits or 'evaluated at once'}")
        return
    said = remote.evaluate(f"Patient/{patient}")
    now = collecting.record(remote.search, patient)
    print(f"  evaluated at {said['at']}")
    print(*words.of_answer(collecting.newer(now, before.identities), now, orders.names()), sep="\n")


def _waits(bundle: Mapping[str, Any], remote: "Remote", clock: Mapping[str, Any] | None) -> str:
    """Return why the patient is not evaluated at once; empty if nothing has to be waited for."""
    from datetime import datetime, timedelta

    from service.clock import Clock
    from service.fhir import knowledge, settling

    if clock is None:
        return "evaluated when the visit is complete, at once if it is urgent or only a decision"
    if clock["evaluation"] == "held":
        return f"the clock is held at {clock['now']}: evaluated when asked, with --evaluate"
    minutes = float(remote.parameters()["parameters"]["settle.minutes"]["value"])
    due = settling.due(
        [entry["resource"] for entry in bundle.get("entry", ()) if "resource" in entry],
        clock=Clock(now=datetime.fromisoformat(clock["now"]), is_set=clock["clock"] == "set", held=False),
        window=timedelta(minutes=minutes),
        decision_system=knowledge.DECISION_SYSTEM,
        urgent=knowledge.urgent,
    )
    if not due.settles:
        return ""
    return (
        f"evaluated at {due.at:%Y-%m-%d %H:%M:%S} UTC, when {minutes:g} minutes have passed "
        "without a further Bundle; --evaluate evaluates now"
    )
