"""CDS Hooks 2.0: advice on what an electronic record shows just now, from the data it sends along.

https://cds-hooks.hl7.org/2.0/
"""
