"""The ground under every test: real PostgreSQL, real Redis, real sockets on this machine only.

1. The controlling process starts both servers once; their data lies in memory where it can.
2. Migrations run once into a template; each worker of the run has a clone of its own.
3. `clean` empties the clone before a test: rows are deleted, guards and references put aside.
4. What is missing on a machine skips by name; with CI=true it fails.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine, create_engine, text

from financing.settings import Settings

if TYPE_CHECKING:
    from financing.context import Context

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "financing_template"
SERVERS = pytest.StashKey["Servers"]()
ENDING = pytest.StashKey[ExitStack]()

hypothesis_settings.register_profile("here", deadline=None, print_blob=True, derandomize=True)
hypothesis_settings.load_profile("here")


@dataclass(frozen=True, slots=True)
class Servers:
    """The two servers of this run, before any worker has a database of its own."""

    database_url: str
    redis_url: str
    data: Path


@dataclass(frozen=True, slots=True)
class Web:
    """A web process of ours that answers at `url`, on the database of `ctx`."""

    url: str
    ctx: Context


def missing(what: str) -> NoReturn:
    """Skip, naming what this machine lacks; where CI=true promises a whole machine, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing on this machine: {what}", pytrace=False)
    pytest.skip(f"missing on this machine: {what}")


# Only this machine


def _only_here(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
        raise PermissionError(f"a test may not talk to {address[0]}")


# The servers of the run


def _start(config: pytest.Config) -> Servers:
    """Start both servers once in this run, and fill the template."""
    if SERVERS in config.stash:
        return config.stash[SERVERS]
    from financing import embedded
    from financing.store.migrate import migrate

    ending = config.stash[ENDING] = ExitStack()
    memory = Path("/dev/shm")
    data = Path(
        tempfile.mkdtemp(
            prefix="financing-test-", dir=memory if os.access(memory, os.W_OK) else None
        )
    )
    ending.callback(shutil.rmtree, data, ignore_errors=True)
    given = Settings(
        database_url=os.environ.get("DATABASE_URL") or None,
        redis_url=os.environ.get("REDIS_URL") or None,
        data=data,
    )
    stores = ending.enter_context(embedded.stores(given, fast=True))
    servers = Servers(stores.database_url, stores.redis_url, data)
    _sql(servers, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    engine = create_engine(database_url(servers, TEMPLATE))
    migrate(engine)
    engine.dispose()
    config.stash[SERVERS] = servers
    return servers


def database_url(servers: Servers, name: str) -> str:
    """The address of one database of the run's server."""
    before, _, query = servers.database_url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def _sql(servers: Servers, *statements: str) -> None:
    address = database_url(servers, "postgres").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as link:
        for statement in statements:
            link.execute(statement)


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_only_here)
    if getattr(config.option, "numprocesses", None):
        _start(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    if ENDING in config.stash:
        config.stash[ENDING].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    servers = node.config.stash[SERVERS]
    node.workerinput["servers"] = (servers.database_url, servers.redis_url, str(servers.data))


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """The two servers of this run."""
    given = getattr(pytestconfig, "workerinput", None)
    if given is None:
        return _start(pytestconfig)
    database, redis, data = given["servers"]
    return Servers(database, redis, Path(data))


# One database per worker, clean for each test


@pytest.fixture(scope="session")
def new_database(servers: Servers) -> Iterator[Callable[[str], str]]:
    """Make a migrated database and give its address; all are dropped at the end of the run."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    made: list[str] = []

    def new(name: str) -> str:
        name = f"test_{worker}_{name}"
        _sql(servers, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        _sql(servers, f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
        made.append(name)
        return database_url(servers, name)

    yield new
    for name in made:
        _sql(servers, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def settings(
    servers: Servers,
    new_database: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """Settings of this worker: its database, its Redis number, its folder of keys."""
    data = tmp_path_factory.mktemp("data")
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    return Settings(
        database_url=new_database("main"),
        redis_url=f"{servers.redis_url}?db={number}",
        data=data,
        keys=data / "keys",
        url=f"http://127.0.0.1:{_free_port()}",
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="session")
def owner(settings: Settings) -> Iterator[Engine]:
    """The database as its owner: past every guard, for arranging and for looking."""
    engine = create_engine(str(settings.database_url), connect_args={"options": "-c timezone=UTC"})
    with engine.begin() as connection:
        tables = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).scalars()
        kept = []
        for table in sorted(tables):
            if connection.execute(text(f'SELECT 1 FROM "{table}" LIMIT 1')).first():
                kept.append(table)
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS as_migrated"))
        for table in kept:
            connection.execute(text(f'CREATE TABLE as_migrated."{table}" AS TABLE "{table}"'))
    yield engine
    engine.dispose()


@pytest.fixture
def clean(owner: Engine, settings: Settings) -> None:
    """An empty store, as the migrations leave it, and an empty Redis."""
    empty(owner, settings)


def empty(owner: Engine, settings: Settings) -> None:
    """Delete every row, past guards and references; what the migrations put in is put back."""
    from redis import Redis

    with owner.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        # A test that left a transaction open must fail the next one, not keep it waiting for ever.
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        names = connection.execute(
            text(
                "SELECT tablename, to_regclass('as_migrated.' || tablename) IS NOT NULL"
                " FROM pg_tables WHERE schemaname = 'public'"
            )
        ).all()
        for name, kept in names:
            connection.execute(text(f'DELETE FROM "{name}"'))
            if kept:
                connection.execute(text(f'INSERT INTO "{name}" TABLE as_migrated."{name}"'))
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.flushdb()


@pytest.fixture(scope="session")
def _opened(settings: Settings) -> Iterator[Context]:
    from financing.context import Context

    ctx = Context.open(settings)
    yield ctx
    ctx.engine.dispose()


@pytest.fixture
def ctx(_opened: Context, clean: None) -> Context:
    """The context of this worker's database, which is empty; nobody rings, `run_due` is called."""
    return _opened


@pytest.fixture
def set_clock(owner: Engine, clean: None) -> Callable[[datetime], None]:
    """Set the business clock of the store, as the demo does."""

    def set_to(now: datetime) -> None:
        with owner.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO store_mark (demo, now) VALUES (true, :now)"
                    " ON CONFLICT (one) DO UPDATE SET now = excluded.now"
                ),
                {"now": now},
            )

    return set_to


