"""What every form carries: a token for one use, bound to who acts and to this service.

The token proves that the form came from one of our pages. It also names the decision:
its id is derived from focus, decision and token, so pressing twice decides once.
"""

from dataclasses import dataclass
from secrets import token_hex
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from flask import Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from service import origins

#: a page left open over a shift still works; one of yesterday asks to reload
FORM_HOURS = 12

_DECISIONS = uuid5(NAMESPACE_URL, "https://w3id.org/hipway/decision")


class Foreign(Exception):
    """The form did not come from a page of this service, or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """Makes and checks the tokens of forms, for one person who acts."""

    secret: str
    acting: str
    #: as users call this service; a proxy may have called it otherwise
    base_url: str = ""

    def token(self) -> str:
        """Return a token for one form."""
        return str(self._serializer.dumps([token_hex(12), self.acting]))

    def check(self, request: Request) -> str:
        """Return the token of a posted form.

        Raises:
            Foreign: the token is not ours, of someone else, or too old, or the request came from elsewhere.
        """
        refuse_other_origins(request, self.base_url)
        token = request.form.get("token", "")
        if self.writer(token) != self.acting:
            raise Foreign
        return token

    def writer(self, token: str) -> str:
        """Return for whom a token was made, whoever acts now.

        Raises:
            Foreign: it is not ours, or too old.
        """
        try:
            _, acting = self._serializer.loads(token, max_age=FORM_HOURS * 3600)
        except BadSignature as error:
            raise Foreign from error
        return str(acting)

    @property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt="form")


def refuse_other_origins(request: Request, base_url: str) -> None:
    """Refuse a request that another site's page made the browser send.

    Args:
        base_url: as users call this service.

    Raises:
        Foreign: the browser names another origin.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin", "none"):
        raise Foreign
    origin = request.headers.get("Origin")
    hosts = (request.host, urlsplit(base_url).netloc)
    if origin is not None and not origins.names(origin, hosts):
        raise Foreign


def decision_id(focus: str, decision: str, token: str) -> str:
    """Return the id of the decision this form makes."""
    return str(uuid5(_DECISIONS, "\n".join((focus, decision, token))))
