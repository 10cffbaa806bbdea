"""The console command `hipway`: one subcommand per file."""

from service.commands.console import main

__all__ = ["main"]
