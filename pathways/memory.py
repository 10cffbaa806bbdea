"""What is remembered of one instance of a pathway: a patient's record does not say it by itself.

It is the `after` of the latest row in the log of decisions. Values are what effects have set; orders and
Tasks are kept with their state, because rules ask about them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reason why automatic steps are stopped. `pair` names the findings that exclude each other."""

    code: str
    input: str | None
    since: str
    pair: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A proposal of the pathway and what became of it."""

    id: str
    kind: str
    state: str  # draft | on-hold | active | completed | revoked
    priority: str
    made: str  # instants, ISO
    since: str  # when it got this priority
    step: int
    task: str | None = None  # the id of its signing Task
    signed: str | None = None
    order: str | None = None  # the id of the signed order
    acknowledged: bool = False

    @property
    def unsigned(self) -> bool:
        """Return whether nobody has signed it yet."""
        return self.state in {"draft", "on-hold"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A Task the pathway raised, as long as a rule may ask about it."""

    id: str
    code: str
    state: str  # open | completed | cancelled
    made: str
    step: int
    qualifiers: tuple[str, ...] = ()
    about: str | None = None  # the resource or item that must be settled for it to end
    acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The state of one instance. `steps` counts the rows of its log."""

    stage: str | None = None
    stage_since: str | None = None  # a day of the site's calendar
    stage_entered: str | None = None  # the instant
    stage_before: str | None = None
    stay: int = 0
    steps: int = 0
    opened: str | None = None
    closed: bool = False
    holds: tuple[Hold, ...] = ()
    accepted_pairs: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()
    tasks: tuple[Task, ...] = ()
    raised: tuple[str, ...] = ()  # keys of standing work that has spoken
    path: tuple[int, ...] = ()  # the transitions in force, by the number of their step

    def to_json(self) -> dict[str, Any]:
        """Return the memory as the log keeps it."""
        return {
            "stage": self.stage,
            "stageSince": self.stage_since,
            "stageEntered": self.stage_entered,
            "stageBefore": self.stage_before,
            "stay": self.stay,
            "steps": self.steps,
            "opened": self.opened,
            "closed": self.closed,
            "holds": [_fields(hold) for hold in self.holds],
            "acceptedPairs": list(self.accepted_pairs),
            "values": dict(self.values),
            "orders": [_fields(order) for order in self.orders],
            "tasks": [_fields(task) for task in self.tasks],
            "raised": list(self.raised),
            "path": list(self.path),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return the memory that `to_json` wrote."""
        return cls(
            stage=kept["stage"],
            stage_since=kept["stageSince"],
            stage_entered=kept["stageEntered"],
            stage_before=kept["stageBefore"],
            stay=kept["stay"],
            steps=kept["steps"],
            opened=kept["opened"],
            closed=kept["closed"],
            holds=tuple(Hold(**{**hold, "pair": tuple(hold["pair"])}) for hold in kept["holds"]),
            accepted_pairs=tuple(kept["acceptedPairs"]),
            values=kept["values"],
            orders=tuple(Order(**order) for order in kept["orders"]),
            tasks=tuple(Task(**{**task, "qualifiers": tuple(task["qualifiers"])}) for task in kept["tasks"]),
            raised=tuple(kept["raised"]),
            path=tuple(kept["path"]),
        )

    def with_value(self, name: str, value: Any) -> "Memory":
        """Return the memory with a named value set, or cleared where it is None."""
        values = {key: kept for key, kept in self.values.items() if key != name}
        if value is not None:
            values[name] = value
        return replace(self, values=values)

    def with_order(self, order: Order) -> "Memory":
        """Return the memory with this order in the place of the one with its id, or added."""
        known = any(o.id == order.id for o in self.orders)
        orders = tuple(order if o.id == order.id else o for o in self.orders)
        return replace(self, orders=orders if known else (*orders, order))

    def with_task(self, task: Task) -> "Memory":
        """Return the memory with this Task in the place of the one with its id, or added."""
        known = any(t.id == task.id for t in self.tasks)
        tasks = tuple(task if t.id == task.id else t for t in self.tasks)
        return replace(self, tasks=tasks if known else (*tasks, task))

    def order(self, id: str) -> Order | None:
        """Return the order whose proposal or signed order has this id."""
        return next((o for o in self.orders if id in {o.id, o.order}), None)

    def task(self, id: str) -> Task | None:
        """Return the Task with this id."""
        return next((t for t in self.tasks if t.id == id), None)


def _fields(value: Any) -> dict[str, Any]:
    return {
        name: list(kept) if isinstance(kept := getattr(value, name), tuple) else kept
        for name in value.__dataclass_fields__
    }
