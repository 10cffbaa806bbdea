"""Demo patients: made-up people at several stages, told up to the present.

Their stories are data. They are posted as Bundles under the test clock, with all dates
shifted so that the last day is today, and then the clock returns to the machine's: what a
visitor sees was made by the same path as everything else.

    stories/*.json, terms.json, people.json -> visit -> load -> service
"""
