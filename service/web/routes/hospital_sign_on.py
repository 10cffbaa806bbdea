"""`/sign-in/hospital`: away to the hospital's own sign-on, and back.

Only accounts that are known here are signed in, whoever the hospital knows.
"""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import log
from service.auth import hospital, tokens
from service.auth import sign_in as signing
from service.settings import HospitalSignOn
from service.store import accounts, sign_ons
from service.web import signed_in, visit
from service.web.inside import inside
from service.web.pages import pages
from service.web.routes import sign_in
from service.web.visit import TENANT


@pages.get("/sign-in/hospital")
def go_to_hospital() -> Response:
    """Send the browser to the hospital's sign-on."""
    provider = visit.settings().sign_on
    back = inside(request.args.get("next", ""))
    if visit.settings().sandbox or provider is None:
        return redirect(url_for("web.show_sign_in", next=back or None), code=303)
    try:
        away = hospital.send(provider, _callback(), back)
    except hospital.Unreachable as error:
        log.get().warning("hospital sign-on not reached", why=str(error))
        return sign_in.page(back, trouble="unreachable", status=503)
    visit.database().run(
        lambda tx: sign_ons.begin(tx, tokens.digest(away.state), tokens.digest(away.browser), away.begun)
    )
    answer = redirect(away.address, code=303)
    signed_in.remember(answer, away.browser, signed_in.BEFORE)
    return answer


@pages.get("/sign-in/hospital/back")
def come_from_hospital() -> Response:
    """Sign in whom the hospital knows, if there is such an account here."""
    provider = visit.settings().sign_on
    if visit.settings().sandbox or provider is None:
        return redirect(url_for("web.show_sign_in"), code=303)
    state = tokens.digest(request.args.get("state", ""))
    browser = tokens.digest(request.cookies.get(signed_in.BEFORE, ""))
    begun = visit.database().run(lambda tx: sign_ons.end(tx, state, browser))
    if begun is None:
        return sign_in.page("", trouble="old_form", status=422)
    try:
        name = _proved(provider, begun)
    except hospital.Unreachable as error:
        log.get().warning("hospital sign-on not reached", why=str(error))
        return sign_in.page(begun.back, trouble="unreachable", status=503)
    except hospital.NotProved as error:
        log.get().warning("hospital sign-on not taken", why=str(error))
        return sign_in.page(begun.back, trouble="not_proved", status=403)
    account = visit.database().run(lambda tx: accounts.find(tx, name, tenant=TENANT))
    if account is None or account.disabled:
        log.get().info("sign-in refused", account=account.name if account else None)
        return sign_in.page(begun.back, trouble="no_account", status=403)
    done = signing.begun(
        visit.database(),
        account,
        signed_in.address(visit.settings()),
        before=request.cookies.get(signed_in.COOKIE),
        tenant=TENANT,
    )
    if isinstance(done, signing.NotSignedIn):
        return sign_in.page(begun.back, trouble="no_account", status=403)
    return sign_in.entered(done, begun.back)


def _proved(provider: HospitalSignOn, begun: sign_ons.SignOn) -> str:
    # A provider may say who it is: then it is the one that was asked (https://www.rfc-editor.org/rfc/rfc9207).
    if request.args.get("iss", provider.issuer) != provider.issuer:
        raise hospital.NotProved("another provider answers")
    code = request.args.get("code", "")
    if not code:
        raise hospital.NotProved("the provider sends no code")
    return hospital.account(provider, begun, code, _callback(), visit.database().run(sign_ons.now))


def _callback() -> str:
    return visit.settings().base_url + url_for("web.come_from_hospital")
