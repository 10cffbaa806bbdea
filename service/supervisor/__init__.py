"""One parent for every process of an installation: `make run`, `hipway run` and the tests.

Read `guard` first (why nothing is left behind), then `child`, `postgres`, `valkey`, `supervise`.
"""
