"""PostgreSQL: the record, the promises made on it, the decisions taken on it."""
