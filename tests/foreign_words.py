"""What of a page is still English: words of the definitions and of the catalogue among its texts."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib

from fhir_profiles import definitions
from pathways import wording
from pathways.definition import Pathway
from service.web import words

#: read aloud or shown, and not between tags
SPOKEN = ("aria-label", "title", "alt", "placeholder")

#: of a sentence, what is put together from texts: each is looked at alone as well
_SEAM = re.compile(r"[:;,()·“”„]|\.(?=\s|$)|\s[–-]\s")
_GAP = re.compile(r"\{\w+\}")


class English:
    """The English texts that are said otherwise in a language."""

    def __init__(self, language: str, pathways: Sequence[Pathway]) -> None:
        """Gather them from the catalogue, the texts and the definitions of these pathways."""
        pairs = list(self._pairs(language, pathways))
        same = {_plain(said) for _, said in pairs}
        texts = [text for text, said in pairs if _plain(text) != _plain(said)]
        self.whole = {_plain(text) for text in texts if not _GAP.search(text)} - same
        self.patterns = [_pattern(text) for text in texts if _GAP.search(text)]
        # A text of the language may have an English word in it: what is known as a whole is not taken apart.
        self.excused: list[str] = []
        self.excused = [said for _, said in pairs if not _GAP.search(said) and self.says(said)]

    @staticmethod
    def _pairs(language: str, pathways: Sequence[Pathway]) -> Iterator[tuple[str, str]]:
        english, other = _catalogue("en"), _catalogue(language)
        yield from (
            (text, other[key]) for key, text in english.items() if not key.startswith(("language.", "day"))
        )
        for pathway in pathways:
            texts = pathway.texts[language]
            own = dict(pathway.texts["en"]) | wording.own_texts(pathway)
            yield from ((text, texts[key]) for key, text in own.items() if not key.startswith("message."))
        yield from (
            (text, definitions.displays(language)[coding]) for coding, text in definitions.displays().items()
        )

    def left(self, page: str) -> set[str]:
        """Return what of the page is said in English, outside of elements that say that they are."""
        return {text for text in texts(page) if self.says(text)}

    def says(self, text: str) -> bool:
        """Return whether a text is English, as a whole or in a part."""
        for said in self.excused:
            text = text.replace(said, "*")
        if any(pattern.fullmatch(_plain(text)) for pattern in self.patterns):
            return True
        return any(_plain(part) in self.whole for part in (text, *_SEAM.split(text)))


def texts(page: str) -> Iterator[str]:
    """Yield what a page says in its own language, a text at a time."""
    yield from _said(html5lib.parse(page, namespaceHTMLElements=False))


def _said(element: Element) -> Iterator[str]:
    for name in SPOKEN:
        if element.get(name, "").strip():
            yield element.get(name, "").strip()
    if element.tag in ("script", "style", "textarea", "code"):
        return
    yield from _text(element.text)
    for child in element:
        # What says that it is in another language, or is shown as it was sent, is no text of the page's.
        if child.get("lang") is None and child.get("translate") != "no":
            yield from _said(child)
        yield from _text(child.tail)


def _text(text: str | None) -> Iterator[str]:
    if text and text.strip():
        yield " ".join(text.split())


def _catalogue(language: str) -> Mapping[str, str]:
    path = Path(words.__file__).with_name(f"messages.{language}.json")
    found: Mapping[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _plain(text: str) -> str:
    return text.strip().rstrip(".:…").casefold()


def _pattern(text: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in _GAP.split(_plain(text)))
    return re.compile(".+?".join(parts), re.DOTALL)
