"""The application as a WSGI server loads it: one per web process."""

from service import log
from service.app import create_app
from service.settings import Settings

settings = Settings.from_environment()
log.configure("web", level=settings.log_level)
app = create_app(settings)
