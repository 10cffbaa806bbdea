"""How the schema came to be, one file per step."""
