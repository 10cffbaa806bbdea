"""What a pathway rests on, as its definition says it: no ranking, no advice, each point with its sources."""

from dataclasses import dataclass

from pathways.definition import Pathway
from service.web import elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something published; `url` is empty where nothing can be read online."""

    number: str
    citation: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One thing the pathway holds, and what supports it or speaks against it."""

    title: str
    text: str
    sources: tuple[Source, ...]


def sources(pathway: Pathway) -> tuple[Source, ...]:
    """Return everything published that the pathway cites, by number."""
    return tuple(
        Source(number=str(s["number"]), citation=str(s["citation"]), url=str(s.get("url", "")))
        for s in pathway.evidence["sources"]
    )


def topics(pathway: Pathway, stage: str | None = None) -> tuple[Topic, ...]:
    """Return what the pathway rests on; for a stage, what whoever decides there should know."""
    known = {source.number: source for source in sources(pathway)}
    return tuple(
        Topic(
            title=str(topic["topic"]),
            text=_sentence(str(topic["supports"])),
            sources=tuple(known[str(number)] for number in topic["sources"]),
        )
        for topic in pathway.evidence.get("topics", ())
        if stage is None or stage in topic.get("stages", ())
    )


def _sentence(text: str) -> str:
    return elements.capital(text) + ("" if text.endswith(".") else ".")
