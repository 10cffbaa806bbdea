"""`hipway migrate`: bring the database to the schema of this version."""

import argparse

from service.settings import InvalidSettings, Settings


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    subparsers.add_parser(
        "migrate",
        help="bring the database to the schema of this version",
        description="Apply every migration that the database in HIPWAY_DATABASE_URL lacks.",
        epilog="example: HIPWAY_DATABASE_URL=postgresql://... hipway migrate",
    )


def run(_args: argparse.Namespace) -> int:
    """Apply what is missing."""
    from service.store import migrate

    settings = Settings.from_environment()
    if not settings.database_url:
        raise InvalidSettings("HIPWAY_DATABASE_URL", "is not set")
    migrate.upgrade(settings.database_url)
    print(f"The database is at {migrate.head()}.")
    return 0
