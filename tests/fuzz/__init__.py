"""A fuzzer of the whole HTTP surface that knows FHIR: valid requests at random, and the same spoilt.

    PYTHONPATH=tests python -m fuzz --help

Each request is a function of a seed and a number and of nothing else, so a finding is made again from these
two: `grammar` makes resources, `searches` queries, `asking` whole requests, `spoiling` spoils them, `watch`
says what no answer may be, `shrink` makes a finding small.
"""
