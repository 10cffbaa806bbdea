"""How a value of each data type is read as tokens, references, uris, strings, dates and numbers.

http://hl7.org/fhir/R4/search.html#ptypes
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from service.store.indexing import dates, quantities
from service.store.indexing.rows import Number, Rows, Span, Text, Value
from service.store.indexing.shortening import shortened

#: name, part, value of the element, and the rows it adds to
Reader = Callable[[str, int, Any, Rows], None]

#: rows of a Reference's own identifier, for `subject:identifier`
IDENTIFIER = ":identifier"
#: rows of the type of an identifier, for `identifier:of-type`
OF_TYPE = ":of-type"
#: what stands in place of base units in the rows of a place on the earth, which has two, in degrees
LATITUDE, LONGITUDE = "latitude", "longitude"

#: Decimals of a degree: less than a thousandth of a millimetre. Distances have double precision, to which the
#: database does not convert what is too close to zero: one such place would end every search.
_PLACES = 12

_PARTS_OF_NAME = ("family", "given", "prefix", "suffix", "text")
_PARTS_OF_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


def reader(kind: str, of: str, *, is_about: bool) -> Reader:
    """Return how values of a data type are read for a kind of parameter.

    Args:
        is_about: the element says which patient the resource is about.
    """
    if kind == "reference" and of == "Reference":
        return _about if is_about else _reference
    if kind == "string":
        return {"HumanName": _human_name, "Address": _address}.get(of, _string)
    if kind in ("number", "quantity"):
        return {"Range": _range, "SampledData": _samples}.get(
            of, _quantity if kind == "quantity" else _number
        )
    if kind == "special":
        return _position
    if kind == "date":
        return {"Period": _period, "Timing": _timing}.get(of, _date)
    tokens: dict[str, Reader] = {
        "CodeableConcept": _concept,
        "Coding": _coding,
        "Identifier": _identifier,
        "ContactPoint": _contact,
    }
    return tokens.get(of, _plain)


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Return a text without accents, case and double blanks, as searches compare strings.

    http://hl7.org/fhir/R4/search.html#string
    """
    return fold(text)


def fold(text: str) -> str:
    """Return the same, without remembering it: of texts that are long, or asked for once."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(text.casefold().split())


def _plain(name: str, part: int, value: Any, rows: Rows) -> None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    rows.values[Value(name, "", shortened(text), part)] = None


def _coding(name: str, part: int, value: Any, rows: Rows) -> None:
    if code := value.get("code"):
        rows.values[_token(name, value, code, part)] = None


def _concept(name: str, part: int, value: Any, rows: Rows) -> None:
    for coding in value.get("coding", ()):
        _coding(name, part, coding, rows)


def _identifier(name: str, part: int, value: Any, rows: Rows) -> None:
    text = value.get("value")
    if not text:
        return
    rows.values[_token(name, value, text, part)] = None
    for coding in (value.get("type") or {}).get("coding", ()):
        typed = f"{coding.get('system') or ''}|{coding.get('code') or ''}"
        rows.values[Value(name + OF_TYPE, shortened(typed), shortened(text), part)] = None


def _token(name: str, of: Mapping[str, Any], text: str, part: int) -> Value:
    return Value(name, shortened(of.get("system") or ""), shortened(text), part)


def _contact(name: str, part: int, value: Any, rows: Rows) -> None:
    if text := value.get("value"):
        rows.values[Value(name, "", shortened(text), part)] = None


def _reference(name: str, part: int, value: Any, rows: Rows) -> None:
    target = value.get("reference")
    if target and not target.startswith("#"):
        rows.values[Value(name, "", shortened(target.partition("/_history/")[0]), part)] = None
    if (identifier := value.get("identifier")) and identifier.get("value"):
        rows.values[_token(name + IDENTIFIER, identifier, identifier["value"], part)] = None


def _about(name: str, part: int, value: Any, rows: Rows) -> None:
    if value.get("reference") != rows.about or "identifier" in value:
        _reference(name, part, value, rows)


def _string(name: str, part: int, value: Any, rows: Rows) -> None:
    text = str(value)
    rows.texts[Text(name, part, folded(text), text)] = None


def _human_name(name: str, part: int, value: Any, rows: Rows) -> None:
    for text in _written(value, _PARTS_OF_NAME):
        _string(name, part, text, rows)


def _address(name: str, part: int, value: Any, rows: Rows) -> None:
    for text in _written(value, _PARTS_OF_ADDRESS):
        _string(name, part, text, rows)


def _written(value: Mapping[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    for field in fields:
        found = value.get(field)
        # A part of a list may be null, where it is only extended.
        yield from (text for text in (found if isinstance(found, list) else (found,)) if text)


def _date(name: str, part: int, value: Any, rows: Rows) -> None:
    if interval := dates.instants(value):
        rows.spans[Span(name, part, *interval)] = None


def _period(name: str, part: int, value: Any, rows: Rows) -> None:
    if (ends := _ends(value)) != (None, None):
        rows.spans[Span(name, part, *ends)] = None


def _timing(name: str, part: int, value: Any, rows: Rows) -> None:
    """Read the outer limits of a schedule; how often within them is not asked."""
    found = [interval for text in value.get("event", ()) if text and (interval := dates.instants(text))]
    if found:
        ends = min(low for low, _ in found), max(high for _, high in found)
        rows.spans[Span(name, part, *ends)] = None
    elif bounds := (value.get("repeat") or {}).get("boundsPeriod"):
        _period(name, part, bounds, rows)


def _ends(period: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    start, end = (dates.instants(period.get(each) or "") for each in ("start", "end"))
    return start[0] if start else None, end[1] if end else None


def _number(name: str, part: int, value: Any, rows: Rows) -> None:
    size = quantities.decimal(value)
    if size is not None:
        rows.numbers[Number(name, part, size, size, "", size, size, "", "")] = None


def _quantity(name: str, part: int, value: Any, rows: Rows) -> None:
    if number := quantities.number(name, part, value):
        rows.numbers[number] = None


def _range(name: str, part: int, value: Any, rows: Rows) -> None:
    if number := quantities.of_range(name, part, value):
        rows.numbers[number] = None


def _samples(name: str, part: int, value: Any, rows: Rows) -> None:
    if number := quantities.of_samples(name, part, value):
        rows.numbers[number] = None


def _position(name: str, part: int, value: Any, rows: Rows) -> None:
    """Read a place on the earth; what cannot be one is near to nothing."""
    latitude, longitude = (quantities.decimal(value.get(each)) for each in (LATITUDE, LONGITUDE))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return
    for exact, of in ((latitude, LATITUDE), (longitude, LONGITUDE)):
        size = round(exact, _PLACES)
        rows.numbers[Number(name, part, size, size, of, size, size, "", "")] = None
