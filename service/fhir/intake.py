"""How a write comes in: read, admitted, stored and answered in one transaction.

    body read -> turn, or 429 -> kept answer, if there is one -> entries, gate
    -> one transaction: data, promise, answer under its key -> a worker is woken

The body is read before a turn is asked for: a sender that dribbles must not hold a slot,
and one that is refused while it is still writing would see a broken connection in place of
the answer. That is all it costs to be refused; unpacking, reading, the gate and the
database come after. A process holds at most one body of `reading.MAX_BYTES` per thread.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from flask import Response, current_app, g, request
from sqlalchemy import Connection

from fhir_profiles import reading
from service import broker, log
from service.auth import calling
from service.fhir import admission, entries, idempotency, sent, transaction
from service.fhir.batch import Batch
from service.fhir.blueprint import TENANT, base, database, resource
from service.fhir.entries import Entry, Read
from service.fhir.idempotency import Once
from service.fhir.media_types import READ, check_content
from service.fhir.refusals import Issue, NotExchanged, NotReadable, TooLarge
from service.fhir.transaction import Accepted
from service.store import driver, idempotency_keys

#: makes the transaction Bundle of what was sent
AsBundle = Callable[[dict[str, Any]], dict[str, Any]]

#: makes the answer, in the transaction that stores
Answer = Callable[[Connection, Accepted], Response]


def take_in(
    as_bundle: AsBundle,
    answer: Answer,
    *,
    repeatable: bool,
    answer_reads: bool = True,
    forms: Sequence[str] = READ,
    read: Callable[[bytes], dict[str, Any]] = reading.read,
    said: str | None = None,
) -> Response:
    """Store what the request holds and answer it, once for a key.

    Args:
        answer: reads only through its connection; it may be called more than once.
        answer_reads: whether it reads at all; if not, it is made before the rows are sent, and they, what is
            written down of the request, and the commit may share a round trip.
        repeatable: the same Bundle sent again creates nothing, as in `transaction.store`.
        forms: the media types that are read.
        read: makes of the body what `as_bundle` takes.
        said: to whoever sends another form, where more than resources is read.

    Raises:
        Throttled: there is no room now; nothing is stored.
        Refusal: nothing is stored. One is `NotInScope`: the sender may not do all that the Bundle asks for.
        Unreadable: the body is no JSON; nothing is stored.
    """
    # PUT is idempotent without a key.
    key = key_of_request() if request.method == "POST" else None
    noted = sent.begin()
    with admitted(forms, said) as body:
        once = Once(key=key, digest=idempotency.digest_of(request, body)) if key is not None else None
        # Without a lock first: a repetition costs no more than this.
        if once and (kept := _kept(once)):
            noted.repeated = True
            return idempotency.replayed(kept, once)
        bundle = as_bundle(read(body))
        sent.read(bundle)
        if not _is_batch(bundle):
            asked_for = transaction.read(bundle, base=base())
            calling.require_for(asked_for, Read)

            def store(tx: Connection) -> tuple[Response, Accepted | None]:
                # Again under the lock: the first of two at the same time has stored by now.
                if once and (kept := idempotency_keys.hold(tx, once.key, tenant=TENANT)):
                    noted.repeated = True
                    return idempotency.replayed(kept, once), None
                response, accepted = _store(
                    tx,
                    asked_for,
                    answer,
                    repeatable=repeatable,
                    answer_reads=answer_reads,
                    is_last=once is None,
                )
                if once:
                    idempotency_keys.keep(tx, once.key, idempotency.kept(response, once), tenant=TENANT)
                return response, accepted

            response, accepted = database().run(store)
            noted.written = accepted is not None
    if _is_batch(bundle):
        return _carry_out_each(bundle, once)
    if accepted:
        _wake(accepted)
    return response


def carry_out(bundle: dict[str, Any], answer: Answer) -> Response:
    """Store a Bundle that was made of a request without a body, and answer it.

    Raises:
        Throttled, Refusal: as in `take_in`.
    """
    noted = sent.begin()
    sent.read(bundle)
    with current_app.extensions["hipway"].intake.turn(admission.sender_of(request)):
        asked_for = transaction.read(bundle, base=base())

        def store(tx: Connection) -> tuple[Response, Accepted]:
            return _store(tx, asked_for, answer, repeatable=False, answer_reads=True, is_last=True)

        response, accepted = database().run(store)
        noted.written = True
    _wake(accepted)
    return response


def _store(
    tx: Connection,
    asked_for: Sequence[Entry | Read],
    answer: Answer,
    *,
    repeatable: bool,
    answer_reads: bool,
    is_last: bool,
) -> tuple[Response, Accepted]:
    """Store, answer, and write the request down.

    Args:
        is_last: nothing follows in the transaction, so its commit goes along.
    """
    responses: list[Response] = []

    def finish(accepted: Accepted) -> None:
        sent.write_accepted(tx, accepted, responses[-1].status_code, tenant=TENANT)
        if is_last:
            driver.commit_along(tx)

    def answer_and_finish(accepted: Accepted) -> None:
        responses.append(answer(tx, accepted))
        finish(accepted)

    accepted = transaction.store(
        tx,
        asked_for,
        tenant=TENANT,
        sender=calling.caller().name,
        base=base(),
        repeatable=repeatable,
        besides=None if answer_reads else answer_and_finish,
    )
    if answer_reads:
        responses.append(answer(tx, accepted))
        with driver.together(tx):
            finish(accepted)
    return responses[-1], accepted


@contextmanager
def admitted(forms: Sequence[str] = READ, said: str | None = None) -> Iterator[bytes]:
    """Hold a turn for the length of a block, with the body of the request, unpacked.

    Raises:
        Throttled, Refusal, Unreadable: as in `take_in`.
    """
    packed = _body(forms, said)
    with current_app.extensions["hipway"].intake.turn(admission.sender_of(request)):
        yield reading.inflate(packed) if _is_gzip() else packed


def key_of_request() -> str | None:
    """Return the key of the request, which is the sender's own where senders are told apart."""
    key = idempotency.key_of(request.headers.get(idempotency.HEADER))
    caller = calling.caller()
    # No key of a client holds this character, so none is ever taken for another sender's.
    return f"{caller.name}\x1e{key}" if key is not None and caller.is_known else key


