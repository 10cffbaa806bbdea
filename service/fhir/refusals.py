"""Why a request is not carried out. Each says what to do instead, and never repeats a value.

Which HTTP status each gets is one table, in `service.errors`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One fault, as a line of an OperationOutcome."""

    #: http://hl7.org/fhir/R4/valueset-issue-type.html
    code: str
    #: for the person who must fix it; names and limits only
    text: str
    #: where, as `Bundle.entry[3].resource.status`
    expression: str | None = None


class Refusal(Exception):
    """Nothing was stored; the issues say why."""

    def __init__(self, *issues: Issue) -> None:
        super().__init__("; ".join(f"{issue.expression or '-'}: {issue.code}" for issue in issues))
        self.issues = issues


class NotExchanged(Refusal):
    """The request is not one of those this service exchanges."""


class TooLarge(Refusal):
    """The request is larger than the service reads."""


class NotValid(Refusal):
    """A resource is not valid, or a reference or the patient of a Bundle cannot be settled."""


class NotYours(Refusal):
    """The engine keeps this resource; only some of it may change from outside."""


class Ambiguous(Refusal):
    """Several resources match where one is meant."""


class OutOfDate(Refusal):
    """The resource has changed since the sender read it."""


class Referred(Refusal):
    """Something that is there refers to what would be removed."""


class NotFound(Refusal):
    """There is no such resource, version or type."""


class Gone(Refusal):
    """There was such a resource, and it was removed."""


class NotOffered(Refusal):
    """The interaction is not offered."""


class NotReadable(Refusal):
    """The body is in a form that is not read."""


class NotAcceptable(Refusal):
    """The answer cannot be given in the form that was asked for."""


class NotIndexed(Refusal):
    """What is stored was not yet indexed for this release, so the answer would be incomplete."""


class KeyReused(Refusal):
    """The Idempotency-Key of this request was used for another one."""


class TooMany(Refusal):
    """The caller has as many of these as one may have; later, or after removing one, there is room."""


class WentWrong(Refusal):
    """What was to be done later could not be done."""


class FromElsewhere(Refusal):
    """A browser sent this from a page that is not ours."""


class NoCredentials(Refusal):
    """Nobody says who is calling, or not so that it could be believed."""


class NotInScope(Refusal):
    """Whoever is calling may not do this."""
