"""`hipway package`: the definitions as a FHIR package, the npm format that other FHIR tools install.

https://hl7.org/fhir/packages.html
"""

import argparse
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "org.hipway.pathways"


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "package",
        help="write the definitions as a FHIR package",
        description="Write plan, order sets, activities, rules and terminology of every pathway as a FHIR "
        "package (.tgz). The same definitions give the same bytes.",
        epilog="example: hipway package --to dist/",
    )
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path())


def run(args: argparse.Namespace) -> int:
    """Write the package and print its path."""
    from fhir_profiles import reading, topics
    from pathways import catalogue

    version = catalogue.pathways()[0].version
    resources = (*catalogue.published(), *topics.resources())
    files: dict[str, bytes] = {
        "package/package.json": _json(_manifest(version)),
        "package/.index.json": _json(_index(resources)),
    }
    files |= {f"package/{_file(resource)}": reading.write(resource) for resource in resources}
    args.to.mkdir(parents=True, exist_ok=True)
    path = args.to / f"{NAME}-{version}.tgz"
    path.write_bytes(_packed(files))
    print(path)
    return 0


def _manifest(version: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "version": version,
        "description": "The care pathways of hipway. Draft, not approved for live use.",
        "author": "hipway",
        "license": "Apache-2.0",
        "canonical": "https://w3id.org/hipway",
        "fhirVersions": ["4.0.1"],
        "dependencies": {"hl7.fhir.r4.core": "4.0.1"},
    }


def _index(resources: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    entries = [
        {
            "filename": _file(resource),
            "resourceType": resource["resourceType"],
            "id": resource["id"],
            "url": resource.get("url"),
            "version": resource.get("version"),
        }
        for resource in resources
    ]
    return {"index-version": 2, "files": entries}


def _file(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}-{resource['id']}.json"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _packed(files: Mapping[str, bytes]) -> bytes:
    """Return the archive. No time and no owner is in it, so that it depends on its content alone."""
    import gzip

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(archive.getvalue(), mtime=0)
