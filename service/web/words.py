"""The fixed words of the pages, by language.

Clinical words are not here: they come from the pathway's definition and from the
resources. Both files hold the same keys; a missing key stops the page.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path


class Words:
    """A lookup of messages with their gaps filled."""

    def __init__(self, language: str, messages: Mapping[str, str]) -> None:
        self.language = language
        self._messages = messages

    def __call__(self, key: str, **values: object) -> str:
        """Return the message of that key."""
        return self._messages[key].format(**values)

    def count(self, key: str, n: int, **values: object) -> str:
        """Return the message for one (`key.one`) or for any other number (`key.many`)."""
        return self(f"{key}.one" if n == 1 else f"{key}.many", n=n, **values)


@cache
def of(language: str) -> Words:
    """Return the words of a language, `en` or `de`."""
    path = Path(__file__).with_name(f"messages.{language}.json")
    return Words(language, json.loads(path.read_text(encoding="utf-8")))
