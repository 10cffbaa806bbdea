"""`hipway translate`: CQL to ELM, with the reference translator."""

import argparse
import subprocess
import sys


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "translate",
        help="translate the rules from CQL to ELM (needs Node.js)",
        description="Translate CQL to ELM with the reference translator. Needs Node.js; running the "
        "rules does not. Arguments are passed on to pathways.cql.translate.",
        epilog="example: hipway translate pathways/gluteus_medius_tear/rules.cql",
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="FILE", help="the files to translate")


def run(args: argparse.Namespace) -> int:
    """Run the translator's own command."""
    return subprocess.run(
        [sys.executable, "-m", "pathways.cql.translate", *args.arguments], check=False
    ).returncode
