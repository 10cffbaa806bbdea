"""What a resource is found by: rows of values, texts, dates and numbers for the search parameters of R4."""
