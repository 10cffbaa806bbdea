"""Of every type that is kept, each of twenty-eight kinds of defect is refused by name, and nothing is stored.

http://hl7.org/fhir/R4/http.html#transaction
"""

import pytest
from defects import DEFECTS, spoilt
from fhir_visits import bundle, put

from service.fhir.searching import TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_every_defect_of_a_bundle_is_told_and_nothing_is_stored(kind, send, nothing_stored):
    defects = list(spoilt(kind, most=1))
    entries = [put({**resource, "id": f"x-{n}"}) for n, (_, _, resource) in enumerate(defects)]
    assert {name for name, _, _ in defects} == set(DEFECTS)

    answer = send(bundle(*entries))

    assert answer.status_code == 422, answer.get_json()
    told = {issue["expression"][0].split(".")[1] for issue in answer.get_json()["issue"]}
    assert told == {f"entry[{n}]" for n in range(len(entries))}
