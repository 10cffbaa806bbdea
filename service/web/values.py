"""How the values of a site came to be what they are: each change with who made it, when and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from pathways import parameters
from pathways.definition import Pathway
from pathways.parameters import PROFILE, InvalidParameters
from service import site_values
from service.store.parameters import Version

#: versions that are looked through for changes, and changes that a page shows
VERSIONS = 200
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that became another."""

    version: int
    at: datetime | None
    #: the name of the parameter, or of the profile
    name: str
    before: object
    after: object
    #: by name, where they are known
    who: str
    confirmed: str
    reason: str
    #: the id of the Provenance; empty: it was not made on a page
    provenance: str


def changes(pathway: Pathway, versions: Sequence[Version], names: Mapping[str, str]) -> Iterator[Change]:
    """Yield each change of a value of the pathway, newest first.

    Args:
        versions: newest first; the last one is only what was there before.
        names: of people, by reference.
    """
    for after, before in pairwise([*versions, *([] if _cut(versions) else [Version(number=0, values={})])]):
        was, became = _values(pathway, before.values), _values(pathway, after.values)
        for name in (name for name in became if became[name] != was.get(name)):
            yield Change(
                version=after.number,
                at=after.at,
                name=name,
                before=was.get(name),
                after=became[name],
                who=names.get(after.who, after.who),
                confirmed=names.get(after.confirmed, after.confirmed),
                reason=after.reason,
                provenance=site_values.provenance_id(after.number) if after.reason else "",
            )


def _cut(versions: Sequence[Version]) -> bool:
    """Return whether there may be older versions than these."""
    return len(versions) == VERSIONS


def _values(pathway: Pathway, chosen: Mapping[str, Any]) -> dict[str, object]:
    """Return the profile and every value; of what an older definition allowed, what was chosen."""
    ours = parameters.concerning(pathway, chosen)
    profile = {PROFILE: ours.get(PROFILE, pathway.default_profile)}
    try:
        return {**profile, **parameters.resolve(pathway, ours)}
    except InvalidParameters:
        return {**profile, **ours}
