r"""The characters that part the values of a parameter, and how they are escaped.

http://hl7.org/fhir/R4/search.html#escaping
"""

import re

from service.fhir.refusals import Issue, NotExchanged

_ESCAPED = re.compile(r"\\([,$|\\])")


def split(text: str, at: str) -> list[str]:
    r"""Return the parts of a text between the separators that are not escaped; the parts still are."""
    found, start, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == at:
            found.append(text[start:place])
            start = place + 1
        place += 1
    return [*found, text[start:]]


def plain(text: str) -> str:
    r"""Return the text without its escapes.

    Raises:
        NotExchanged: a backslash stands before something that needs none.
    """
    if "\\" not in text:
        return text
    if "\\" in _ESCAPED.sub("", text):
        raise NotExchanged(Issue(code="value", text=r"a backslash escapes one of , $ | and itself"))
    return _ESCAPED.sub(r"\1", text)
