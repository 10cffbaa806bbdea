"""Where the hospital's FHIR server calls when something is new: `/hospital/hook/{Type}`.

A call is a hint. It is answered at once with nothing, and what it carries is not read: whoever reads from
the server looks at what has changed there, with the connection and the rights of the settings. Servers that
send a payload call by PUT and DELETE, with the id behind the type.

http://hl7.org/fhir/R4/subscription.html#2.46.7.1
"""

import hmac

from flask import Blueprint, Response, current_app, request

from service import errors
from service.hospital.settings import HOOK, SECRET_HEADER, Hospital
from service.store import hospital_subscriptions, sources

hook = Blueprint("hook", __name__, url_prefix=HOOK)

#: the one tenant that is served
TENANT = 0


@hook.errorhandler(Exception)
def failed(error: Exception) -> Response:
    """Answer as the FHIR base does: while the database is away the server tries again."""
    return errors.answer(error)


@hook.post("/<type_>")
@hook.put("/<type_>/<_id>")
@hook.delete("/<type_>/<_id>")
def called(type_: str, _id: str = "") -> Response:
    """Note that something of a type is new there. Which resource, and what it says, is not believed."""
    hipway = current_app.extensions["hipway"]
    hospital: Hospital | None = hipway.settings.hospital
    if hospital is None or hospital.read != "subscription":
        return Response(status=404)
    shown = request.headers.get(SECRET_HEADER, "")
    with hipway.database.transaction() as tx:
        secret = hospital.hook_secret or sources.secret(tx, tenant=TENANT, server=hospital.url)
        # As long a comparison whether or not there is a secret to compare with.
        if not hmac.compare_digest(shown.encode(), (secret or SECRET_HEADER).encode()) or not secret:
            return Response(status=401)
        if hospital_subscriptions.called(tx, type_, tenant=TENANT, server=hospital.url):
            sources.not_missed(tx, tenant=TENANT, server=hospital.url)
    return Response(status=200)
