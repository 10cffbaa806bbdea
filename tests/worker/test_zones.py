"""Which edition of the time zone data is named in a decision."""

import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker import zones


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    zones.edition.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    zones.edition.cache_clear()


def test_the_edition_of_the_machine_is_named(tmp_path: Path):
    (tmp_path / "tzdata.zi").write_text("# version 2025b\n# This zic input file is in the public domain.\n")
    zoneinfo.reset_tzpath([str(tmp_path)])

    assert zones.edition() == "2025b"


@pytest.mark.parametrize("content", [None, "", "R A 1916 o - Jun 14 23s 1 S\n"])
def test_data_without_an_edition_are_the_machines(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "tzdata.zi").write_text(content)
    zoneinfo.reset_tzpath([str(tmp_path)])

    assert zones.edition() == "the machine's"


def test_without_data_on_the_machine_the_package_is_named(tmp_path: Path):
    zoneinfo.reset_tzpath([str(tmp_path / "nothing")])

    assert zones.edition().startswith("tzdata 2")
