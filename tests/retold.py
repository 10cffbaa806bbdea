"""Stories told of other people, several in one store: each under ids and a record number of its own."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import playing
from stored_play import StoredPlay

STORIES = Path(__file__).parent / "stories"
MRN = "https://hospital.example.org/fhir/NamingSystem/mrn"


@dataclass(kw_only=True)
class Record(StoredPlay):
    """The record of one patient. Nothing that is there is erased."""

    name: str

    def __post_init__(self) -> None:
        self.patient = f"gmt-{self.name}"

    @property
    def mrn(self) -> str:
        """Return the record number."""
        return f"GMT-{self.name}"

    def tell_of(self, number: str, steps: int) -> None:
        """Play the first steps of a story as this patient's."""
        text = (STORIES / f"{number}.json").read_text(encoding="utf-8")
        short = number.lower()
        own = text.replace(f"GMT-1{short[1:].zfill(3)}", self.mrn).replace(short, self.name)
        story: dict[str, Any] = json.loads(own, parse_float=playing.Decimal)
        self.chosen = dict(story.get("parameters") or {})
        for step in story["steps"][:steps]:
            if step["bundle"]:
                self.receive(step["bundle"], datetime.fromisoformat(step["at"]))
            self.work(datetime.fromisoformat(step["advanceTo"]))
