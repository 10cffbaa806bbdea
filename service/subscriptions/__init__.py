"""Subscriptions of other systems to what the pathways do, by the R4 Subscriptions Backport guide.

    terms          what a Subscription asks for, or why it is refused
    labels         by what events are narrowed
    notification   what is sent, as a Bundle
    addresses      where it may be sent to
    sending        one request, signed
    delivering     what is sent next, and what becomes of it

http://hl7.org/fhir/uv/subscriptions-backport
"""
