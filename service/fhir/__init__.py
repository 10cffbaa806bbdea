"""FHIR R4 over HTTP: one file for each interaction, and the one way to write."""
