"""The application as a WSGI server loads it: one per web process."""

import gc

from service import lifeline, log
from service.app import create_app
from service.settings import Settings

lifeline.end_with_parent()
settings = Settings.from_environment()
settings.assert_served_safely()
log.configure("web", level=settings.log_level)
app = create_app(settings)

#: A page makes some twenty thousand objects, and nearly all go by themselves at its end. At Python's 700 they
#: are gone through thirty times before, a tenth of its time; what refers to itself waits a little longer.
NEW_OBJECTS = 50_000

# What is loaded by now stays as long as the process. Without this every full collection goes through
# all of it, a tenth of a second in which no request is answered.
gc.collect()
gc.freeze()
gc.set_threshold(NEW_OBJECTS, 5, 5)
