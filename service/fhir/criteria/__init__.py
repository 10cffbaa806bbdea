"""Search criteria as SQL, one file for each kind of parameter.

http://hl7.org/fhir/R4/search.html
"""
