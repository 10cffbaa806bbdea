"""Why a definition has its value: a walk over the ELM with the values of one run.

Of a false `and` the false operands are kept, of a true `or` the true ones, of an unknown answer the
unknown ones; otherwise all of them. A reference opens its definition once. Rows lead to the records
they were read from; where nothing was found, the tree says what was looked for and whether anything
of the kind is stored at all.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pathways.cql import wording
from pathways.cql.compiler import type_name
from pathways.cql.refusal import EvaluationFailed
from pathways.cql.scope import Compiled, Node
from pathways.cql.values import Labelled, Tuple
from pathways.cql.wording import TRANSPARENT

if TYPE_CHECKING:
    from pathways.cql.run import Run

Explanation = dict[str, Any]

_TRUTHS = {
    "And",
    "Or",
    "Xor",
    "Implies",
    "Not",
    "IsNull",
    "IsTrue",
    "IsFalse",
    "Exists",
    "Equal",
    "NotEqual",
    "Equivalent",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "In",
    "Contains",
    "IncludedIn",
    "Includes",
    "SameAs",
    "SameOrBefore",
    "SameOrAfter",
    "Before",
    "After",
    "Is",
    "InValueSet",
    "AnyInValueSet",
    "InCodeSystem",
    "AnyInCodeSystem",
}
_MISSING = object()
# Most values of a tree are of these, which come from no record.
_WITHOUT = {type(None), bool, int, str}
# Behind every place in a list of definitions.
_NEVER = sys.maxsize


def explained(run: "Run", name: str) -> Explanation:
    """Return the tree for one definition of a run."""
    return _Walk(run).definition(name)


class _Walk:
    """One explanation: what has been opened, and in which definition the walk is."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.opened: dict[str, list[str]] = {}
        # The earliest definition, by its place in `opened`, that was met again since this was last set.
        self.met_again = _NEVER
        # The entries that tell of a Retrieve, by identity: a parent that found its row needs them no more.
        self.searches: dict[int, Explanation] = {}
        self.whole: Compiled | None = None

    def definition(self, name: str) -> Explanation:
        library = self.run.library
        node = library.nodes[name]
        value = self.run.value(name)
        is_truth = type_name(node.get("resultTypeName")) == "Boolean"
        text = library.phrases.get(name, name)
        if name in self.opened:
            told = self.entry(text, value, [], is_truth=is_truth)
            self.met_again = min(self.met_again, list(self.opened).index(name))
            return {**told, "sources": self.opened[name]}
        known = self.run.trees.get(name)
        if known is not None and self.opened.keys().isdisjoint(known[1]):
            self.opened.update(known[1])
            return known[0]
        outer, self.whole = self.whole, library.compiled[name]
        before, self.met_again = self.met_again, _NEVER
        first = len(self.opened)
        told = self.entry(text, value, self.reasons(node["expression"]), is_truth=is_truth)
        self.whole = outer
        self.opened[name] = told["sources"]
        if self.met_again >= first:
            # Nothing in it was left out because it had been told above, so it is the same in any tree that
            # tells none of it before.
            self.run.trees[name] = told, dict(list(self.opened.items())[first:])
        self.met_again = min(before, self.met_again)
        return told

    def entry(
        self, text: str, value: Any, because: list[Explanation], *, is_truth: bool = False
    ) -> Explanation:
        if value is None or value == []:
            self.note_searches(because)
        sources = self.sources(value)
        if sources:
            because = [reason for reason in because if id(reason) not in self.searches]
        else:
            sources = [source for reason in because for source in reason["sources"]]
        told: Explanation = {
            "text": text,
            "value": wording.plain(value),
            "because": because,
            "sources": list(dict.fromkeys(sources)),
        }
        if isinstance(value, bool) or (is_truth and value is None):
            told["result"] = value
        return told

    def note_searches(self, because: list[Explanation]) -> None:
        """Say of records that were stored, but gave the parent nothing, that none counts."""
        for reason in because:
            if id(reason) in self.searches and reason["sources"]:
                reason["value"] = f"{len(reason['sources'])} stored, none valid for this side and time"
                reason["sources"] = []

    def part(self, node: Node) -> Explanation | None:
        """Return the tree for a node, None when it goes without saying."""
        kind = node["type"]
        outline = self.run.library.outline(node)
        if outline.constant:
            return None
        if kind in TRANSPARENT:
            return self.part(node["operand"])
        if kind == "ExpressionRef":
            return self.definition(self.run.library.full_name(node))
        if kind == "ParameterRef":
            name = self.run.library.full_name(node)
            return self.entry(name, self.run.parameter(name), [])
        if kind == "Retrieve":
            return self.retrieve(node)
        value = self.value(node)
        if value is _MISSING:
            return None
        because = self.reasons(node)
        if value is None or value == []:
            because = because or [
                found for retrieve in outline.retrieves if (found := self.retrieve(retrieve))
            ]
        text = outline.text
        if len(because) == 1 and because[0]["text"] == text and because[0]["value"] == wording.plain(value):
            return because[0]
        return self.entry(text, value, because, is_truth=kind in _TRUTHS)

    def reasons(self, node: Node) -> list[Explanation]:
        """Return the trees of what decided a node's value."""
        kind = node["type"]
        if kind in TRANSPARENT:
            return self.reasons(node["operand"])
        if kind in ("ExpressionRef", "ParameterRef", "Retrieve"):
            return self.parts([node])
        outline = self.run.library.outline(node)
        if kind in ("And", "Or"):
            return self.parts(self.deciding(node, outline.operands))
        if kind == "If":
            chosen = node["then"] if self.value(node["condition"]) is True else node["else"]
            return self.parts([node["condition"], chosen])
        return self.parts(outline.below) or self.parts(outline.body)

    def parts(self, nodes: Iterable[Node]) -> list[Explanation]:
        return [part for node in nodes if (part := self.part(node)) is not None]

    def deciding(self, node: Node, operands: Sequence[Node]) -> Sequence[Node]:
        """Return those of the operands that decided the answer."""
        answer = self.value(node)
        if answer is None or answer is (node["type"] == "Or"):
            return [operand for operand in operands if self.value(operand) is answer]
        return operands

    def value(self, node: Node) -> Any:
        assert self.whole is not None
        if node["type"] == "ExpressionRef":
            return self.run.value(self.run.library.full_name(node))
        key, parts = id(node), self.run.parts[self.whole.definition]
        if key not in parts:
            parts[key] = self.evaluated(node, self.whole)
        return parts[key]

    def evaluated(self, node: Node, whole: Compiled) -> Any:
        closure = self.run.library.outside_queries(node)
        if closure is None:
            return _MISSING
        try:
            return self.run.part(closure, whole)
        except EvaluationFailed:
            # The definition itself has its value, so this part was not needed for it.
            return _MISSING

    def retrieve(self, node: Node) -> Explanation | None:
        """Return what one Retrieve found, and how much is stored."""
        retrieve = self.run.library.retrieve(node)
        if retrieve is None:
            return None
        records = self.run.records
        if retrieve.path is None:
            stored = records.of_type(retrieve.type)
        else:
            stored = records.coded(retrieve.type, retrieve.path, retrieve.codes)
        text = f"{retrieve.type} {retrieve.label}".strip()
        told = self.entry(text, None, [])
        told["value"] = f"{len(stored)} stored" if stored else "none stored"
        told["sources"] = list(dict.fromkeys(records.named(each) for each in stored if "id" in each))
        self.searches[id(told)] = told
        return told

    def sources(self, value: Any) -> list[str]:
        """Return the references of the records a value was read from."""
        if type(value) in _WITHOUT:
            return []
        if isinstance(value, Labelled):
            value = value.json
        if isinstance(value, list):
            return [source for item in value for source in self.sources(item)]
        if isinstance(value, Tuple):
            id_ = value.get("id")
            own = list(self.run.records.references(id_)) if isinstance(id_, str) else []
            return own or [source for item in value.values() for source in self.sources(item)]
        if isinstance(value, Mapping) and "resourceType" in value and "id" in value:
            return [self.run.records.named(value)]
        return []
