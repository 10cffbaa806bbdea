"""One evaluation of a library: one patient, one instance, one instant.

A run remembers what it has evaluated, and shares it with runs over the same records that differ in nothing
it depends on. Nothing here reads a clock.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pathways.cql import explain, fhir
from pathways.cql.compiler import Function
from pathways.cql.refusal import EvaluationFailed, Unanswerable
from pathways.cql.scope import Closure, Compiled
from pathways.cql.temporal import HOME, DateTime, OutOfRange

if TYPE_CHECKING:
    from pathways.cql.library import Library

# What an operator may raise. A fault of our own is among them, so that it, too, is told with its place.
_FAULTS = (
    Unanswerable,
    OutOfRange,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)

# An evaluation that goes through more rows and points is a mistake in the library, or an attack: at a few
# microseconds each it has taken seconds. The pathway takes some 3,000 for 500 observations.
MOST_STEPS = 1_000_000


class Run:
    """One evaluation; ask it for definitions by name."""

    def __init__(
        self,
        library: "Library",
        moment: DateTime,
        records: fhir.Records,
        given: Mapping[str, Any],
        given_texts: Mapping[str, str] | None = None,
    ) -> None:
        self.library = library
        self.moment = moment
        self.records = records
        #: the values that definitions have had so far, by name
        self.known: dict[str, Any] = {}
        #: those of their parts, by node
        self.parts: defaultdict[str, dict[int, Any]] = defaultdict(dict)
        #: those of parameters; a default that is computed is added when it is first read
        self.parameters_known: dict[str, Any] = {**library.constants, **given}
        self._given = given
        self._given_texts = _texts(given) if given_texts is None else given_texts
        self._places, self._readers = library.readers(frozenset(given))
        # Where runs over the records keep what they find, by place; made when it is first asked for.
        self._shelves: list[dict[str, Any] | None] = [None] * len(self._readers)
        self._spent = 0
        self._calls: dict[tuple[Any, ...], tuple[list[Any], Any]] = {}
        #: explanations that are the same wherever none of the definitions in them was told before: the tree,
        #: and the sources of each definition in it; kept by `pathways.cql.explain`, never changed
        self.trees: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the values that were given for parameters, by name, as the run uses them."""
        return self._given

    def but(self, parameters: Mapping[str, Any]) -> "Run":
        """Return another run of the moment and the records, with other values for these parameters.

        All others are as here, and are not converted again.

        Raises:
            EvaluationFailed: a parameter is unknown, or not of its type.
        """
        others = self.library.given(self.moment, parameters)
        return Run(
            self.library,
            self.moment,
            self.records,
            {**self._given, **others},
            {**self._given_texts, **_texts(others)},
        )

    def over(self, records: fhir.Records) -> "Run":
        """Return the run of the moment and the parameters over other records."""
        return Run(self.library, self.moment, records, self._given, self._given_texts)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a public definition.

        Raises:
            KeyError: there is no such definition.
            EvaluationFailed: an operator had no answer; names the definition it stands in.
        """
        if name not in self.library.public:
            raise KeyError(name)
        if name in self.known:
            return self.known[name]
        if HOME.get() == self.moment.offset:
            return self.value(name)
        with Home(self.moment):
            return self.value(name)

    def explain(self, name: str) -> dict[str, Any]:
        """Return why a definition has its value, as a tree of plain JSON.

        Each node has `text`, `value`, `because` and `sources`, and `result` when it is a condition.

        Raises:
            KeyError: there is no such definition.
        """
        if name not in self.library.public:
            raise KeyError(name)
        with Home(self.moment):
            return explain.explained(self, name)

    def spend(self, steps: int) -> None:
        """Count steps that a query takes: rows it goes through, and points that are made of an interval.

        Raises:
            Unanswerable: they are more than any rule needs.
        """
        self._spent += steps
        if self._spent > MOST_STEPS:
            raise Unanswerable("more steps than an evaluation may take")

    def value(self, name: str) -> Any:
        """Return a definition's value from inside the run."""
        known = self.known
        if name in known:
            return known[name]
        place = self._places[name]
        shelf = self._shelves[place]
        if shelf is None:
            shelf = self._shelves[place] = self._shelf(self._readers[place])
        found = shelf.get(name)
        if found is None:
            compiled = self.library.compiled[name]
            try:
                value = compiled.closure(self, [None] * compiled.size)
            except _FAULTS as fault:
                raise EvaluationFailed(name, _reason(fault)) from None
            found = shelf[name] = value, self.parts[name]
        else:
            self.parts[name] = found[1]
        known[name] = found[0]
        return found[0]

    def _shelf(self, read: tuple[str, ...]) -> dict[str, Any]:
        """Return where definitions that read these given parameters are kept, by name.

        A definition has one value for one moment, the same records and the parameters it reads; runs that
        differ in other parameters share it.
        """
        at = (self.moment.fields, self.moment.offset)
        key = (self.library, at, read, *map(self._given_texts.__getitem__, read))
        return self.records.shelves.setdefault(key, {})

    def parameter(self, name: str) -> Any:
        """Return a parameter's value from inside the run."""
        known = self.parameters_known
        if name not in known:
            # A default is an expression of its own, evaluated when it is first read.
            known[name] = self.library.parameters[name].default(self)
        return known[name]

    def of_list(self, function: Function, given: list[Any]) -> Any:
        """Return what a function answers of a list and other operands; it is asked once of the same."""
        key = (function, *map(id, given))
        if key not in self._calls:
            answer = function.body(self, given + [None] * (function.size - len(given)))
            # The operands are kept with the answer, so that no other gets the identity of one.
            self._calls[key] = given, answer
        return self._calls[key][1]

    def part(self, closure: Closure, whole: Compiled) -> Any:
        """Return the value of a part of a definition, for an explanation."""
        try:
            return closure(self, [None] * whole.size)
        except _FAULTS as fault:
            raise EvaluationFailed(whole.definition, _reason(fault)) from None


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    # Text keeps apart what is equal and yet not the same: 7 and 7.0, or one instant in two offsets.
    return {name: repr(value) for name, value in values.items()}


def _reason(fault: Exception) -> str:
    # Only our own sentences: a library's message could quote a value of the patient's.
    return (
        str(fault)
        if isinstance(fault, Unanswerable)
        else f"a value the rule cannot use ({type(fault).__name__})"
    )


class Home:
    """While a run is asked, its moment's offset is the evaluation's."""

    def __init__(self, moment: DateTime) -> None:
        self._offset = moment.offset

    def __enter__(self) -> None:
        self._token = HOME.set(self._offset)

    def __exit__(self, *_: object) -> None:
        HOME.reset(self._token)
