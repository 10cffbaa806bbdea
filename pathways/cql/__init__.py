"""Evaluate CQL, in its machine form ELM, over FHIR R4 JSON.

    library = cql.load(elm)                          # raises cql.Refused, every reason at once
    run = library.at(moment, records, parameters)    # one patient, one instance, one instant
    run["Some definition"]                           # True, False, None, or any value
    run.explain("Some definition")                   # why

It knows nothing of pathways, states or stores.

https://cql.hl7.org/ (1.5.3), https://cql.hl7.org/elm.html
"""

from pathways.cql.fhir import Records
from pathways.cql.library import Library, Run, load, matches
from pathways.cql.refusal import EvaluationFailed, Reason, Refused
from pathways.cql.temporal import Date, DateTime, Time
from pathways.cql.values import Code, Concept, Interval, Quantity, Ratio, Tuple, Uncertainty

__all__ = [
    "Code",
    "Concept",
    "Date",
    "DateTime",
    "EvaluationFailed",
    "Interval",
    "Library",
    "Quantity",
    "Ratio",
    "Reason",
    "Records",
    "Refused",
    "Run",
    "Time",
    "Tuple",
    "Uncertainty",
    "load",
    "matches",
]
