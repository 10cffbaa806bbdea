"""Places on the earth that are near to one: `near` of a Location.

The distance is that of a great circle on a sphere of the earth's mean radius, at most 0.6 % off that on the
ellipsoid of WGS84.

http://hl7.org/fhir/R4/location.html#positional
https://en.wikipedia.org/wiki/Haversine_formula
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import plain, split
from service.fhir.criteria.sql import Sql
from service.store.indexing.reading import LATITUDE, LONGITUDE

MODIFIERS = ("missing",)

#: what is near where no distance is given, which the specification leaves to the server
DEFAULT_KM = 50
#: by the codes of UCUM, in metres
UNITS: Mapping[str, float] = MappingProxyType(
    {
        "km": 1_000.0,
        "m": 1.0,
        "[mi_us]": 6_336_000 / 3_937,
        "[mi_i]": 1_609.344,
        "[nmi_i]": 1_852.0,
        "[ft_i]": 0.3048,
    }
)
#: the mean radius of the ellipsoid of WGS84, in metres
RADIUS_M = 6_371_008.8

_NUMBER = re.compile(r"[-+]?\d{1,20}(\.\d{1,20})?")

# What lies in the band of latitudes is looked for in the index; of that the distance is asked.
_HAVERSINE = (
    "power(sin(radians(s.base_low::float8 - %s) / 2), 2) + cos(radians(%s)) * "
    "cos(radians(s.base_low::float8)) * power(sin(radians(l.base_low::float8 - %s) / 2), 2) <= %s"
)


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that a place is as near to one of the places as is said.

    Raises:
        NotExchanged: a value is no place on the earth, or has no distance in a unit that is known.
    """
    return sql.any_of(_near(asked, choice) for choice in choices)


def _near(asked: Asked, choice: str) -> Sql:
    latitude, longitude, metres = _read(asked, choice)
    # Further than half around the earth is everywhere.
    angle = min(metres / RADIUS_M, math.pi)
    band = math.degrees(angle) + 1e-9
    text = (
        f"EXISTS (SELECT FROM search_number s, search_number l WHERE {sql.of_resource('s', asked.of)} "
        f"AND s.name = ANY(%s) AND s.base = %s AND s.base_low >= %s::numeric AND s.base_low <= %s::numeric "
        f"AND {sql.of_resource('l', asked.of)} AND l.name = s.name AND l.part = s.part AND l.base = %s "
        f"AND {_HAVERSINE} {sql.FENCE if asked.of == 'r' else ''})"
    )
    values = (list(asked.kept_as), LATITUDE, latitude - band, latitude + band, LONGITUDE)
    return Sql(text, (*values, latitude, latitude, longitude, math.sin(angle / 2) ** 2))


def _read(asked: Asked, choice: str) -> tuple[float, float, float]:
    """Return latitude and longitude in degrees, and the distance in metres."""
    # A plus arrives as a space when it was not escaped.
    parts = [plain(part).replace(" ", "+") for part in split(choice, "|")]
    if not 2 <= len(parts) <= 4 or not all(map(_NUMBER.fullmatch, parts[:2])):
        raise asked.refused("is latitude|longitude|distance|unit, the last two or the last one left out")
    latitude, longitude = map(float, parts[:2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise asked.refused("is a latitude from -90 to 90 and a longitude from -180 to 180, in degrees")
    distance, unit = (*parts[2:], "", "")[:2]
    if not distance:
        return latitude, longitude, DEFAULT_KM * UNITS["km"]
    if not _NUMBER.fullmatch(distance) or float(distance) < 0:
        raise asked.refused("has a distance that is a number and not less than 0")
    if (unit or "km") not in UNITS:
        raise asked.refused(f"has a distance in one of {', '.join(UNITS)}")
    return latitude, longitude, float(distance) * UNITS[unit or "km"]
