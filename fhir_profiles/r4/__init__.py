"""The R4 (4.0.1) definitions as strict JSON Schemas, and the script that makes them."""
