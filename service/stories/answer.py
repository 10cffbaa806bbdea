"""What a service answered in one step, and how two answers differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where the patient stands, and everything that is new. In shorthand, each list sorted."""

    #: instance -> stage
    stages: Mapping[str, str] = field(default_factory=dict)
    #: instance -> its holds; an instance without holds is absent
    holds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: multisets: repetition counts, order does not
    transitions: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def differences(expected: Answer, actual: Answer, *, forbidden: Sequence[str] = ()) -> tuple[str, ...]:
    """Return one line per difference.

    `-` is expected and not there, `+` is there and not expected, `!` is there and forbidden.
    """
    return (
        *_placed("stage", expected.stages, actual.stages),
        *_placed(
            "holds",
            {instance: ", ".join(holds) for instance, holds in expected.holds.items()},
            {instance: ", ".join(holds) for instance, holds in actual.holds.items()},
        ),
        *_counted("transition", expected.transitions, actual.transitions),
        *_counted("output", expected.outputs, actual.outputs),
        *(
            f"! forbidden  {output}"
            for output in actual.outputs
            if any(output.startswith(prefix) for prefix in forbidden)
        ),
    )


def _placed(what: str, expected: Mapping[str, str], actual: Mapping[str, str]) -> Iterator[str]:
    for instance in sorted({*expected, *actual}):
        wanted, found = expected.get(instance), actual.get(instance)
        if wanted != found:
            if wanted is not None:
                yield f"- {what}  {instance}: {wanted}"
            if found is not None:
                yield f"+ {what}  {instance}: {found}"


def _counted(what: str, expected: Sequence[str], actual: Sequence[str]) -> Iterator[str]:
    wanted, found = Counter(expected), Counter(actual)
    for sign, surplus in (("-", wanted - found), ("+", found - wanted)):
        for name in sorted(surplus.elements()):
            yield f"{sign} {what}  {name}"
