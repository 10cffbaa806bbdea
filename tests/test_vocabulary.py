"""The general machine knows no clinical word: identifiers and templates are read word by word.

The vocabulary comes from the definitions themselves: every word of the clinical code system's codes, less
the ordinary words below, which are as much a programmer's as a clinician's.
"""

import ast
import re
from pathlib import Path

import pytest

from fhir_profiles import definitions

ROOT = Path(__file__).parents[1]
CLINICAL = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
ORDINARY = frozenset(
    {
        "absent", "accepted", "affected", "alternative", "and", "answer", "both", "change", "cleared",
        "completed", "conclusion", "conditional", "consent", "date", "declined", "external", "finding",
        "flag", "full", "general", "goal", "grade", "imaging", "internal", "left", "marked", "mild",
        "modified", "none", "onset", "only", "open", "opposite", "other", "partial", "patch", "pattern",
        "possible", "present", "red", "reduce", "restore", "right", "safety", "score", "session",
        "sessions", "side", "sign", "signal", "single", "sleep", "status", "symptom", "test", "time",
        "total", "transfer", "unknown", "with", "yes",
    }
)  # fmt: skip
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def vocabulary() -> frozenset[str]:
    codes = [code for system, code in definitions.displays() if system == CLINICAL]
    words = {word for code in codes for word in code.split("-") if len(word) > 2 and word.isalpha()}
    return frozenset(words - ORDINARY)


def python_files() -> list[Path]:
    folders = [ROOT / "service", ROOT / "worker"]
    nested = [file for folder in folders for file in folder.rglob("*.py")]
    return sorted([*nested, *(ROOT / "pathways").glob("*.py")])


def identifiers(source: str) -> set[str]:
    """Return every name a program gives, takes or uses."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        for attribute in ("id", "name", "attr", "arg"):
            value = getattr(node, attribute, None)
            if isinstance(value, str):
                names.add(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            names.add(node.value)
    return names


def words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}


def test_the_vocabulary_is_clinical():
    assert {"mri", "trochanter", "goutallier", "gluteus", "hip"} <= vocabulary()


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_python_knows_no_clinical_word(file):
    found = {w for name in identifiers(file.read_text()) for w in words(name)} & vocabulary()

    # The folder of a definition is named once, where it is loaded.
    if file == ROOT / "pathways" / "catalogue.py":
        found -= {"gluteus", "medius", "tear"}
    assert not found


@pytest.mark.parametrize(
    "file", sorted((ROOT / "service").rglob("*.html")), ids=lambda file: str(file.relative_to(ROOT))
)
def test_templates_know_no_clinical_word(file):
    assert not words(file.read_text()) & vocabulary()
