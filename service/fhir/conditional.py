"""The condition of a create, an update, a patch or a delete, wherever and however a client writes it.

R4 has that of a create in a header, as `identifier=system|value`. Some clients write the whole search there,
with its address, or write the condition into the URL, as that of an update. What shapes the answer may stand
beside it: some clients add that to every address.

http://hl7.org/fhir/R4/http.html#ccreate
"""

from urllib.parse import unquote

from service.fhir.refusals import Issue, NotExchanged

HEADER = "If-None-Exist"

#: they shape the answer and are no part of a condition, nor parameters of an operation
OF_THE_ANSWER = ("_format", "_pretty")


def of_query(query: bytes) -> str:
    """Return the condition in the query of a URL; empty: there is none. A plus is a space there."""
    return alone(query.replace(b"+", b"%20").decode(errors="replace"))


def of_create(header: str | None, query: bytes) -> str | None:
    """Return the condition of a create; None: there is none.

    One in the URL must not be passed over, or the resource would be there twice without a word.

    Raises:
        NotExchanged: there are two.
    """
    in_url = of_query(query)
    if header is not None and in_url:
        text = f"a create has one condition, in {HEADER} or in the URL"
        raise NotExchanged(Issue(code="invalid", text=text))
    return in_url or header


def of_search(condition: object, type_: str) -> object:
    """Return the query of a condition that may be a whole search of the type; what is no text as it is."""
    if not isinstance(condition, str):
        return condition
    before, mark, query = condition.partition("?")
    is_search = mark and "=" not in before and before.rpartition("/")[2] == type_
    return alone(query if is_search else condition)


def alone(query: str) -> str:
    """Return a condition without what shapes the answer."""
    pairs = (pair for pair in query.split("&") if pair)
    return "&".join(pair for pair in pairs if unquote(pair.partition("=")[0]) not in OF_THE_ANSWER)
