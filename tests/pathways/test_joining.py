"""What is remembered of two plans that were folded into one, and are parted again.

Safety: SP-16, SP-22.
"""

import dataclasses

from pathways.joining import folded, unfolded
from pathways.memory import Hold, Memory

ONE = Memory(
    stage="imaging",
    steps=3,
    opened="2026-03-01",
    holds=(Hold(code="contradictory", input="mmt", since="2026-03-02"),),
    accepted_pairs=("own|pair",),
    values={"Dose Attested": "2026-03-04", "Causes Handled": ["own"]},
    raised=("own-key",),
)
OTHER = Memory(
    stage="conservative-therapy",
    steps=5,
    opened="2026-01-05",
    holds=(Hold(code="contradictory", input="pain", since="2026-01-06"),),
    accepted_pairs=("other|pair",),
    values={"Therapy Start": "2026-01-05", "Causes Handled": ["other"]},
    raised=("other-key",),
)


def test_what_was_folded_is_as_it_was():
    then = folded(ONE, OTHER)

    assert unfolded(then, then, ONE, OTHER) == (ONE, OTHER)


def test_what_became_of_the_plan_since_stays_and_only_what_the_other_brought_goes():
    then = folded(ONE, OTHER)
    since = Hold(code="unclear", input=None, since="2026-04-01")
    now = dataclasses.replace(
        then,
        opened="2026-02-01",
        holds=(*then.holds[1:], since),
        accepted_pairs=(*then.accepted_pairs, "new|pair"),
        values={**then.values, "Therapy Start": "2026-04-01", "Causes Handled": ["new", "other", "own"]},
        raised=("other-key", "new-key"),
    )

    stays, _ = unfolded(now, then, ONE, OTHER)

    assert stays == dataclasses.replace(
        ONE,
        opened="2026-02-01",
        holds=(since,),
        accepted_pairs=("own|pair", "new|pair"),
        values={
            "Dose Attested": "2026-03-04",
            "Therapy Start": "2026-04-01",
            "Causes Handled": ["new", "own"],
        },
        raised=("new-key",),
    )


def test_what_was_ended_since_does_not_come_back():
    then = folded(ONE, OTHER)
    now = dataclasses.replace(then, holds=(), values={}, raised=())

    stays, _ = unfolded(now, then, ONE, OTHER)

    assert (stays.holds, stays.values, stays.raised) == ((), {}, ())
