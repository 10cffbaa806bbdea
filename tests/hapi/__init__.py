"""An independent implementation beside ours, HAPI FHIR, and what it says of our rules and resources."""
