"""Control of a sandbox: its clock, its parameters, an evaluation on demand, a fresh start.

In production these URLs do not exist.
"""

from service.sandbox.control import routes

__all__ = ["routes"]
