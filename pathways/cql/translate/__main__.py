"""Write FILE.elm.json beside each FILE.cql named on the command line."""

import sys
from pathlib import Path

from pathways.cql.translate import NotTranslated, translate


def main(arguments: list[str]) -> int:
    """Translate each file; return 1 when one has errors."""
    if not arguments:
        sys.stderr.write("usage: python -m pathways.cql.translate FILE.cql ...\n")
        return 2
    for argument in arguments:
        cql_path = Path(argument)
        try:
            translate(cql_path, cql_path.with_suffix(".elm.json"))
        except NotTranslated as reason:
            sys.stderr.write(f"{reason}\n")
            return 1
    return 0


sys.exit(main(sys.argv[1:]))