# Faces


@pytest.fixture(scope="session")
def _listening(_opened: Context) -> Iterator[Web]:
    from werkzeug.serving import make_server

    from financing.web.app import create_app

    port = int(_opened.settings.url.rpartition(":")[2])
    server = make_server("127.0.0.1", port, create_app(_opened), threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="web", daemon=True)
    thread.start()
    yield Web(_opened.settings.url, _opened)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web(_listening: Web, ctx: Context) -> Web:
    """The pages and API over a real socket; the store is empty."""
    return _listening


@pytest.fixture
def command(settings: Settings, clean: None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `financing VERB …` as a process of its own, on this worker's database."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "financing", *words],
            cwd=ROOT,
            env=process_environment(settings) | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def process_environment(settings: Settings) -> dict[str, str]:
    """The environment of a process of ours on this worker's stores."""
    return {name: value for name, value in os.environ.items() if "FINANCING" not in name} | {
        "DATABASE_URL": str(settings.database_url),
        "REDIS_URL": str(settings.redis_url),
        "FINANCING_DATA": str(settings.data),
        "FINANCING_KEYS": str(settings.keys),
        "FINANCING_URL": settings.url,
        "LANG": "C.UTF-8",
    }


# Chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium under Playwright; contexts of it are made by the tests."""
    program = shutil.which("chromium")
    fonts = shutil.which("fc-list")
    if program is None:
        missing("chromium (apt-get install chromium)")
    if (
        fonts is None
        or not subprocess.run([fonts, ":lang=zh"], capture_output=True, check=True).stdout
    ):
        missing("a Chinese font (apt-get install fontconfig fonts-noto-cjk)")
    from playwright.sync_api import sync_playwright

    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--no-first-run", *quiet],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published records beside the repository."""
    given = Settings().real_data
    folder = given if given.is_absolute() else ROOT / given
    if not folder.is_dir():
        pytest.skip(f"no published data at {given}; FINANCING_REAL_DATA may name another folder")
    return folder
