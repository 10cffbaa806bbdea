"""The coordinator's pages: server-rendered, working without JavaScript."""

from service.web import routes
from service.web.pages import pages

__all__ = ["pages", "routes"]
