"""`hipway secrets`: what is missing is made once, what is there is kept."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from service.commands import main
from service.commands.secrets import NAMES
from service.settings import Settings


def test_every_missing_secret_is_made_and_no_two_are_alike(tmp_path: Path):
    assert main(["secrets", str(tmp_path)]) == 0

    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(made) == set(NAMES)
    assert len(set(made.values())) == len(NAMES)
    assert all(len(secret.strip()) >= 43 for secret in made.values())


def test_the_owner_and_the_group_read_them_whatever_the_umask(tmp_path: Path):
    before = os.umask(0o077)
    try:
        main(["secrets", str(tmp_path)])
    finally:
        os.umask(before)

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o440}


def test_the_settings_read_what_was_made(tmp_path: Path):
    main(["secrets", str(tmp_path)])

    settings = Settings.from_environment(
        {
            "HIPWAY_DATABASE_URL": "postgresql://hipway@database/hipway",
            "HIPWAY_DATABASE_PASSWORD_FILE": str(tmp_path / "database_password"),
            "HIPWAY_BROKER_URL": "redis://broker",
            "HIPWAY_BROKER_PASSWORD_FILE": str(tmp_path / "broker_password"),
            "HIPWAY_SECRET_KEY_FILE": str(tmp_path / "secret_key"),
        }
    )

    assert (tmp_path / "database_password").read_text().strip() in settings.database_url
    assert settings.secret_key == (tmp_path / "secret_key").read_text().strip()


def test_a_secret_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "broker_password").write_text("of the hospital")

    assert main(["secrets", str(tmp_path)]) == 0
    assert main(["secrets", str(tmp_path)]) == 0

    assert (tmp_path / "broker_password").read_text() == "of the hospital"
    assert (
        capsys.readouterr().out == "Made database_password, secret_key, metrics_token.\nNothing is missing.\n"
    )


def _make(folder: str) -> int:
    return main(["secrets", folder])


def test_makers_at_the_same_time_leave_one_secret_each(tmp_path: Path):
    with multiprocessing.get_context("spawn").Pool(4) as makers:
        codes = makers.map(_make, [str(tmp_path)] * 16, chunksize=1)

    assert set(codes) == {0}
    # Nothing half made is left beside them.
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_secret_is_refused(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    (tmp_path / name).touch()

    assert main(["secrets", str(tmp_path)]) == 2
    assert f"{name} is empty" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["secrets", str(tmp_path / "none")]) == 2

    error = capsys.readouterr().err
    assert error == f"hipway: secrets cannot be kept in {tmp_path / 'none'}: No such file or directory.\n"
