"""Where a person may be led: to our own pages and nowhere else."""

import re

#: A path of printable ASCII. Browsers read `//host`, `/\host` and `/<tab>/host` as addresses of another host.
PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def inside(path: str) -> str:
    """Return a path of ours to go back to; empty for everything else, to which nobody is ever led."""
    return path if PATH.fullmatch(path) else ""
