"""Checks how two answers are compared: complete multisets, readable differences."""

from service.stories.answer import Answer, differences


def test_the_order_of_outputs_does_not_matter_and_repetition_does() -> None:
    expected = Answer(outputs=("A", "B", "B"))

    assert differences(expected, Answer(outputs=("B", "A", "B"))) == ()
    assert differences(expected, Answer(outputs=("A", "B"))) == ("- output  B",)
    assert differences(expected, Answer(outputs=("A", "B", "B", "B"))) == ("+ output  B",)


def test_a_difference_says_what_was_expected_and_what_is_there() -> None:
    expected = Answer(
        stages={"right": "imaging"}, holds={"right": ("a",)}, transitions=("R:T06",), outputs=("R:X",)
    )
    actual = Answer(stages={"right": "assessment", "left": "imaging"}, outputs=("R:Y",))

    assert differences(expected, actual) == (
        "+ stage  left: imaging",
        "- stage  right: imaging",
        "+ stage  right: assessment",
        "- holds  right: a",
        "- transition  R:T06",
        "- output  R:X",
        "+ output  R:Y",
    )


def test_a_forbidden_output_is_named_as_such() -> None:
    actual = Answer(outputs=("R:SR:SURG(routine)",))

    assert "! forbidden  R:SR:SURG(routine)" in differences(Answer(), actual, forbidden=("R:SR:SURG",))
