"""Evaluate CQL, in its machine form ELM, over FHIR R4 JSON."""
