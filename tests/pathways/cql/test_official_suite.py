"""The official CQL tests: which pass, by file, and every other one by name with its reason.

https://github.com/cqframework/cql-tests (Apache-2.0), commit 0666708. The files stay outside the
project: HIPWAY_REFERENCE names the folder that has them in `cql-tests`. HIPWAY_REQUIRE=cql makes it a
failure when they, or Node, are not there.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cql_cases import alike
from optional_parts import PARTS, need, reference, required

from pathways import cql
from pathways.cql.translate import translate_texts

ROOT = Path(__file__).parents[3]
FLOOR = Path(__file__).with_name("official_floor.json")
CACHE = ROOT / ".hipway" / "cql-cache"
NAMESPACE = "{http://hl7.org/fhirpath/tests}"
MOMENT = datetime(2026, 3, 14, 9, 26, 53, 589_000, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    file: str
    name: str
    expression: str
    output: str | None
    invalid: str | None

    @property
    def text(self) -> str:
        expected = "" if self.output is None else f'define "expected": {self.output}\n'
        return f'library Case\ndefine "value": {self.expression}\n{expected}'


def test_every_official_test_passes_or_is_named_with_its_reason() -> None:
    folder = _reference()
    cases = list(_cases(folder))
    results = [(case, *_judged(case, answer)) for case, answer in zip(cases, _translated(cases), strict=True)]

    table: dict[str, Counter[str]] = {}
    for case, verdict, _ in results:
        table.setdefault(case.file, Counter())[verdict] += 1
    _show(table, results)

    floor = json.loads(FLOOR.read_text())
    fallen = {file: least for file, least in floor["passed"].items() if table[file]["passed"] < least}
    assert fallen == {}
    # Every other case is there by name and with its reason, and each of these still is so.
    for verdict, named in (
        ("failed", "differs"),
        ("refused", "refused"),
        ("untranslatable", "untranslatable"),
    ):
        found = {f"{case.file} {case.name}" for case, given, _ in results if given == verdict}
        assert found == floor[named].keys(), named


def _reference() -> Path:
    for part in ("reference", "node"):
        if "cql" in required() and not PARTS[part][0]():
            pytest.fail(f"HIPWAY_REQUIRE asks for cql; it needs {PARTS[part][1]}", pytrace=False)
        need(part, "the official CQL tests")
    folder = reference()
    assert folder is not None
    return folder / "cql-tests"


def _cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.xml")):
        for test in ElementTree.parse(path).getroot().iter(f"{NAMESPACE}test"):
            expression = test.find(f"{NAMESPACE}expression")
            output = test.find(f"{NAMESPACE}output")
            assert expression is not None
            yield Case(
                file=path.stem,
                name=test.attrib["name"],
                expression=expression.text or "",
                output=None if output is None else output.text,
                invalid=expression.attrib.get("invalid"),
            )


def _translated(cases: list[Case]) -> list[dict[str, Any]]:
    texts = [case.text for case in cases]
    script = ROOT / "pathways" / "cql" / "translate"
    key = hashlib.sha256(json.dumps(texts).encode())
    for part in ("translate.mjs", "package-lock.json", "__init__.py"):
        key.update((script / part).read_bytes())
    cached = CACHE / f"{key.hexdigest()[:16]}.json"
    if not cached.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        cached.write_text(json.dumps(translate_texts(texts)))
    answers: list[dict[str, Any]] = json.loads(cached.read_text())
    return answers


def _judged(case: Case, answer: dict[str, Any]) -> tuple[str, str]:
    if "errors" in answer:
        return ("passed", "") if case.invalid else ("untranslatable", answer["errors"][0])
    try:
        library = cql.load(answer["elm"], plain_return=True)
    except cql.Refused as refused:
        return ("passed", "") if case.invalid else ("refused", refused.reasons[0])
    run = library.at(MOMENT, [])
    try:
        value = run["value"]
    except cql.EvaluationFailed as failed:
        return ("passed", "") if case.invalid else ("failed", f"raised {failed.reason}")
    if case.invalid:
        return "failed", f"{value!r} instead of an error"
    if case.output is None:
        return "passed", ""
    expected = run["expected"]
    # The suite writes 10 where a Decimal is meant, too.
    return (
        ("passed", "")
        if alike(value, expected, of_type=False)
        else ("failed", f"{value!r} instead of {expected!r}")
    )


def _show(table: dict[str, Counter[str]], results: list[tuple[Case, str, str]]) -> None:
    columns = ("passed", "failed", "refused", "untranslatable")
    print(f"\n{'file':36}" + "".join(f"{column:>16}" for column in columns))
    for file, counts in [*table.items(), ("all", sum(table.values(), Counter[str]()))]:
        print(f"{file:36}" + "".join(f"{counts[column]:16}" for column in columns))
    for case, verdict, reason in results:
        if verdict != "passed":
            print(f"{verdict}: {case.file} {case.name}: {reason}")