def _is_batch(bundle: dict[str, Any]) -> bool:
    return bundle.get("resourceType") == "Bundle" and bundle.get("type") == "batch"


def _carry_out_each(bundle: dict[str, Any], once: Once | None) -> Response:
    """Carry out the entries of a batch, each in its own turn; the answer is kept if none was refused."""
    intake = current_app.extensions["hipway"].intake
    batch = Batch(
        database=database(),
        tenant=TENANT,
        sender=calling.caller().name,
        base=base(),
        turn=partial(intake.turn, admission.sender_of(request)),
        stored=_stored_of_batch,
        check=lambda entry: calling.require_for([entry], Read),
        key=once.key if once else None,
    )
    answer = batch.answer(entries.rows(bundle))
    response = resource(reading.write(answer).decode())
    g.sent.refused = sum(_is_refused(line["response"]) for line in answer.get("entry", ()))
    if once and not g.sent.refused:
        kept = idempotency.kept(response, once)
        database().run(lambda tx: _keep(tx, once.key, kept))
    return response


def _is_refused(response: dict[str, Any]) -> bool:
    """Return whether an entry of a batch was refused; what went well may tell something, too."""
    return "outcome" in response and not str(response.get("status", "")).startswith("2")


def _stored_of_batch(accepted: Accepted) -> None:
    sent.note(accepted)
    _wake(accepted)


def _keep(tx: Connection, key: str, kept: idempotency_keys.Kept) -> None:
    if idempotency_keys.hold(tx, key, tenant=TENANT) is None:
        idempotency_keys.keep(tx, key, kept, tenant=TENANT)


def _body(forms: Sequence[str], said: str | None) -> bytes:
    """Return the body as it was sent, in bounded memory."""
    check_content(forms, said)
    if _encoding() not in ("identity", "gzip"):
        raise NotReadable(Issue(code="not-supported", text="the only Content-Encoding is gzip"))
    limit = reading.MAX_BYTES
    raw = b"" if (request.content_length or 0) > limit else request.stream.read(limit + 1)
    if len(raw) > limit or (request.content_length or 0) > limit:
        text = f"the body is larger than {limit // 1024 // 1024} MiB ({limit} bytes)"
        raise TooLarge(Issue(code="too-long", text=text))
    if not raw:
        raise NotExchanged(Issue(code="required", text="there is no body"))
    return raw


def _encoding() -> str:
    return request.headers.get("Content-Encoding", "identity").lower()


def _is_gzip() -> bool:
    return _encoding() == "gzip"


def _kept(once: Once) -> idempotency_keys.Kept | None:
    return database().run(lambda tx: idempotency_keys.find(tx, once.key, tenant=TENANT))


def _wake(accepted: Accepted) -> None:
    """Wake a worker if the evaluation is due, after the commit and outside the turn."""
    if not (accepted.due and accepted.patient):
        return
    log.get().info("bundle accepted", patient=accepted.patient, entries=len(accepted.stored))
    if not accepted.due.settles:
        broker.wake(current_app.extensions["hipway"].settings, TENANT, accepted.patient)
