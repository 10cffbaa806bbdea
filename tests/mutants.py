"""Mutation testing of the CQL engine: what is changed in an operator, a test must notice.

    make mutants                          every mutant of the modules that are listed in pyproject.toml
    make mutants ONLY=strings             those of one module
    make mutants SAMPLE=6 SEED=7          those of six functions of the modules that are read, by the seed

mutmut makes the mutants and runs the tests on them. `tests/pathways/cql/mutants.json` names the survivors of
each module, with the reason why no test can or need tell them; any other survivor is a failure.

https://mutmut.readthedocs.io/
"""

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "pathways" / "cql"
MUTANTS = ROOT / "mutants"
NAMED = Path(__file__).parent / "pathways" / "cql" / "mutants.json"
#: what mutmut records of a mutant: the exit code of the tests, or 33 where none comes by
VERDICTS = {0: "survived", 33: "survived", 1: "killed", 3: "killed", None: "not tried"}


def main() -> int:
    """Print a table and each survivor that is not named; return 1 for one in a module that was read."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", nargs="+", default=[], help="modules of pathways/cql")
    arguments.add_argument(
        "--sample", type=int, default=0, help="so many functions of the modules that are read"
    )
    arguments.add_argument("--seed", default="", help="of the sample; the commit's by default")
    given = arguments.parse_args()
    named: dict[str, dict[str, str]] = json.loads(NAMED.read_text())
    chosen = [f"pathways.cql.{module}.*" for module in given.only]
    if given.sample:
        seed = given.seed or commit()
        chosen = _sample(sorted(named), given.sample, seed)
        print(f"mutants: seed {seed}, {len(chosen)} functions")
    _run(chosen)
    new = 0
    print(f"{'module':16}{'mutants':>9}{'killed':>8}{'survived':>10}{'named':>7}{'other':>7}")
    for module, verdicts in _results():
        counts = Counter(verdict for verdict in verdicts.values() if verdict != "not tried")
        if not counts:
            continue
        mutated = _Mutated(module)
        survivors = [mutated.change(name) for name, verdict in verdicts.items() if verdict == "survived"]
        unnamed = [change for change in survivors if change not in named.get(module, {})]
        other = counts.total() - counts["killed"] - len(survivors)
        print(
            f"{module:16}{counts.total():>9}{counts['killed']:>8}{len(survivors):>10}"
            f"{len(survivors) - len(unnamed):>7}{other:>7}"
        )
        if module in named or module in given.only:
            new += len(unnamed)
            print(*(f"  not named: {change}\n" for change in unnamed), sep="", end="")
    return 1 if new else 0


def _run(chosen: Iterable[str]) -> None:
    shutil.rmtree(MUTANTS, ignore_errors=True)
    # Python remembers that a folder on its path was not there; the tests would run on the original.
    MUTANTS.mkdir()
    mutmut = Path(sys.executable).with_name("mutmut")
    # What a whole run of the tests must have here is nothing to a few of them over mutants.
    wanted = {name: value for name, value in os.environ.items() if name not in ("CI", "HIPWAY_REQUIRE")}
    environment = {**wanted, "PYTHONPATH": str(MUTANTS)}
    done = subprocess.run(
        [mutmut, "run", *chosen], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if not list(MUTANTS.glob("pathways/cql/*.meta")):
        raise SystemExit(f"mutmut made no mutants:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _results() -> Iterator[tuple[str, dict[str, str]]]:
    for path in sorted(MUTANTS.glob("pathways/cql/*.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        yield (
            path.name.partition(".")[0],
            {name: VERDICTS.get(code, "timed out") for name, code in codes.items()},
        )


class _Mutated:
    """A module with all its mutants in it, as mutmut writes it: what each of them changes."""

    def __init__(self, module: str) -> None:
        text = (MUTANTS / "pathways" / "cql" / f"{module}.py").read_text()
        self._lines = text.splitlines()
        self._functions = {
            node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)
        }

    def change(self, name: str) -> str:
        """Return what a mutant changes: the function, the line, and the line instead."""
        name = name.rpartition(".")[2]
        base = name.rpartition("__mutmut_")[0]
        changed = difflib.ndiff(self._body(f"{base}__mutmut_orig"), self._body(name))
        lines = [line[2:].strip() for line in changed if line[:2] in ("- ", "+ ")]
        function = base.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        return f"{function}: {' -> '.join(lines)}"

    def _body(self, function: str) -> list[str]:
        node = self._functions[function]
        return self._lines[node.lineno : node.end_lineno]


def _sample(modules: Iterable[str], count: int, seed: str) -> list[str]:
    functions = [
        f"pathways.cql.{module}.{name}__mutmut_*"
        for module in modules
        for name in _mangled(ast.parse((ENGINE / f"{module}.py").read_text()))
    ]
    return random.Random(seed).sample(functions, min(count, len(functions)))


def _mangled(module: ast.Module) -> Iterator[str]:
    """Yield the names mutmut gives the functions and methods that it changes."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            yield f"x_{node.name}"
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.decorator_list:
                    yield f"xǁ{node.name}ǁ{method.name}"


def commit() -> str:
    """Return the commit, from which a sample follows where no seed is given."""
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()[:12] or "0"


if __name__ == "__main__":
    sys.exit(main())
