"""The verbs that a service manager starts, and what they say where a store is away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine

from financing.settings import Settings
from tests.conftest import ROOT, process_environment
from tests.sandbox import wait_for

NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/none"


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FINANCING_")}
    return subprocess.run(
        [sys.executable, "-m", "financing", *words],
        cwd=ROOT,
        env=kept | {"REDIS_URL": "redis://127.0.0.1:1/0"} | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("verb", ["check", "late", "migrate", "contracts", "serve --port=1"])
def test_a_database_that_is_away_is_called_by_its_name(verb: str, tmp_path: Path) -> None:
    done = run(*verb.split(), DATABASE_URL=NOWHERE, FINANCING_DATA=str(tmp_path))
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "DATABASE_URL" in line and "secret" not in line


def test_a_queue_that_is_away_is_called_by_its_name(
    settings: Settings, clean: None, tmp_path: Path
) -> None:
    done = run(
        "serve", "--port=0", DATABASE_URL=str(settings.database_url), FINANCING_DATA=str(tmp_path)
    )
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "REDIS_URL" in line


@pytest.mark.parametrize(
    ("name", "value"), [("DATABASE_URL", "garbage"), ("REDIS_URL", "http://x")]
)
def test_an_address_that_is_none_is_refused_in_one_line(name: str, value: str) -> None:
    done = run("check", "--json", **{name: value})
    assert done.returncode == 2
    assert json.loads(done.stdout)["where"] == name


def test_the_web_verb_answers_without_a_path_to_its_server(
    owner: Engine, settings: Settings, clean: None
) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "-m", "financing", "web", f"--port={port}", "--workers=1"],
        cwd=ROOT,
        env=process_environment(settings) | {"PATH": "/usr/bin:/bin"},
    ) as process:
        try:
            assert wait_for(lambda: _answer(f"{url}/readyz"), "an answer", 30) == 200
        finally:
            process.terminate()
    assert process.returncode == 0


def _answer(url: str) -> int | None:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).status_code
        except requests.ConnectionError:
            return None
