"""The processes of a service manager: each in the foreground, one process per verb."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import click

from financing import settings, work
from financing.cli import shared
from financing.context import Context
from financing.errors import Invalid
from financing.store import db
from financing.store import migrate as schema


def _served() -> settings.Settings:
    known = settings.from_environment()
    if known.database_url is None:
        raise Invalid(
            "no database is set",
            where="DATABASE_URL",
            remedy="Set DATABASE_URL, or use `financing serve`, which brings its own stores.",
        )
    return known


@click.command("migrate", epilog="Example: DATABASE_URL=… financing migrate")
@shared.options
def migrate(as_json: bool, lang: str) -> None:
    """Bring the database to the schema of this release; again changes nothing."""
    known = _served()
    engine = db.open_engine(str(known.database_url), statement_timeout_s=3600)
    changed = schema.migrate(engine)
    if as_json:
        shared.emit({"revision": schema.HEAD, "changed": changed})
    else:
        shared.say(f"schema {schema.HEAD}" + ("" if changed else ", unchanged"))


@click.command("web", epilog="Example: DATABASE_URL=… REDIS_URL=… financing web --port 8080")
@click.option("--port", default=8080, show_default=True, help="Port on 127.0.0.1.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--workers", default=2, show_default=True, help="Processes that answer.")
def web(port: int, host: str, workers: int) -> None:
    """Answer pages, API, and webhooks until stopped."""
    _served()
    # The web server takes this process over, so that a service manager sees its signals.
    os.execv(  # noqa: S606  a fixed program
        sys.executable,
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--worker-class=gthread",
            f"--workers={workers}",
            "--threads=4",
            f"--bind={host}:{port}",
            "--worker-tmp-dir=/dev/shm",
            "--no-control-socket",
            "--graceful-timeout=10",
            "--limit-request-line=8190",
            "--log-level=warning",
            "wsgi:app",
        ],
    )


@click.command("worker", epilog="Example: DATABASE_URL=… REDIS_URL=… financing worker")
def worker() -> None:
    """Do the work of the outbox until stopped."""
    known = _served()
    ctx = Context.open(replace(known), ring=work.bell(known.redis_url), statement_timeout_s=120)
    work.serve(ctx, known.redis_url)
