"""What verbs share: the store of this command, its language, and the two ways of output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from financing import embedded, settings, work
from financing.context import Context
from financing.errors import Unreadable
from financing.formats.mapping import SavedMapping, parse
from financing.store import migrate

F = TypeVar("F", bound=Callable[..., Any])

STATEMENT_TIMEOUT_S = 600  # an import or a full check may take its time


def options(command: F) -> F:
    """The options of every verb: --json and --lang."""
    command = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(
        command
    )
    return click.option(
        "--lang",
        type=click.Choice(["zh", "en"]),
        default=settings.terminal_language,
        help="Language of what people read (default: from LANG).",
    )(command)


def mapping(command: F) -> F:
    """The option of verbs that read statements: --mapping, read and checked."""
    return click.option(
        "--mapping",
        metavar="FILE",
        callback=lambda _context, _option, path: path and _mapping(Path(path)),
        help="What the columns of a table mean, or how the bank writes MT940.",
    )(command)


def _mapping(path: Path) -> SavedMapping:
    try:
        return parse(path.read_bytes(), path.name)
    except OSError as problem:
        raise Unreadable(
            f"the mapping cannot be opened: {problem.strerror}",
            where=str(path),
            remedy="Check the path.",
        ) from problem


def emit(document: Any) -> None:
    """Print the one JSON document of a verb."""
    click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str))


def say(text: str = "") -> None:
    """Print a line for people."""
    click.echo(text)


def progress(text: str) -> None:
    """Print a line about the work under way, on stderr."""
    click.echo(text, err=True)


@contextmanager
def opened() -> Iterator[Context]:
    """The context of this command; an embedded store is started, migrated, and stopped again.

    Raises:
        Conflict: a store of the operator's own is not at this code's schema.
        Unreachable: a store cannot be reached or started.
    """
    known = settings.from_environment()
    with embedded.stores(known) as stores:
        given = replace(known, database_url=stores.database_url, redis_url=stores.redis_url)
        ctx = Context.open(given, statement_timeout_s=STATEMENT_TIMEOUT_S)
        if known.database_url is None:
            migrate.migrate(ctx.engine)
        else:
            migrate.assert_current(ctx.engine)
        try:
            yield ctx
        finally:
            ctx.engine.dispose()


def follow_up(ctx: Context) -> None:
    """Do the local work that a verb left behind, unless a worker lives that does it."""
    if not work.worker_lives(ctx):
        work.run_due(ctx, errands=False)
