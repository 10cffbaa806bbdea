"""What `hipway post` prints of the entries of a Bundle."""

from service.stories import words


def test_each_entry_has_a_line_and_what_was_wrong_with_it() -> None:
    removal = {"request": {"method": "DELETE", "url": "Observation?identifier=system|a-name"}}
    put = {"resource": {"resourceType": "Patient"}, "request": {"method": "PUT", "url": "Patient/a"}}
    issue = {"severity": "error", "code": "value", "diagnostics": "this is wrong"}
    answered = [
        {"response": {"status": "204 No Content"}},
        {"response": {"status": "200 OK", "location": "Patient/a/_history/2"}},
        {"response": {"status": "422 Unprocessable Entity", "outcome": {"issue": [issue]}}},
    ]

    lines = list(words.of_entries({"entry": [removal, put, put]}, {"entry": answered}))

    assert lines == [
        "  204  Observation",
        "  200  Patient/a/_history/2",
        "  422  Patient/a",
        "       this is wrong",
    ]
