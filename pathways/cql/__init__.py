"""Evaluate CQL, in its machine form ELM, over FHIR R4 JSON.

    elm = cql.read(text)                             # as json.loads, and smaller
    library = cql.load(elm)                          # raises cql.Refused, every reason at once
    run = library.at(moment, records, parameters)    # one patient, one instance, one instant
    run["Some definition"]                           # True, False, None, or any value
    run.explain("Some definition")                   # why

It knows nothing of pathways, states or stores.

https://cql.hl7.org/ (1.5.3), https://cql.hl7.org/elm.html
"""

from pathways.cql.fhir import Records
from pathways.cql.library import Library, load, matches
from pathways.cql.reading import read
from pathways.cql.refusal import EvaluationFailed, Reason, Refused
from pathways.cql.run import Run
from pathways.cql.temporal import Date, DateTime, Time
from pathways.cql.terminology import InMemory, NotExpandable, Terminology
from pathways.cql.values import Code, Concept, Interval, Quantity, Ratio, Tuple, Uncertainty

__all__ = [
    "Code",
    "Concept",
    "Date",
    "DateTime",
    "EvaluationFailed",
    "InMemory",
    "Interval",
    "Library",
    "NotExpandable",
    "Quantity",
    "Ratio",
    "Reason",
    "Records",
    "Refused",
    "Run",
    "Terminology",
    "Time",
    "Tuple",
    "Uncertainty",
    "load",
    "matches",
    "read",
]
