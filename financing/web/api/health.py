"""Is the process up, and could it answer: for whoever watches it."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.exc import DBAPIError

from financing.context import Context
from financing.errors import Unreachable
from financing.store import migrate
from financing.web.routes import route

Reply = tuple[str, int, dict[str, str]]


@route("GET", "/healthz", permit="public", proof="none")
def healthz(_ctx: Context, _request: Any) -> Reply:
    """The process answers."""
    return _reply(200, {"status": "up"})


@route("GET", "/readyz", permit="public", proof="none")
def readyz(ctx: Context, _request: Any) -> Reply:
    """Both stores can be reached, and the schema is this release's."""
    found = {"database": _database(ctx), "queue": _queue(ctx.settings.redis_url)}
    is_ready = set(found.values()) <= {"ready", "unset"}
    return _reply(200 if is_ready else Unreachable.status, found)


def _reply(status: int, found: dict[str, str]) -> Reply:
    return json.dumps(found), status, {"Content-Type": "application/json"}


def _database(ctx: Context) -> str:
    try:
        return "ready" if migrate.current(ctx.engine) == migrate.HEAD else "not migrated"
    except (DBAPIError, Unreachable):
        return "unreachable"


def _queue(url: str | None) -> str:
    if url is None:
        return "unset"
    from redis import Redis, RedisError

    try:
        with Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as queue:
            queue.ping()
    except RedisError:
        return "unreachable"
    return "ready"
