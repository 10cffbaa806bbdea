"""The URLs that are ours, each written once, and those of others that the service writes or reads.

Source of what each means: the files in `definitions/`.
"""

BASE = "https://w3id.org/hipway"


def code_system(name: str) -> str:
    """Return the URL of our code system of that name."""
    return f"{BASE}/CodeSystem/{name}"


def value_set(name: str) -> str:
    """Return the URL of our value set of that name."""
    return f"{BASE}/ValueSet/{name}"


def structure(name: str) -> str:
    """Return the URL of our extension or profile of that name."""
    return f"{BASE}/StructureDefinition/{name}"


def operation(name: str) -> str:
    """Return the URL of our operation of that name."""
    return f"{BASE}/OperationDefinition/{name}"


def topic(name: str) -> str:
    """Return the URL of our topic of that name, to which other systems subscribe."""
    return f"{BASE}/SubscriptionTopic/{name}"


def identifiers(name: str) -> str:
    """Return the system of the identifiers we give to things of that kind."""
    return f"{BASE}/sid/{name}"


# What the engine says about its own work.
STAGES = code_system("pathway-stage")
HOLDS = code_system("pathway-hold")
RULES = code_system("pathway-rule")
EVENTS = code_system("pathway-event")
TASKS = code_system("pathway-task")
MESSAGES = code_system("pathway-message")
ISSUES = code_system("pathway-issue")
REASONS = code_system("pathway-reason")
ROLES = code_system("pathway-role")
DECISIONS = code_system("clinician-decision")
TASK_INPUTS = code_system("pathway-task-input")

# Extensions of what the engine writes.
STAGE = structure("pathway-stage")
HOLD = structure("pathway-hold")
SIDE = structure("pathway-side")
THERAPY_START = structure("therapy-start")

# An extension of what hospitals send, where a ConceptMap of the site translates it.
TRANSLATION_OF = structure("translation-of")

# An extension of what other systems send of themselves.
SUBSCRIPTION_SECRET = structure("subscription-secret")

CARE_PLAN_IDS = identifiers("care-plan")

# Kept by others.
LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
