"""Where subscribers may be told, and whose certificates are believed there."""

from service.doctor.finding import Finding
from service.environment import InvalidSettings
from service.settings import Settings
from service.subscriptions import sending


def examine(settings: Settings) -> Finding:
    """Look at the settings of Subscriptions."""
    try:
        sending.trust(settings.subscribers_ca_file)
    except InvalidSettings as error:
        fix = "name a readable PEM file of the authority that signed the subscribers' certificates"
        return Finding(what="subscribers", seen=str(error), fix=fix)
    allowed = ", ".join(map(str, settings.subscribers_networks))
    seen = "told at public addresses" + (f" and in {allowed}" if allowed else " alone")
    if any(network.is_loopback or network.is_link_local for network in settings.subscribers_networks):
        advice = (
            "whoever subscribes can have this machine or its neighbours asked; "
            "take loopback and link-local networks out of HIPWAY_SUBSCRIBERS_NETWORKS"
        )
        return Finding(what="subscribers", seen=seen, advice="" if settings.sandbox else advice)
    return Finding(what="subscribers", seen=seen)
