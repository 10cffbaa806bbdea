"""Variables of the environment, read one by one: what cannot be used is named, never repeated."""

from collections.abc import Mapping
from pathlib import Path


class InvalidSettings(Exception):
    """A variable of the environment is missing or cannot be used."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable} {reason}")
        self.variable = variable


def one_of(environment: Mapping[str, str], variable: str, allowed: tuple[str, ...]) -> str:
    """Return the chosen word; the first allowed one is the default.

    Raises:
        InvalidSettings: it is none of them.
    """
    value = environment.get(variable) or allowed[0]
    if value not in allowed:
        raise InvalidSettings(variable, f"must be one of {', '.join(allowed)}")
    return value


def number(environment: Mapping[str, str], variable: str, *, default: int, low: int, high: int) -> int:
    """Return a whole number in this range, or the default."""
    text = environment.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise InvalidSettings(variable, f"must be a whole number from {low} to {high}")
    return int(text)


def from_file(environment: Mapping[str, str], variable: str) -> str:
    """Return the one line of a file; an editor's newline at its end is no part of a secret."""
    try:
        text = Path(environment[variable]).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(variable, f"names a file that cannot be read ({error.strerror})") from None
    except ValueError:
        raise InvalidSettings(variable, "names a file that is not text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise InvalidSettings(variable, "names a file that is empty")
    if not text.isprintable():
        raise InvalidSettings(variable, "names a file that holds more than one line of text")
    return text
