"""Our own cases of the CQL reference: an expression and what it must equal, a line each.

    expression => expected      "error" where the evaluation must end with one, "error: why" with this one

Each file in `tests/pathways/cql/cases` is one section. Its lines become one library, whose ELM lies
beside it, so that they run without the translator:

    python tests/cql_cases.py          translates them anew; needs Node
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathways import cql
from pathways.cql import intervals
from pathways.cql.comparison import equal
from pathways.cql.translate import translate_texts

FOLDER = Path(__file__).parent / "pathways" / "cql" / "cases"
ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a section."""

    section: str
    line: int
    expression: str
    expected: str

    @property
    def error(self) -> str | None:
        """Return why the evaluation must fail, empty for whatever reason; None where it must not."""
        kind, _, reason = self.expected.partition(": ")
        return reason if kind == ERROR else None

    @property
    def name(self) -> str:
        """Return the name of the definition that holds the expression."""
        return f"line {self.line}"


def sections() -> list[str]:
    """Return the names of the sections."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def cases(section: str) -> Iterator[Case]:
    """Yield the cases of a section."""
    for number, line in enumerate((FOLDER / f"{section}.txt").read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            expression, arrow, expected = line.partition(" => ")
            if not arrow:
                raise ValueError(f"{section}.txt, line {number} has no =>")
            yield Case(section=section, line=number, expression=expression, expected=expected)


def text(section: str) -> str:
    """Return the library of a section."""
    lines = [f"library {section.capitalize()}"]
    for case in cases(section):
        lines.append(f'define "{case.name}": {case.expression}')
        if case.error is None:
            lines.append(f'define "{case.name} is": {case.expected}')
    return "\n".join(lines) + "\n"


def elm(section: str) -> dict[str, Any]:
    """Return the ELM that lies beside a section."""
    read: dict[str, Any] = json.loads((FOLDER / f"{section}.elm.json").read_text())
    return read


def library(section: str) -> cql.Library:
    """Return the library of a section, loaded."""
    return cql.load(elm(section), plain_return=True)


def alike(value: Any, expected: Any, *, of_type: bool = True) -> bool:
    """Return whether a value is the expected one: null, or equal in every part, and of its type."""
    if isinstance(expected, (cql.Interval, cql.Uncertainty)):
        return isinstance(value, (cql.Interval, cql.Uncertainty)) and all(
            alike(end(value), end(expected), of_type=of_type) for end in (intervals.start, intervals.end)
        )
    if isinstance(expected, list):
        return (
            isinstance(value, list)
            and len(value) == len(expected)
            and all(alike(one, other, of_type=of_type) for one, other in zip(value, expected, strict=True))
        )
    if isinstance(expected, cql.Tuple):
        return isinstance(value, cql.Tuple) and all(
            alike(value.get(name), expected.get(name), of_type=of_type)
            for name in value.keys() | expected.keys()
        )
    if expected is None:
        return value is None
    return (type(value) is type(expected) or not of_type) and equal(value, expected) is True


def write() -> None:
    """Translate every section.

    Raises:
        SystemExit: with the errors of the translator, by section.
    """
    texts = {section: text(section) for section in sections()}
    wrong = []
    for (section, its_text), answer in zip(texts.items(), translate_texts(list(texts.values())), strict=True):
        if "errors" in answer:
            wrong += [_placed(section, its_text, error) for error in answer["errors"]]
        else:
            # Compact: nobody reads it, and a reader of a change looks at the line of the section.
            (FOLDER / f"{section}.elm.json").write_text(
                json.dumps(_small(answer["elm"]), ensure_ascii=False, separators=(",", ":")) + "\n"
            )
    if wrong:
        raise SystemExit("\n".join(wrong))


def _placed(section: str, its_text: str, error: str) -> str:
    number, _, message = error.removeprefix("line ").partition(": ")
    return f"{section}: {its_text.splitlines()[int(number) - 1]}\n    {message}"


def _small(translated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ELM without the words of definitions, which are only their names."""
    return {**translated, "hipway": {"cqlSha256": translated["hipway"]["cqlSha256"]}}


if __name__ == "__main__":
    write()
