"""In which forms a request may come and be answered, and where the parameters of a search stand.

http://hl7.org/fhir/R4/http.html#mime-type
"""

from collections.abc import Sequence

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_options_header

from service.fhir.refusals import Issue, NotAcceptable, NotReadable

#: forms of FHIR JSON; a missing Content-Type is read as JSON
READ = ("application/fhir+json", "application/json", "")
NOT_XML = "resources are exchanged as JSON of R4, not as XML or RDF, nor of another release"
FORMATS = ("json", "application/json", "application/fhir+json")
#: the release of FHIR, as a parameter of a media type names it: http://hl7.org/fhir/R4/http.html#version-parameter
FHIR_VERSION = "4.0"
SEARCH_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: forms of the files of an export
NDJSON = ("application/fhir+ndjson", "application/ndjson")


def check_accept() -> None:
    """Refuse a request for a form that is not written."""
    wanted = request.args.get("_format")
    accepts = request.accept_mimetypes
    forms = (*READ[:2], *(NDJSON if request.endpoint == "fhir.export_file" else ()))
    if wanted is None and accepts and not any(_without_parameters(accepts)[form] for form in forms):
        raise NotAcceptable(
            Issue(code="not-supported", text=f"{NOT_XML}: send Accept: application/fhir+json")
        )
    # a plus in a query means a space there, and people write it all the same
    if wanted is not None and wanted.replace(" ", "+") not in FORMATS:
        raise NotAcceptable(Issue(code="not-supported", text=f"{NOT_XML}: ask with _format=json, or without"))


def check_content(forms: Sequence[str] = READ, said: str | None = None) -> None:
    """Refuse a body in a form that is not read, or of another release.

    Args:
        said: what is read here, where that is more than resources.

    Raises:
        NotReadable: it is in such a form.
    """
    release = request.mimetype_params.get("fhirversion", FHIR_VERSION)
    if request.mimetype not in forms or release != FHIR_VERSION:
        text = said or f"{NOT_XML}: send Content-Type: {forms[0]}"
        raise NotReadable(Issue(code="not-supported", text=text))


def search_parameters() -> list[tuple[str, str]]:
    """Return the parameters of a search, of its URL and of its form; many may have one name.

    http://hl7.org/fhir/R4/http.html#search

    Raises:
        NotReadable: the body is no form. Passed over, it would make the search one without criteria.
    """
    if request.method == "POST" and request.mimetype not in SEARCH_FORMS and request.stream.read(1):
        text = f"the parameters of a search by POST are a form: send Content-Type: {SEARCH_FORMS[0]}"
        raise NotReadable(Issue(code="not-supported", text=text))
    return [*request.args.items(multi=True), *request.form.items(multi=True)]


def _without_parameters(accepts: MIMEAccept) -> MIMEAccept:
    """Return the media types of this release without their parameters, of which only the release matters."""
    parsed = [(*parse_options_header(value), quality) for value, quality in accepts]
    return MIMEAccept(
        [
            (type_, quality)
            for type_, options, quality in parsed
            if options.get("fhirversion", FHIR_VERSION) == FHIR_VERSION
        ]
    )
