"""The processes of `demo` and `serve`: a web process, a worker, and sandbox banks of their own.

1. `start_bank`  another party's program with its own books; it prints its port and public keys
2. `start_web`, `start_worker`  the very verbs that a service manager starts
3. `answering`   wait until the web process and the worker are ready
4. `Crew.end`    all are told to end and waited for; they end with us even when we are killed

What they say goes to files in the data folder, and its last lines into our error when one dies.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from financing.context import Context
from financing.embedded import Stores
from financing.errors import Unreachable
from financing.settings import Settings
from financing.work import worker_lives

READY_S: Final = 60
ENDING_S: Final = 15
LOOK_S: Final = 0.02
STORES: Final = {"database": "DATABASE_URL", "queue": "REDIS_URL"}  # as /readyz calls them


@dataclass(frozen=True, slots=True)
class Child:
    """One process of ours and the file that holds what it says."""

    name: str
    process: subprocess.Popen[bytes]
    said: Path

    def assert_alive(self) -> None:
        """Raise what it said last if it has ended.

        Raises:
            Unreachable: the process is gone.
        """
        if self.process.poll() is None:
            return
        lines = self.said.read_text("utf-8", "replace").strip().splitlines()
        raise Unreachable(
            f"the {self.name} process ended: {' / '.join(lines[-3:]) or 'without a word'}",
            where=str(self.said),
            remedy="Read that file.",
        )


@dataclass(frozen=True, slots=True)
class BankLine:
    """What a sandbox bank prints when it is open."""

    code: str
    port: int
    answer_key_pem: str
    webhook_key: bytes

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Crew:
    """All processes of one command."""

    settings: Settings
    stores: Stores
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, *words: str, stdout: int | None = None) -> Child:
        """Start one process; it must be called from the main thread.

        `setpriv` ends the child with the thread that forked it, so that thread has to last.
        """
        logs = self.settings.data / "log"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        said = logs / f"{name}.log"
        with said.open("wb") as stream:
            process = subprocess.Popen(
                [*_ends_with_us(), sys.executable, "-m", *words],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream if stdout is None else stdout,
                stderr=stream,
                start_new_session=True,  # Ctrl-C at the terminal is ours to answer, in our order
            )
        child = Child(name, process, said)
        self.children.append(child)
        return child

    def environment(self) -> dict[str, str]:
        """What our own processes are told: the stores of this command, and nothing of the demo."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FINANCING_")}
        here = str(Path(sys.executable).parent)
        return kept | {
            "PATH": f"{here}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "DATABASE_URL": self.stores.database_url,
            "REDIS_URL": self.stores.redis_url,
            "FINANCING_DATA": str(self.settings.data),
            "FINANCING_KEYS": str(self.settings.keys),
            "FINANCING_URL": self.settings.url,
            "FINANCING_PROFILE": self.settings.profile,
            "FINANCING_LOG": self.settings.log,
        }

    def assert_alive(self) -> None:
        """Raise when one of the processes, or of the servers under them, has ended by itself."""
        for child in self.children:
            child.assert_alive()
        for name, process in self.stores.started:
            if process.poll() is not None:
                raise Unreachable(
                    f"the embedded {name} server ended",
                    where=str(self.settings.data / f"{name}.log"),
                    remedy="Read that file.",
                )

    def end(self) -> None:
        """Tell all to end, wait, and kill whoever does not."""
        for child in self.children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        patience = time.monotonic() + ENDING_S
        for child in self.children:
            try:
                child.process.wait(max(patience - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child.process.stdout:
                child.process.stdout.close()


def _ends_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start_web(crew: Crew, port: int) -> Child:
    """Start the web process on this port."""
    return crew.start("web", "financing", "web", f"--port={port}")


def start_worker(crew: Crew) -> Child:
    """Start the worker."""
    return crew.start("worker", "financing", "worker")


def start_bank(
    crew: Crew,
    code: str,
    product: Mapping[str, Any],
    *,
    keys: tuple[Path, str],
    behaviour: Mapping[str, Any] | None = None,
    now: str | None = None,
) -> Child:
    """Start one sandbox bank; `bank_line` reads what it prints.

    Args:
        keys: the root certificate that signs our packets, and the public key of our requests.
        now: what its clock shows at its first start.
    """
    home = crew.settings.data / "banks" / code
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {
        "name": code,
        "port": 0,
        "data": "books",
        "trust": str(keys[0]),
        "broker_url": crew.settings.url,
        "broker_key_pem": keys[1],
        "product": dict(product),
        "behaviour": dict(behaviour or {}),
        "now": now,
    }
    config = home / "bank.json"
    config.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return crew.start(code, "bank_adapters.sandbox", f"--config={config}", stdout=subprocess.PIPE)


def bank_line(child: Child) -> BankLine:
    """Wait for the one line of a bank that has opened.

    Raises:
        Unreachable: it ended instead.
    """
    pipe = child.process.stdout
    line = pipe.readline() if pipe else b""
    if not line:
        child.process.wait(ENDING_S)
        child.assert_alive()
    said = json.loads(line)
    return BankLine(
        said["bank"], said["port"], said["answer_key_pem"], _public_key(said["webhook_key"])
    )


def _public_key(text: str) -> bytes:
    """The 32 bytes of a `whpk_…` key."""
    from base64 import b64decode

    return b64decode(text.removeprefix("whpk_"))


def answering(crew: Crew, ctx: Context) -> None:
    """Wait until the web process is ready and a worker lives.

    Raises:
        Unreachable: one of them ended, or is not ready in time.
    """
    patience = time.monotonic() + READY_S
    with requests.Session() as session:
        session.trust_env = False
        while not (_is_ready(session, crew.settings.url) and worker_lives(ctx)):
            crew.assert_alive()
            if time.monotonic() > patience:
                raise Unreachable(
                    f"web and worker were not ready within {READY_S} s",
                    where=str(crew.settings.data / "log"),
                    remedy="Read the files there.",
                )
            time.sleep(LOOK_S)


def _is_ready(session: requests.Session, url: str) -> bool:
    """Whether the web process answers and reaches its stores.

    Raises:
        Unreachable: it answers, and says that a store is away.
    """
    try:
        answer = session.get(f"{url}/readyz", timeout=5)
    except requests.RequestException:
        return False
    for name, variable in STORES.items():
        if answer.json().get(name) == "unreachable":
            raise Unreachable(
                f"the {name} cannot be reached",
                where=variable,
                remedy=f"Start it, or check {variable}.",
            )
    return answer.ok
