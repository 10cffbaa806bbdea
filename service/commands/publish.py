"""`hipway publish`: put the definitions on a FHIR server, what is referred to before what refers to it."""

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

#: a server that loads a library may think about it
TIMEOUT_S = 120


class _Refused(Exception):
    """The server did not take a definition; the text says which and why."""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "publish",
        help="put the definitions on a FHIR server",
        description="PUT terminology, profiles, rules, activities, order sets and plan of every pathway on a "
        "FHIR R4 server, one after another, and say what changed there. Publishing again changes nothing.",
        epilog="example: hipway publish --to http://127.0.0.1:8090/fhir",
    )
    parser.add_argument("--to", metavar="URL", required=True, help="the base of the server")
    # Named for this server alone: a token of one service must not reach another by the environment.
    parser.add_argument(
        "--token-file", metavar="FILE", help="with a Bearer token, where the server asks for one"
    )


def run(args: argparse.Namespace) -> int:
    """Publish and print what became of each definition; 1 when the server refuses."""
    import httpx

    from pathways import catalogue
    from service.settings import token_of
    from service.stories.remote import bearer

    token = token_of(args.token_file, {})
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", **bearer(token)}
    changes = 0
    resources = catalogue.published()
    try:
        with httpx.Client(base_url=args.to.rstrip("/"), headers=headers, timeout=TIMEOUT_S) as server:
            for resource in resources:
                change = _put(server, resource)
                if change:
                    changes += 1
                    print(f"  {change}  {_place(resource)}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"hipway publish: {args.to} does not answer: {type(error).__name__}", file=sys.stderr)
        return 1
    except _Refused as refused:
        print(f"hipway publish: {args.to} does not take {refused}", file=sys.stderr)
        return 1
    print(f"{changes or 'none'} of {len(resources)} definitions changed on {args.to}")
    return 0


def _put(server: "httpx.Client", resource: Mapping[str, Any]) -> str | None:
    """Put one definition and return what happened to it; None: nothing, it was there as it is.

    A server gives a resource that does not change no new version, https://hl7.org/fhir/R4/http.html#update.

    Raises:
        _Refused: the server answers with an error.
    """
    from fhir_profiles import reading

    before = _stored(server, resource)
    stored = server.put(f"/{_place(resource)}", content=reading.write(resource))
    if stored.is_error:
        raise _Refused(f"{_place(resource)}: {stored.status_code}, {_reason(stored)}")
    if before is None:
        return "created"
    if f'W/"{before["meta"]["versionId"]}"' == stored.headers.get("ETag"):
        return None
    if before.get("version") == resource["version"]:
        # Engines keep what they have compiled of a version, and some never look again.
        return f"changed under the same version {resource['version']}"
    return "changed"


def _stored(server: "httpx.Client", resource: Mapping[str, Any]) -> Any:
    """Return the definition as the server has it; None: it has none.

    HAPI answers a read of an OperationDefinition from its own capabilities; a search finds the stored one.
    """
    read = server.get(f"/{_place(resource)}")
    if read.is_success:
        return read.json()
    found = server.get(f"/{resource['resourceType']}", params={"_id": resource["id"]})
    entries = found.json().get("entry", ()) if found.is_success else ()
    return next((entry["resource"] for entry in entries), None)


def _place(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _reason(answer: "httpx.Response") -> str:
    """Return the first sentence of an OperationOutcome, or of whatever else was answered."""
    try:
        issue = answer.json()["issue"][0]
        said = issue.get("diagnostics") or issue["details"]["text"]
    except (ValueError, LookupError, TypeError):
        said = answer.text.strip() or answer.reason_phrase
    return " ".join(str(said).split())[:300]
