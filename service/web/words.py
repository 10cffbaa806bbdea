"""The words of the pages, by language: the catalogue, and what definitions and resources say.

Clinical words are not in the catalogue: they come from the pathway's definition and from the
resources. Both files hold the same keys; a missing key stops the page.
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from pathways import wording
from pathways.definition import Pathway
from service.web.formats import Formats
from service.web.speech import Speech

#: what a person may choose; the first where nothing is asked for
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}

#: In German an adjective that begins a title is written small inside a sentence; a noun keeps its capital.
#: An adjective ends in -e, -er or -es here, and the noun with its capital follows.
_ADJECTIVE = re.compile(r"[A-ZÄÖÜ][a-zäöüß]+e[rs]? [A-ZÄÖÜ]")


class Words:
    """What is said in one language."""

    def __init__(self, language: str, messages: Mapping[str, str], speech: Speech | None = None) -> None:
        """Take up a language; without `speech` definitions and resources are said as they are written."""
        self.language = language
        self._messages = messages
        self._speech = speech
        self._formats = Formats(language, messages["day.short.year"])

    def __call__(self, key: str, **values: object) -> str:
        """Return the message of that key."""
        return self._messages[key].format(**values)

    def count(self, key: str, n: int, **values: object) -> str:
        """Return the message for one (`key.one`) or for any other number (`key.many`)."""
        return self(f"{key}.one" if n == 1 else f"{key}.many", n=n, **values)

    def code(self, kind: str, code: str) -> str:
        """Return the message of a code, `kind.code`; a code of others stays as it is."""
        message = self._messages.get(f"{kind}.{code}")
        return code if message is None else message

    @property
    def formats(self) -> Formats:
        """Return how dates and numbers are written."""
        return self._formats

    def number(self, value: float | Decimal) -> str:
        """Return a number as the language writes it."""
        return self._formats.number(value)

    def inline(self, text: str) -> str:
        """Return a title as it stands inside a sentence; abbreviations keep their capitals."""
        small = text[1:2].islower() if self.language == wording.OWN else _ADJECTIVE.match(text)
        return text[:1].lower() + text[1:] if small else text

    def said(self, text: str) -> str:
        """Return what a definition or the engine says in English."""
        return self._speech.text(text) if self._speech else text

    def told(self, text: str) -> tuple[str, str]:
        """Return the same with its language where nobody has put it into that of the page; else with none."""
        said = self.said(text)
        return said, wording.OWN if self._speech and said == text else ""

    def value(self, text: str) -> str:
        """Return a value of the log with its limits."""
        return self._speech.value(text) if self._speech else text

    def reworded(self, value: Any) -> Any:
        """Return a resource, or a part of one, with its codes in words of the language."""
        return self._speech.reworded(value) if self._speech else value

    def pathway(self, pathway: Pathway) -> Pathway:
        """Return a pathway with its titles in the language."""
        return self._speech.pathway(pathway) if self._speech else pathway


@cache
def of(language: str) -> Words:
    """Return the catalogue of a language, one of `LANGUAGES`."""
    return Words(language, _messages(language))


def knowing(language: str, pathways: Sequence[Pathway]) -> Words:
    """Return the words of a language with those of these pathways."""
    if language == wording.OWN:
        return of(language)
    messages = _messages(language)
    formats = Formats(language, messages["day.short.year"])
    return Words(language, messages, Speech(language, pathways, _messages(wording.OWN), messages, formats))


@cache
def _messages(language: str) -> Mapping[str, str]:
    path = Path(__file__).with_name(f"messages.{language}.json")
    found: Mapping[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found
