"""What a pattern may cost: as many steps as its choices allow for a text of this length, and no more."""

import pytest

from pathways.cql import strings
from pathways.cql.refusal import Unanswerable

#: with ten million steps, 3161 is the longest text of which each of two places may hold any part
TWO_PLACES = 3161


def longest(pattern: str) -> int:
    """Return the length of the longest text of one letter that the pattern is tried on."""
    low, high = 0, 20_000_000
    while low < high:
        middle = (low + high + 1) // 2
        if tried(pattern, middle):
            low = middle
        else:
            high = middle - 1
    return low


def tried(pattern: str, length: int) -> bool:
    try:
        strings._affordable(pattern, "x" * length, anywhere=False)
    except Unanswerable:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("a*b", 9_999_999),
        ("a+b", 9_999_999),
        ("a*b+", TWO_PLACES),
        ("a{2,}b{3,}", TWO_PLACES),
        ("[*+?]*\\*b+", TWO_PLACES),
        ("a*b*c*", 214),
        ("(a*)(b*)", TWO_PLACES),
    ],
)
def test_each_place_that_may_be_of_any_length_multiplies_the_steps(pattern: str, length: int) -> None:
    assert longest(pattern) == length


@pytest.mark.parametrize(
    ("part", "most"),
    [
        # Two ways each: 2 to the 23rd is below ten million.
        ("a?", 23),
        ("(a|b)", 23),
        ("a{3,4}", 23),
        # Ten ways each.
        ("a{0,9}", 7),
        ("a{5,14}", 7),
        ("a{,9}", 7),
        # No more than the text is long.
        ("a{1,1000}", 7),
    ],
)
def test_a_bounded_choice_counts_as_often_as_it_may_be_made(part: str, most: int) -> None:
    assert tried(part * most, 9)
    assert not tried(part * (most + 1), 9)


@pytest.mark.parametrize(
    "pattern", ["a{1000}", "(ab){50}c", "[a-z]", "(a)(b)(c)" * 20, "(?:a{2}){3}", "(a*){1}", "(a*)b{3}"]
)
def test_what_leaves_no_choice_within_a_repetition_is_tried(pattern: str) -> None:
    assert tried(pattern, 1000)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*",
        "(a|b)+",
        "(a?){2}",
        "((a*)b)+",
        "((a)(b+)c){2,}",
        "(?:(?:a|b)c)*",
        "(a)(\\1)*x",
        "(a{1,2}){2}",
    ],
)
def test_a_choice_within_a_repetition_is_not_tried_on_any_text(pattern: str) -> None:
    with pytest.raises(Unanswerable, match=r"^a pattern with a choice or a repetition inside a repetition$"):
        strings.matches("", pattern)


def test_a_search_begins_at_each_place_of_the_text() -> None:
    text = "x" * TWO_PLACES

    assert strings.split_on_matches(text, "a*b") == [text]
    assert strings.replace_matches(text, "a*b", "c") == text
    assert strings.matches(text + "x", "a*b") is False
    for search in (
        strings.split_on_matches,
        lambda text, pattern: strings.replace_matches(text, pattern, "c"),
    ):
        with pytest.raises(Unanswerable, match=r"^a pattern that may take too long for its text$"):
            search(text + "x", "a*b")
