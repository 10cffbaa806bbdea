"""The whole HTTP surface as one OpenAPI document, made of the tables and routes that the service is made of.

Nothing here can go stale on its own: a route that nobody described, a search parameter, an operation or a
status without words ends the making of the document, and a test makes it.

https://spec.openapis.org/oas/v3.1.0
"""
