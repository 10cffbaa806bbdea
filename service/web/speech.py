"""What resources and the log say in English, said in the language of the reader.

The engine writes in the language of the definitions. Codes are reworded by their code. A sentence is known
where the definition or the catalogue has it: as a whole, or as a template of ours with known parts in its
gaps. What nobody has translated, as the words of a person, stays as it is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fhir_profiles import definitions
from pathways import cql, wording
from pathways.definition import Pathway
from service.web.formats import Formats

#: the name of a rule that begins its condition, as in `T06: weak and in pain`
_RULE_NAME = re.compile(r"^[A-Z]\d{2}: ")
#: keys of the catalogue: what the engine writes in English, units by their UCUM code, states by theirs
ENGINE, UNIT, STATUS = "engine.", "unit.", "status."
_GAP = re.compile(r"\{(\w+)\}")
#: the gap of a template that only a whole number fills
COUNT, _NUMBER = "n", r"\d+"


class Speech:
    """The words of pathways in one language, found by what they are in English."""

    def __init__(
        self,
        language: str,
        pathways: Sequence[Pathway],
        english: Mapping[str, str],
        messages: Mapping[str, str],
        formats: Formats,
    ) -> None:
        """Take up the words.

        Args:
            english: the catalogue of the pages in English; `messages`: in this language.
            formats: how numbers and dates are written.
        """
        self.language = language
        self._pathways = {p.canonical: wording.in_language(p, language) for p in pathways}
        self._formats = formats
        self._displays = definitions.displays(language)
        self._known: dict[str, str] = {}
        self._limits: dict[str, str] = {}
        for pathway in pathways:
            self._learn(pathway)
        # One limit may begin as another one does: the longer is meant where both fit.
        self._limits = dict(sorted(self._limits.items(), key=lambda limit: -len(limit[0])))
        self._sides = {name for pathway in pathways for name in pathway.sides}
        for coding, display in definitions.displays().items():
            self._known.setdefault(_plain(display), self._displays[coding])
        self._units = {key.removeprefix(UNIT): text for key, text in messages.items() if key.startswith(UNIT)}
        engine = {key: text for key, text in english.items() if key.startswith(ENGINE)}
        self._known |= {_plain(text): messages[key] for key, text in engine.items() if "{" not in text}
        for key, text in messages.items():
            if key.startswith(STATUS):
                self._known.setdefault(key.removeprefix(STATUS), text)
        self._templates = [(_pattern(t), messages[key]) for key, t in engine.items() if "{" in t]

    def _learn(self, pathway: Pathway) -> None:
        texts, own = pathway.texts[self.language], pathway.texts[wording.OWN]
        for key, text in (dict(own) | wording.own_texts(pathway)).items():
            if key.startswith("parameter."):
                self._limits.setdefault(text, texts[key])
            elif not key.startswith("message."):
                self._known.setdefault(_plain(text), texts[key])
        for search in pathway.library.retrieves:
            if said := self._searched(pathway, search.type, search.codes):
                self._known.setdefault(_plain(f"{search.type} {search.label}"), said)
        for activity in pathway.activities.values():
            self._known.setdefault(_plain(activity.title), texts[f"output.{activity.id}"])

    def _searched(self, pathway: Pathway, type: str, codes: Iterable[cql.Code]) -> str:
        """Return what is looked for in the record: by its code, else by the input that is read by it."""
        for code in codes:
            coding = {"system": code.system or "", "code": code.code or ""}
            if (own := self._displays.get((coding["system"], coding["code"]))) is not None:
                return own
            if row := self.pathway(pathway).gate.wanted({"resourceType": type, "code": {"coding": [coding]}}):
                return str(row["title"])
        return ""

    def pathway(self, pathway: Pathway) -> Pathway:
        """Return the pathway in this language."""
        return self._pathways.get(pathway.canonical, pathway)

    def text(self, text: str) -> str:
        """Return what a definition or the engine says in English."""
        if (known := self._whole(text)) is not None:
            return known
        title, colon, rest = self._titled(text)
        if colon:
            return f"{title}{colon}{self.text(rest)}"
        return f"{self.text(text[:-1])}." if text.endswith(".") else text

    def _whole(self, text: str) -> str | None:
        """Return a text that is known as a whole, or by one of our templates; None: it is not."""
        if (known := self._exactly(text)) is not None:
            return known
        for pattern, template in self._templates:
            if found := pattern.fullmatch(text):
                return template.format(**{name: self.value(part) for name, part in found.groupdict().items()})
        return None

    def _exactly(self, text: str) -> str | None:
        """Return a text that is known as a whole; None: it is not."""
        known = self._known.get(_plain(text))
        if known is None:
            return None
        return known[:1].upper() + known[1:] if _stripped(text)[:1].isupper() else known

    def _titled(self, text: str) -> tuple[str, str, str]:
        """Return a known title, the colon and what follows it as it is; empty texts if there is none."""
        head, colon, rest = text.partition(": ")
        said = self._known.get(_plain(head)) if colon else None
        return (said, colon, rest) if said else ("", "", "")

    def value(self, text: str) -> str:
        """Return a value in words with what is said beside it: parts between semicolons, then its limits."""
        groups = [[self._part(part) for part in group.split("; ")] for group in text.split(" · ")]
        return self._formats.inside(" · ".join("; ".join(group) for group in groups))

    def _part(self, text: str) -> str:
        for limit, said in self._limits.items():
            if text.startswith(limit):
                return said + self._amount(text.removeprefix(limit))
        if (known := self._whole(text)) is not None:
            return known
        title, colon, rest = self._titled(text)
        if colon:
            return f"{title}{colon}{self._part(rest)}"
        value, bracket, rest = text.partition(" (")
        if bracket:
            # Behind a value stand its day and who found it.
            return f"{self._part(value)}{bracket}{rest}"
        return ", ".join(self.text(part) for part in text.split(", "))

    def _amount(self, text: str) -> str:
        """Return the amount of a limit with its unit."""
        return " ".join(self._units.get(word) or self.text(word) for word in text.split(" "))

    def reworded(self, value: Any) -> Any:
        """Return a part of a resource with its codes in this language, by what each code is."""
        if isinstance(value, list):
            return [self.reworded(part) for part in value]
        if not isinstance(value, Mapping):
            return value
        found = {name: self.reworded(part) for name, part in value.items()}
        if "code" in found and "display" in found:
            by_code = self._displays.get((str(found.get("system", "")), str(found["code"])))
            found["display"] = by_code or self.text(str(found["display"]))
        elif "coding" in found and "text" in found:
            found["text"] = self._named(str(found["text"]), coded=bool(found["coding"]))
        return found

    def _named(self, text: str, *, coded: bool) -> str:
        """Return the text of a concept: a title, whose side whoever shows it says, or one with words.

        Args:
            coded: the concept has a code; without one, it is words of a person alone.
        """
        if (known := self._exactly(text)) is not None:
            return known
        # Behind the reason a person has chosen stand words of that person, which nobody changes.
        said, colon, rest = self._titled(text)
        if colon:
            return f"{said}{colon}{rest}"
        title, comma, side = text.rpartition(", ")
        if coded and comma and side in self._sides:
            return self.text(title)
        return self._whole(text) or text


def _stripped(text: str) -> str:
    return _RULE_NAME.sub("", text)


def _plain(text: str) -> str:
    """Return by what a text is known, whether it begins a sentence or stands in one."""
    text = _stripped(text)
    return text[:1].lower() + text[1:]


def _pattern(template: str) -> re.Pattern[str]:
    """Return what a template of the catalogue has become when its gaps were filled."""
    return re.compile("".join(_expression(template)), re.DOTALL)


def _expression(template: str) -> Iterator[str]:
    end = 0
    for gap in _GAP.finditer(template):
        yield re.escape(template[end : gap.start()])
        yield f"(?P<{gap[1]}>{_NUMBER if gap[1] == COUNT else '.+?'})"
        end = gap.end()
    yield re.escape(template[end:])
