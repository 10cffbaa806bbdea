"""Which code a page is about, as its address says, and what was chosen to be decided about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.fhir import translation
from service.store.previews import Question
from service.web import mapping, visit
from service.web.mapping import Code, Element, Mapped, Meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks about."""

    type: str
    element: Element
    code: Code
    #: of an answer, the code it answers
    question: Code | None

    @property
    def address(self) -> dict[str, str]:
        """Return the parameters of the address."""
        return mapping.address(self.type, self.element, self.code, self.question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an address or a form names to be decided about a code, and what has to be tried for it."""

    meaning: Meaning | None
    withdraw: bool
    question: Question | None

    @property
    def address(self) -> dict[str, str]:
        """Return the parameters by which an address names it."""
        if self.withdraw:
            return {"withdraw": "1"}
        return {"meaning": self.meaning.key} if self.meaning else {}


def read(given: Mapping[str, str]) -> Asked | None:
    """Return what an address asks about; None for what names no code of a system in what is translated.

    Args:
        given: its parameters.
    """
    element = next((known for known in mapping.ELEMENTS if known == given.get("element")), None)
    type, code = given.get("type", ""), (given.get("system", ""), given.get("code", ""))
    question = given.get("question", "").rpartition("|")
    if element is None or type not in translation.TRANSLATED or not all(code):
        return None
    return Asked(
        type=type,
        element=element,
        code=code,
        question=(question[0], question[2]) if element == "value" else None,
    )


def meaning(asked: Asked, key: str) -> Meaning | None:
    """Return what was chosen, in the words of the definition: a map says the same in every language."""
    found = mapping.meanings(visit.installed(), asked.element, asked.type, asked.question)
    return next((meaning for meaning in found if meaning.key == key), None)


def choice(asked: Asked, mapped: Mapped | None, given: Mapping[str, str]) -> Choice:
    """Return what is to be decided.

    Args:
        given: the parameters of an address, or the fields of a form.
    """
    status = mapped.status if mapped else ""
    chosen = meaning(asked, given.get("meaning", "")) if status in ("", "retired") else None
    withdraw = status == "active" and "withdraw" in given
    target = chosen.code if chosen else None
    if mapped and (withdraw or status == "draft"):
        target = mapped.target
    question = Question(source=asked.code, target=target, gives=not withdraw) if target else None
    return Choice(meaning=chosen, withdraw=withdraw, question=question)
