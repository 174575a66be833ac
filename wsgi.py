"""The web process for a WSGI server: `gunicorn wsgi:app`; stores are named by the environment."""

from financing import log, settings, work
from financing.context import Context
from financing.web.app import create_app

known = settings.from_environment()
log.set_up(known.log)
app = create_app(Context.open(known, ring=work.bell(known.redis_url)))
