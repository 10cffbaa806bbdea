"""`hipway publish`: put the definitions on a FHIR server, in one transaction."""

import argparse
import sys

#: a server that loads a library may think about it
TIMEOUT_S = 120


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "publish",
        help="put the definitions on a FHIR server",
        description="PUT plan, order sets, activities, rules and terminology of every pathway on a FHIR R4 "
        "server, all or nothing. Publishing again changes nothing.",
        epilog="example: hipway publish --to http://127.0.0.1:8090/fhir",
    )
    parser.add_argument("--to", metavar="URL", required=True, help="the base of the server")


def run(args: argparse.Namespace) -> int:
    """Publish and print what became of each definition; 1 when the server refuses."""
    import httpx

    from fhir_profiles import reading
    from pathways import catalogue

    entries = [
        {
            "fullUrl": resource["url"],
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in catalogue.published()
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    try:
        answer = httpx.post(
            args.to.rstrip("/"), content=reading.write(bundle), headers=headers, timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        print(f"hipway publish: {args.to} does not answer: {type(error).__name__}", file=sys.stderr)
        return 1
    if answer.status_code != httpx.codes.OK:
        print(f"hipway publish: {args.to} answered {answer.status_code}", file=sys.stderr)
        print(answer.text[:2000], file=sys.stderr)
        return 1
    for entry, said in zip(entries, answer.json().get("entry", ()), strict=False):
        print(f"  {said['response']['status'][:3]}  {entry['request']['url']}")
    return 0
