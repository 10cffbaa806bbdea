"""The names of the guide that are written or read here, each once.

http://hl7.org/fhir/uv/subscriptions-backport/artifacts.html
"""

_GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport"
_STRUCTURES = f"{_GUIDE}/StructureDefinition"

SERVER = f"{_GUIDE}/CapabilityStatement/backport-subscription-server-r4"
STATUS_OPERATION = f"{_GUIDE}/OperationDefinition/backport-subscription-status"
EVENTS_OPERATION = f"{_GUIDE}/OperationDefinition/backport-subscription-events"

SUBSCRIPTION = f"{_STRUCTURES}/backport-subscription"
NOTIFICATION = f"{_STRUCTURES}/backport-subscription-notification-r4"
STATUS = f"{_STRUCTURES}/backport-subscription-status-r4"
TOPIC_CANONICAL = f"{_STRUCTURES}/capabilitystatement-subscriptiontopic-canonical"

FILTER = f"{_STRUCTURES}/backport-filter-criteria"
CHANNEL_TYPE = f"{_STRUCTURES}/backport-channel-type"
CONTENT = f"{_STRUCTURES}/backport-payload-content"
HEARTBEAT = f"{_STRUCTURES}/backport-heartbeat-period"
TIMEOUT = f"{_STRUCTURES}/backport-timeout"
MAX_COUNT = f"{_STRUCTURES}/backport-max-count"

EMPTY, ID_ONLY, FULL_RESOURCE = "empty", "id-only", "full-resource"
CONTENTS = (EMPTY, ID_ONLY, FULL_RESOURCE)
