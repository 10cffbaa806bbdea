"""`/keys`: which keys do what?"""

from service.web import visit
from service.web.pages import pages

#: each shortcut with the name of its words
KEYS = (
    ("/", "find"),
    ("g w", "worklist"),
    ("g i", "inbox"),
    ("g p", "pathways"),
    ("g o", "operations"),
    ("g a", "audit"),
    ("j", "next"),
    ("k", "previous"),
    ("Enter", "open"),
    ("t", "take"),
    ("s", "proposal"),
    ("[", "patient.before"),
    ("]", "patient.after"),
    ("?", "all"),
)


@pages.get("/keys")
def show_keys() -> str:
    """Show every shortcut, and how to turn them off."""
    with visit.begin() as (_, seen):
        return visit.page(seen, "keys.html", keys=KEYS)
