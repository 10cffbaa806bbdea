"""Translate CQL into ELM with the reference translator, at authoring and test time only.

The running service reads the ELM that lies beside the CQL; it needs neither Node nor this module.
Output is byte-identical between runs, so a diff of an ELM file shows a change of meaning.

    text of the CQL --translate.mjs--> ELM --stripped, hash and phrases added--> FILE.elm.json
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
# Longer than an installation and the translation of all official tests take together.
_TIMEOUT_S = 570


class NotTranslated(Exception):
    """The translator found errors in the CQL, or could not be run."""


def translate(cql_path: Path, elm_path: Path) -> None:
    """Translate the CQL file and write the ELM file.

    Raises:
        NotTranslated: with every error of the translator; nothing is written.
    """
    elm = translated(cql_path)
    elm_path.write_text(json.dumps(elm, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def translated(cql_path: Path, *, locators: bool = False) -> dict[str, Any]:
    """Return the ELM of a CQL file, which may include what lies beside it.

    Args:
        cql_path: a library; one that it includes is found by its name among the `.cql` files of the folder.
        locators: say of every node where it is in the text, for whoever reads what is refused.

    Raises:
        NotTranslated: with every error of the translator.
    """
    text = cql_path.read_text(encoding="utf-8")
    [answer] = translate_texts([text], included=_texts_beside(cql_path), locators=locators)
    if "errors" in answer:
        raise NotTranslated("\n".join(f"{cql_path.name}, {error}" for error in answer["errors"]))
    elm: dict[str, Any] = answer["elm"]
    return elm


def with_included(cql_path: Path, *, locators: bool = False) -> list[dict[str, Any]]:
    """Return the ELM of a CQL file and of those beside it that it includes, directly or not.

    Raises:
        NotTranslated: with every error of the translator, in any of them.
    """
    beside = _paths_beside(cql_path)
    found = {cql_path: translated(cql_path, locators=locators)}
    pending = [found[cql_path]]
    while pending:
        for include in pending.pop()["library"].get("includes", {}).get("def", []):
            path = beside.get(include["path"].rpartition("/")[2])
            if path is not None and path not in found:
                found[path] = translated(path, locators=locators)
                pending.append(found[path])
    return list(found.values())


def translate_texts(
    texts: Sequence[str], *, included: Mapping[str, str] | None = None, locators: bool = False
) -> list[dict[str, Any]]:
    """Return `{"elm": ...}` or `{"errors": [...]}` for each text, all translated by one process.

    Args:
        texts: one library each.
        included: the texts of libraries that these may include, by name.
        locators: say of every node where it is in its text.

    Raises:
        NotTranslated: Node is missing or the translator could not be installed or started.
    """
    install(_HERE, "@cqframework/cql")
    wanted = {"texts": list(texts), "included": dict(included or {}), "locators": locators}
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        _node(["node", "translate.mjs", output.name], given=json.dumps(wanted))
        answers: list[dict[str, Any]] = json.loads(Path(output.name).read_text(encoding="utf-8"))
    return [
        {"elm": _finished(answer["elm"], text)} if "elm" in answer else answer
        for answer, text in zip(answers, texts, strict=True)
    ]


def _paths_beside(cql_path: Path) -> dict[str, Path]:
    """Return the other libraries in the folder, by name."""
    found: dict[str, Path] = {}
    for path in sorted(cql_path.absolute().parent.glob("*.cql")):
        text = path.read_text(encoding="utf-8")
        named = re.search(r'^\s*library\s+(?:\w+\.)*(?:"([^"]+)"|(\w+))', text, re.MULTILINE)
        if named and path.name != cql_path.name:
            found[named[1] or named[2]] = path
    return found


def _texts_beside(cql_path: Path) -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in _paths_beside(cql_path).items()}


def phrases(text: str) -> dict[str, str]:
    """Return, for each definition, the `//` lines directly above it as one phrase."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in text.splitlines():
        if comment := re.fullmatch(r"\s*//\s?(.*)", line):
            above.append(comment[1].strip())
            continue
        if define := re.match(
            r'\s*define\s+(?:fluent\s+)?(?:function\s+)?(?:"((?:[^"\\]|\\.)+)"|(\w+))', line
        ):
            phrase = " ".join(part for part in above if part)
            if phrase:
                found[define[1] or define[2]] = phrase
        above = []
    return found


def install(folder: Path, package: str) -> None:
    """Install what the lock file of a folder names, with its hashes, unless the package is there.

    Raises:
        NotTranslated: Node is missing, or the installation failed.
    """
    if not (folder / "node_modules" / package).is_dir():
        _node(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], given="", folder=folder)


def _node(command: list[str], *, given: str, folder: Path = _HERE) -> None:
    if shutil.which(command[0]) is None:
        raise NotTranslated(f"{command[0]} is not installed: translating CQL needs Node 20 or newer")
    done = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise NotTranslated(f"{command[0]} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")


def _finished(elm: dict[str, Any], text: str) -> dict[str, Any]:
    stripped: dict[str, Any] = _stripped(elm, _overloaded(elm))
    stripped["hipway"] = {
        "cqlSha256": hashlib.sha256(text.encode()).hexdigest(),
        "phrases": phrases(text),
    }
    return stripped


def _overloaded(elm: dict[str, Any]) -> frozenset[str]:
    """Return the names of the functions of which the library has several."""
    statements = elm["library"].get("statements", {}).get("def", [])
    count = Counter(each["name"] for each in statements if each.get("type") == "FunctionDef")
    return frozenset(name for name, times in count.items() if times > 1)


# Result types are kept where the engine reads them: at a property, which is JSON without a type of its
# own, and in outline at a definition. Everywhere else they would triple the file and say nothing new.
_TYPED_BY_ITSELF = ("resultTypeName", "resultTypeSpecifier")
# The types of operands, likewise, are kept where something depends on them: which function is meant, and
# what an operator answers of a null that may be a list.
_TOLD_BY_SIGNATURE = frozenset(
    {
        *("Coalesce", "Length", "Union", "Intersect", "Except"),
        *("In", "Contains", "ProperIn", "ProperContains"),
    }
)


def _stripped(node: Any, overloaded: frozenset[str]) -> Any:
    if isinstance(node, list):
        return [_stripped(part, overloaded) for part in node]
    if not isinstance(node, dict):
        return node
    dropped: set[str] = set()
    if node.get("type") not in ("Property", "FunctionDef") and "context" not in node:
        dropped.update(_TYPED_BY_ITSELF)
    if not (node.get("type") in _TOLD_BY_SIGNATURE or _is_one_of_several(node, overloaded)):
        dropped.add("signature")
    kept = {
        key: _stripped(value, overloaded) for key, value in node.items() if value != [] and key not in dropped
    }
    if "context" in node and "resultTypeSpecifier" in kept:
        kept["resultTypeSpecifier"] = _outline(kept["resultTypeSpecifier"])
    return kept


def _is_one_of_several(node: dict[str, Any], overloaded: frozenset[str]) -> bool:
    # Of another library's functions it is not known here.
    return node.get("type") == "FunctionRef" and ("libraryName" in node or node["name"] in overloaded)


def _outline(specifier: dict[str, Any]) -> dict[str, Any]:
    """Return a type as a reader wants to know it: a list of tuples, without what is in them."""
    if specifier["type"] == "TupleTypeSpecifier":
        return {"type": "TupleTypeSpecifier"}
    return {key: _outline(part) if isinstance(part, dict) else part for key, part in specifier.items()}
