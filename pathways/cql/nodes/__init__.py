"""The node types of ELM, one module per kind; importing this registers them all."""

from pathways.cql.nodes import logic, operators, queries, references, retrieves, terminology, types, values

__all__ = [
    "logic",
    "operators",
    "queries",
    "references",
    "retrieves",
    "terminology",
    "types",
    "values",
]
