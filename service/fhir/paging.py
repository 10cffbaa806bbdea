"""The links of a page of a Bundle: what was asked for, as an address.

http://hl7.org/fhir/R4/http.html#paging
"""

from collections.abc import Sequence
from urllib.parse import quote, urlencode


def url(address: str, asked: Sequence[tuple[str, str]]) -> str:
    """Return the address with its parameters.

    What FHIR separates values with stays readable, but for |, which no URI may hold: some clients refuse it.
    """
    return f"{address}?{urlencode(asked, safe='/,:', quote_via=quote)}"
