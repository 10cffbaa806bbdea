"""Which edition of the time zone data an evaluation counts days by."""

import zoneinfo
from functools import cache
from importlib import metadata
from pathlib import Path

#: of the machine's data, as the IANA distributes them: https://data.iana.org/time-zones/tz-link.html
COMPACT = "tzdata.zi"
HEADER = "# version "


@cache
def edition() -> str:
    """Return the edition, such as `2025b`: of the machine's data if there are any, else of the package's."""
    for folder in map(Path, zoneinfo.TZPATH):
        if folder.is_dir():
            return _of_machine(folder / COMPACT)
    return f"tzdata {metadata.version('tzdata')}"


def _of_machine(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
    except OSError:
        return "the machine's"
    return first.removeprefix(HEADER).strip() if first.startswith(HEADER) else "the machine's"
